package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// demoClients are the tour's, one for each version of HTTP. None of them
// follows redirects, keeps cookies or undoes compression.
type demoClients struct {
	h1, h2, h3 *http.Client
	h3wire     *http3.Transport
}

func (d *demo) newClients() demoClients {
	only := func(set func(*http.Protocols, bool)) *http.Protocols {
		p := new(http.Protocols)
		set(p, true)
		return p
	}
	client := func(rt http.RoundTripper) *http.Client {
		return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	c := demoClients{}
	c.h1 = client(&http.Transport{
		DialContext: dialLoopback, TLSClientConfig: d.tlsConfig(tourHost), DisableCompression: true,
		MaxIdleConnsPerHost: 256, Protocols: only((*http.Protocols).SetHTTP1),
	})
	c.h2 = client(&http.Transport{
		DialContext: dialLoopback, TLSClientConfig: d.tlsConfig(tourHost), DisableCompression: true,
		Protocols: only((*http.Protocols).SetHTTP2),
	})
	c.h3wire = &http3.Transport{
		TLSClientConfig: d.tlsConfig(tourHost), DisableCompression: true,
		Dial: func(ctx context.Context, addr string, tc *tls.Config, qc *quic.Config) (*quic.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return quic.DialAddrEarly(ctx, "127.0.0.1:"+port, tc, qc)
		},
	}
	c.h3 = client(c.h3wire)
	return c
}

func (c demoClients) close() {
	c.h1.CloseIdleConnections()
	c.h2.CloseIdleConnections()
	_ = c.h3wire.Close() // the edge goes too: nobody to tell
}

// answer is a response that has been read to its end.
type answer struct {
	status int
	proto  string
	header http.Header
	body   []byte
	length int64 // Content-Length, -1 without one
	took   time.Duration
}

// cacheStatus is the member of Cache-Status that the edge wrote (RFC 9211).
func (a *answer) cacheStatus() string { return a.header.Get("Cache-Status") }

// says reports whether that member has a parameter, such as "hit" or
// "fwd=stale".
func (a *answer) says(param string) bool {
	for p := range strings.SplitSeq(a.cacheStatus(), ";") {
		if strings.TrimSpace(p) == param {
			return true
		}
	}
	return false
}

// String is the answer's evidence in one line.
func (a *answer) String() string {
	s := fmt.Sprintf("%s %d, %d bytes, Cache-Status: %s", a.proto, a.status, len(a.body), a.cacheStatus())
	if age := a.header.Get("Age"); age != "" {
		s += ", Age: " + age
	}
	return s
}

// ask sends a request and reads its answer. fields are "Name: value"; a field
// Host replaces the URL's.
func ask(ctx context.Context, c *http.Client, method, url string, body []byte, fields ...string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		req.Body = http.NoBody
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	began := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, proto: resp.Proto, header: resp.Header, length: resp.ContentLength}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, fmt.Errorf("%s %s: the body after %d bytes: %w", method, url, len(a.body), err)
	}
	a.took = time.Since(began)
	return a, nil
}

// get is ask for the most common request.
func get(ctx context.Context, c *http.Client, url string, fields ...string) (*answer, error) {
	return ask(ctx, c, http.MethodGet, url, nil, fields...)
}

// startTLS makes a TLS connection for HTTP/1.1 of c.
func startTLS(ctx context.Context, c net.Conn, config *tls.Config) (net.Conn, error) {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	secure := tls.Client(c, config)
	return secure, secure.HandshakeContext(ctx)
}
