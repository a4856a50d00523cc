package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// tally is what a round of load came to.
type tally struct {
	Requests int64         `json:"requests"`
	Took     time.Duration `json:"took"`
}

// runLoad makes one round of HTTP/1.1 requests on kept-alive connections, each
// with one request under way, and prints its tally as JSON. Any answer but 200
// with the announced number of bytes ends it with an error.
func runLoad(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	addr := f.String("addr", "", "where to")
	secure := f.Bool("tls", false, "over TLS; any certificate will do")
	conns := f.Int("conns", 64, "connections")
	seconds := f.Float64("seconds", 3, "for how long")
	size := f.Int("size", 1<<10, "bytes that each answer must have")
	name := f.String("name", "a", "the object's name; with -unique the first part of it")
	unique := f.Bool("unique", false, "a new object with each request")
	if err := f.Parse(args); err != nil {
		return usageError(err.Error())
	}
	clients := make([]*client, *conns)
	for i := range clients {
		c, err := dial(*addr, *secure)
		if err != nil {
			return err
		}
		defer c.conn.Close()
		clients[i] = c
	}
	var wg sync.WaitGroup
	errs := make([]error, *conns)
	counts := make([]int64, *conns)
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(*seconds*float64(time.Second)))
	defer cancel()
	for i, c := range clients {
		wg.Go(func() {
			path := "/" + strconv.Itoa(*size) + "/" + *name
			request := requestFor(nil, path)
			for n := int64(0); ctx.Err() == nil; n++ {
				if *unique {
					request = requestFor(request[:0], uniquePath(path, i, n))
				}
				if errs[i] = c.exchange(request, *size); errs[i] != nil {
					cancel()
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	t := tally{Took: time.Since(began)}
	for _, n := range counts {
		t.Requests += n
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(t)
}

// uniquePath is the n-th object of a connection.
func uniquePath(path string, conn int, n int64) string {
	return path + "-" + strconv.Itoa(conn) + "-" + strconv.FormatInt(n, 10)
}

// benchHost is the Host of every request.
const benchHost = "bench.test"

func requestFor(dst []byte, path string) []byte {
	dst = append(dst, "GET "...)
	dst = append(dst, path...)
	return append(dst, " HTTP/1.1\r\nHost: "+benchHost+"\r\nUser-Agent: leveebench\r\n\r\n"...)
}

// client is one connection of HTTP/1.1.
type client struct {
	conn net.Conn
	buf  []byte
}

func dial(addr string, secure bool) (*client, error) {
	var c net.Conn
	var err error
	if secure {
		// The certificate is leveebench's own, of a minute ago: there is nothing to verify.
		c, err = tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: benchHost, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13})
	} else {
		c, err = net.Dial("tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	return &client{conn: c, buf: make([]byte, 128<<10)}, nil
}

// exchange sends a request and reads its answer, which must be 200 with size
// bytes.
func (c *client) exchange(request []byte, size int) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	have := 0
	for {
		n, err := c.conn.Read(c.buf[have:])
		have += n
		h, ok, bad := parseHead(c.buf[:have])
		switch {
		case bad != nil:
			return bad
		case ok:
			if h.status != 200 || h.length != size {
				return fmt.Errorf("an answer of %d with %d bytes, 200 with %d was expected:\n%s", h.status, h.length, size, c.buf[:h.end])
			}
			return c.discard(h.end+size-have, err)
		case err != nil:
			return fmt.Errorf("the connection ended within a head: %w", err)
		case have == len(c.buf):
			return fmt.Errorf("a head of more than %d bytes", len(c.buf))
		}
	}
}

// discard reads the rest of a body.
func (c *client) discard(rest int, err error) error {
	for rest > 0 {
		if err != nil {
			return fmt.Errorf("the connection ended %d bytes before the end of a body: %w", rest, err)
		}
		var n int
		n, err = c.conn.Read(c.buf[:min(rest, len(c.buf))])
		rest -= n
	}
	if rest < 0 {
		return fmt.Errorf("%d bytes more than announced", -rest)
	}
	return nil
}

// head is what matters of an answer's head.
type head struct {
	status, length int // length in bytes, -1 without Content-Length
	end            int // where the body begins
}

// parseHead reads the head at the beginning of b; ok is false while it is not
// complete.
func parseHead(b []byte) (h head, ok bool, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return h, false, nil
	}
	h = head{length: -1, end: end + 4}
	if len(b) < 12 || string(b[:7]) != "HTTP/1." {
		return h, false, fmt.Errorf("no HTTP/1 status line: %q", b[:min(len(b), 40)])
	}
	if h.status, err = strconv.Atoi(string(b[9:12])); err != nil {
		return h, false, fmt.Errorf("no status: %q", b[:12])
	}
	if v, found := field(b[:end+2], "content-length"); found {
		if h.length, err = strconv.Atoi(v); err != nil || h.length < 0 {
			return h, false, fmt.Errorf("Content-Length: %q", v)
		}
	}
	return h, true, nil
}

// field finds a field of a head by its name in lower case.
func field(head []byte, name string) (string, bool) {
	for len(head) > 0 {
		eol := bytes.Index(head, []byte("\r\n"))
		if eol < 0 {
			return "", false
		}
		line := head[:eol]
		if len(line) > len(name) && line[len(name)] == ':' && equalFold(line[:len(name)], name) {
			return string(bytes.TrimSpace(line[len(name)+1:])), true
		}
		head = head[eol+2:]
	}
	return "", false
}

// equalFold compares with a name in lower case, without allocating.
func equalFold(b []byte, lower string) bool {
	for i := range len(lower) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// whole is an answer with its parts.
type whole struct {
	head []byte
	body []byte
}

// fetch gets one URL over a connection of its own.
func fetch(addr string, secure bool, path string) (whole, error) {
	c, err := dial(addr, secure)
	if err != nil {
		return whole{}, err
	}
	defer c.conn.Close()
	if err := c.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return whole{}, err
	}
	if _, err := c.conn.Write(requestFor(nil, path)); err != nil {
		return whole{}, err
	}
	var got []byte
	for {
		n, err := c.conn.Read(c.buf)
		got = append(got, c.buf[:n]...)
		h, ok, bad := parseHead(got)
		switch {
		case bad != nil:
			return whole{}, bad
		case ok && h.length >= 0 && len(got) >= h.end+h.length:
			if h.status != 200 {
				return whole{}, fmt.Errorf("%s%s: %d: %s", addr, path, h.status, got[h.end:])
			}
			return whole{got[:h.end-2], got[h.end : h.end+h.length]}, nil
		case err != nil:
			return whole{}, fmt.Errorf("%s%s: %w", addr, path, err)
		}
	}
}
