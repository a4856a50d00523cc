package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// The origin is hand-written for one purpose: to cost as little as it can on
// the core that it shares with the load. It reads HTTP/1.1 requests without
// bodies, and answers
//
//	/SIZE/ANYTHING   SIZE bytes that are fresh for an hour
//	/count           how many of those there were, as decimal text
//
// It trusts its peers, which are the subjects and leveebench itself.

// maxObject bounds SIZE, in bytes.
const maxObject = 16 << 20

type benchOrigin struct {
	served atomic.Int64
}

// runOrigin listens on a picked port, prints its address and serves until it is
// killed.
func runOrigin(args []string, out io.Writer) error {
	if len(args) > 0 {
		return usageError("origin takes no arguments")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	o := &benchOrigin{}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go o.serve(c)
	}
}

func (o *benchOrigin) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	var answer []byte // of the size asked for last
	size := -1
	for {
		target, err := readRequest(r)
		if err != nil {
			return
		}
		if target == "/count" {
			text := strconv.FormatInt(o.served.Load(), 10)
			if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text); err != nil {
				return
			}
			continue
		}
		n, ok := sizeOf(target)
		if !ok {
			_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		if n != size {
			size = n
			head := "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nCache-Control: public, max-age=3600\r\nETag: \"bench\"\r\nContent-Length: " + strconv.Itoa(n) + "\r\n\r\n"
			answer = append([]byte(head), bytes.Repeat([]byte("levee-bench-16B\n"), n/16+1)[:n]...)
		}
		o.served.Add(1)
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// readRequest reads the head of a GET and returns its target.
func readRequest(r *bufio.Reader) (target string, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	words := bytes.Fields(line)
	if len(words) != 3 || string(words[0]) != "GET" {
		return "", fmt.Errorf("request line %q: only GET is served", line)
	}
	target = string(words[1])
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return "", err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return target, nil
		}
	}
}

// sizeOf reads SIZE in /SIZE/ANYTHING.
func sizeOf(target string) (int, bool) {
	word, _, ok := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	n, err := strconv.Atoi(word)
	return n, ok && err == nil && n >= 0 && n <= maxObject
}

var errCount = errors.New("the origin's count cannot be read")

// count asks an origin how many objects it has served.
func count(addr string) (int64, error) {
	a, err := fetch(addr, false, "/count")
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errCount, err)
	}
	n, err := strconv.ParseInt(string(a.body), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errCount, err)
	}
	return n, nil
}
