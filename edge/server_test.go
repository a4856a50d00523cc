package edge

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"levee/config"
)

// page answers as a small site does: cacheable, with validators, and a 404.
func onePage(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/missing") {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "no such page")
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "max-age=60")
	h.Set("ETag", `"v1"`)
	h.Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, "0123456789")
}

// Every way in gets the same bytes and the same fields.
func TestProtocolsAgree(t *testing.T) {
	l := newLive(t, onePage, func(c *config.Config) {
		c.Sites[0].Rules = []config.Rule{{Match: config.Match{Path: []string{"/*/old"}}, Redirect: &config.Redirect{To: "https://{host}/new", Status: 308}}}
	})
	f := func(request string, status int, body string, fields string, lines ...string) {
		t.Helper()
		method, path, _ := strings.Cut(request, " ")
		var first http.Header
		for i, way := range ways {
			before := l.asked.Load()
			a := l.do(way, method+" /"+strings.ReplaceAll(way, " ", "-")+path, lines...)
			if a.err != nil || a.status != status || body != "*" && a.body != body {
				t.Errorf("%s by %s: %d %q %v, want %d %q", request, way, a.status, a.body, a.err, status, body)
				continue
			}
			for want := range strings.SplitSeq(fields, "; ") {
				name, value, _ := strings.Cut(want, ": ")
				if name == "origin" {
					if got := fmt.Sprint(l.asked.Load() - before); got != value {
						t.Errorf("%s by %s: the origin was asked %s times, want %s", request, way, got, value)
					}
				} else if got := strings.Join(a.header.Values(name), ", "); got != value && !(value == "*" && got != "") {
					t.Errorf("%s by %s: %s is %q, want %q", request, way, name, got, value)
				}
			}
			h := a.header.Clone()
			alt := h.Get("Alt-Svc")
			if want := status != 405 && (way == secureH1 || way == secureH2); (alt != "") != want { // no site has a TRACE
				t.Errorf("%s by %s: Alt-Svc %q", request, way, alt)
			}
			for _, name := range []string{"Alt-Svc", "Date", "X-Request-Id", "Connection"} {
				h.Del(name)
			}
			if i == 0 {
				first = h
			} else if got, want := fmt.Sprint(h), fmt.Sprint(first); got != want {
				t.Errorf("%s by %s: fields\n%s\nby %s\n%s", request, way, got, ways[0], want)
			}
		}
	}
	f("GET /a", 200, "0123456789", "origin: 1; Content-Length: 10; ETag: \"v1\"; Content-Type: text/plain; Via: 1.1 levee-test; Date: *")
	f("GET /a", 200, "0123456789", "origin: 0; Content-Length: 10; Age: 0; ETag: \"v1\"; Date: *")
	f("HEAD /a", 200, "", "origin: 0; Content-Length: 10; Age: 0")
	f("GET /a", 304, "", "origin: 0; Content-Type: ; ETag: \"v1\"", `If-None-Match: "v1"`)
	f("GET /a", 206, "234", "origin: 0; Content-Range: bytes 2-4/10; Content-Length: 3", "Range: bytes=2-4")
	f("GET /a", 416, "*", "origin: 0; Content-Range: bytes */10", "Range: bytes=10-")
	f("HEAD /cold", 200, "", "origin: 1; Content-Length: 10")
	f("GET /missing", 404, "no such page", "origin: 1; Content-Length: 12")
	f("GET /old", 308, "", "origin: 0; Location: https://www.test/new")
	f("TRACE /a", 405, "*", "origin: 0; Allow: *; Cache-Status: levee-test")
	f("POST /a", 200, "0123456789", "origin: 1")
	f("GET /a", 200, "0123456789", "origin: 1") // the POST has invalidated it
	f("OPTIONS /a", 200, "0123456789", "origin: 1")
}

// A client that knows nothing but the https URL finds HTTP/3 by Alt-Svc.
func TestAltSvcDiscovery(t *testing.T) {
	l := newLive(t, onePage)
	var port string
	for _, way := range []string{secureH1, secureH2} {
		a := l.do(way, "GET /")
		_, rest, ok := strings.Cut(a.header.Get("Alt-Svc"), `h3=":`)
		p, _, ok2 := strings.Cut(rest, `"`)
		if !ok || !ok2 {
			t.Fatalf("%s: Alt-Svc %q", way, a.header.Get("Alt-Svc"))
		}
		port = p
	}
	tr := &http3.Transport{TLSClientConfig: l.tlsClient("www.test")}
	defer tr.Close()
	r, _ := http.NewRequest("GET", "https://127.0.0.1:"+port+"/", nil)
	r.Host = "www.test"
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(resp); resp.ProtoMajor != 3 || a.body != "0123456789" || !strings.Contains(a.cacheStatus(), "hit") {
		t.Errorf("%s %+v", resp.Proto, a)
	}

	off := newLive(t, onePage, func(c *config.Config) { c.Sites[0].AltSvc = false })
	if a := off.do(secureH2, "GET /"); a.status != 200 || a.header.Get("Alt-Svc") != "" {
		t.Errorf("alt_svc off: %d, Alt-Svc %q", a.status, a.header.Get("Alt-Svc"))
	}
}

// twoSites has a.test and b.test, each with its own origin path by a rewrite, so
// that a body names the site that served it.
func twoSites(t *testing.T) *live {
	return newLive(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "of "+r.Header.Get("X-Site"))
	}, func(c *config.Config) {
		tell := func(site string) []config.Rule {
			return []config.Rule{{Request: config.HeaderOps{Set: map[string]string{"X-Site": site}}}}
		}
		b := config.DefaultSite("b", []string{"b.test", "*.b.test"}, c.Sites[0].Origin.Members...)
		b.Rules = tell("b")
		c.Sites[0].Name, c.Sites[0].Hosts, c.Sites[0].Rules = "a", []string{"www.test", "a.test"}, tell("a")
		c.Sites = append(c.Sites, b)
	})
}

// Neither an unknown host nor the certificate of one site leads to the content
// of another.
func TestHostAndSNI(t *testing.T) {
	l := twoSites(t)
	f := func(way, sni, host string, status int, body string) {
		t.Helper()
		r := l.request(way, "GET /", nil)
		r.URL.Host = sni
		r.Host = host
		a := l.send(way, r)
		if a.err != nil || a.status != status || body != "" && a.body != body || body == "" && strings.HasPrefix(a.body, "of ") {
			t.Errorf("%s, SNI %s, Host %s: %d %q %v; want %d %q", way, sni, host, a.status, a.body, a.err, status, body)
		}
	}
	for _, way := range ways[1:] {
		f(way, "a.test", "a.test", 200, "of a")
		f(way, "a.test", "A.Test:443", 200, "of a")
		f(way, "a.test", "www.test", 200, "of a") // another host of the same site: coalescing is allowed
		f(way, "b.test", "x.b.test", 200, "of b")
		f(way, "b.test", "b.test", 200, "of b")
		// From here on everything of b is stored, and still out of reach.
		f(way, "a.test", "b.test", 421, "")
		f(way, "a.test", "x.b.test", 421, "")
		f(way, "x.b.test", "www.test", 421, "")
		f(way, "a.test", "unknown.test", 421, "")
		f(way, "a.test", "bad_host!", 400, "")
	}
	f(clearH1, "a.test", "a.test", 200, "of a")
	f(clearH1, "b.test", "b.test", 200, "of b")
	f(clearH1, "unknown.test", "unknown.test", 404, "")
	f(clearH1, "127.0.0.1", "127.0.0.1", 404, "")

	// A handshake for a name that no site has gets no certificate.
	if c, err := tls.Dial("tcp", l.secure, l.tlsClient("unknown.test")); err == nil {
		c.Close()
		t.Error("a handshake for an unknown name succeeded")
	}
	if c, err := l.dialQUIC("unknown.test"); err == nil {
		_ = c.CloseWithError(0, "")
		t.Error("a QUIC handshake for an unknown name succeeded")
	}

	// One connection, made for a.test, asked for b.test: as a browser that
	// coalesces does.
	fr := l.frames()
	fr.get(1, "www.test", "/")
	if s := fr.status(1); s != "200" {
		t.Errorf("own host: %s", s)
	}
	fr.get(3, "b.test", "/")
	if s := fr.status(3); s != "421" {
		t.Errorf("another site's host on a coalesced connection: %s, want 421", s)
	}
	fr.get(5, "a.test", "/")
	if s := fr.status(5); s != "200" {
		t.Errorf("the connection is of no use after a 421: %s", s)
	}
}

func TestRedirectToHTTPS(t *testing.T) {
	l := newLive(t, onePage, func(c *config.Config) { c.Sites[0].RedirectHTTPS = true })
	_, port, _ := strings.Cut(l.secure, ":")
	if a := l.do(clearH1, "GET /p?q=1"); a.status != 301 || a.header.Get("Location") != "https://www.test:"+port+"/p?q=1" {
		t.Errorf("GET: %d %q", a.status, a.header.Get("Location"))
	}
	if a := l.doBody(clearH1, "POST /p", strings.NewReader("x")); a.status != 308 || a.header.Get("Location") != "https://www.test:"+port+"/p" {
		t.Errorf("POST: %d %q", a.status, a.header.Get("Location"))
	}
	if n := l.asked.Load(); n != 0 {
		t.Errorf("the origin was asked %d times", n)
	}
	for _, way := range ways[1:] {
		if a := l.do(way, "GET /p"); a.status != 200 {
			t.Errorf("%s: %d", way, a.status)
		}
	}
}

// CONNECT would make an open proxy of the edge; it is refused in every form.
func TestConnectIsRefused(t *testing.T) {
	l := newLive(t, onePage)
	for _, way := range ways[:2] {
		c := l.dial(way)
		c.say("CONNECT www.test:443 HTTP/1.1\r\nHost: www.test:443\r\n\r\n")
		if a := c.answer("CONNECT"); a.status != 405 {
			t.Errorf("%s: %+v", way, a)
		}
	}
	fr := l.frames()
	fr.head(1, false, ":method", "CONNECT", ":authority", "www.test:443")
	if s := fr.status(1); s != "405" {
		t.Errorf("h2: %s", s)
	}
	fr.head(3, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "www.test", ":path", "/")
	if s := fr.status(3); s == "200" || s == "101" {
		t.Errorf("h2, extended: %s", s)
	}

	connect := func(protocol string) {
		t.Helper()
		conn, err := l.dialQUIC("www.test")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseWithError(0, "") }()
		tr := &http3.Transport{}
		cc := tr.NewClientConn(conn)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		str, err := cc.OpenRequestStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Method: "CONNECT", Proto: protocol, Host: "www.test", Header: http.Header{}, URL: &url.URL{Scheme: "https", Host: "www.test", Path: "/"}}
		if err := str.SendRequestHeader(r.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		resp, err := str.ReadResponse()
		if err == nil && resp.StatusCode/100 == 2 {
			t.Errorf("h3 %q: %s", protocol, resp.Status)
		}
	}
	connect("")
	connect("websocket")
	if n := l.asked.Load(); n != 0 {
		t.Errorf("the origin was asked %d times", n)
	}
	for _, way := range ways {
		if a := l.do(way, "GET /"); a.status != 200 {
			t.Errorf("%s afterwards: %+v", way, a)
		}
	}
}

// What the target may look like, and what the origin gets of it.
func TestTargets(t *testing.T) {
	var got string
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.RequestURI + " of " + r.Header.Get("X-Forwarded-Host")
	})
	f := func(request string, status int, want string) {
		t.Helper()
		for _, way := range ways[:2] {
			got = ""
			c := l.dial(way)
			c.say("%s HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n", request)
			method, _, _ := strings.Cut(request, " ")
			if a := c.answer(method); a.status != status || got != want {
				t.Errorf("%s by %s: %d %v, the origin got %q, want %d %q", request, way, a.status, a.err, got, status, want)
			}
		}
	}
	f("GET /a?b=c", 200, "GET /a?b=c of www.test")
	f("GET /a?", 200, "GET /a of www.test")
	f("GET http://www.test/a?b=c", 200, "GET /a?b=c of www.test")
	f("GET http://www.test", 200, "GET / of www.test")
	f("GET http://other.test/a", 400, "") // the target would win over Host (RFC 9112 §3.2.2); to differ has no honest use
	f("GET //evil.test/x", 200, "GET //evil.test/x of www.test")
	f("GET /a/%2e%2e/b", 200, "GET /b of www.test")
	f("GET /a%00b", 400, "")
	f("GET /a\\b", 400, "")
	f("GET *", 400, "")
	f("FETCH /a", 200, "FETCH /a of www.test")
	// Of this edge as a whole (RFC 9110 §9.3.7): it is not one resource of a site.
	f("OPTIONS *", 200, "")
}

// Requests that are wrong, over a raw socket: refused and closed, or read in the
// one safe way; never two requests out of one, and the edge goes on.
func TestMalformed(t *testing.T) {
	var whole atomic.Int64 // requests that the origin got to their end
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		p, err := io.ReadAll(r.Body)
		if err == nil {
			whole.Add(1)
		}
		fmt.Fprintf(w, "%s %s %q", r.Method, r.RequestURI, p)
	})
	const host = "Host: www.test\r\n"
	// closed: the connection must end after the answer. ok: what the origin may
	// have made of it where the edge does read it, "" = refused.
	f := func(name, request, ok string) {
		t.Helper()
		for _, way := range ways[:2] {
			before := whole.Load()
			c := l.dial(way)
			c.say("%s", request)
			a := c.answer("GET")
			asked := whole.Load() - before
			switch {
			case ok == "":
				if asked != 0 {
					t.Errorf("%s by %s: reached the origin %d times", name, way, asked)
				}
				if a.err == nil && (a.status < 400 || a.status > 499 && a.status != 501 && a.status != 505) {
					t.Errorf("%s by %s: %d %q, want a 4xx", name, way, a.status, a.body)
				}
				// With a request id it is the Handler that refused, after the
				// request's end was found beyond doubt.
				if a.header.Get("X-Request-Id") == "" && !c.closed(2*time.Second) {
					t.Errorf("%s by %s: the connection stays open after %d", name, way, a.status)
				}
			case a.status != 200 || a.body != ok || asked != 1:
				t.Errorf("%s by %s: %d %q %v, the origin was asked %d times; want %q", name, way, a.status, a.body, a.err, asked, ok)
			}
			c.Close()
			if a := l.do(way, "GET /after"); a.status != 200 {
				t.Fatalf("after %s by %s: %+v", name, way, a)
			}
		}
	}
	f("nothing of HTTP", "hello\r\n\r\n", "")
	f("no version", "GET /\r\n"+host+"\r\n", "")
	f("version 2.0", "GET / HTTP/2.0\r\n"+host+"\r\n", "")
	f("version 1.9x", "GET / HTTP/1.9x\r\n"+host+"\r\n", "")
	f("bad method", "G@T / HTTP/1.1\r\n"+host+"\r\n", "")
	f("no method", " / HTTP/1.1\r\n"+host+"\r\n", "")
	f("space in the target", "GET /a b HTTP/1.1\r\n"+host+"\r\n", "")
	f("tab in the request line", "GET\t/ HTTP/1.1\r\n"+host+"\r\n", "")
	f("control byte in the target", "GET /\x01 HTTP/1.1\r\n"+host+"\r\n", "")
	f("NUL in the target", "GET /\x00 HTTP/1.1\r\n"+host+"\r\n", "")
	f("fragment in the target", "GET /#x HTTP/1.1\r\n"+host+"\r\n", "")
	f("no Host", "GET / HTTP/1.1\r\n\r\n", "")
	f("two Hosts", "GET / HTTP/1.1\r\n"+host+"Host: b.test\r\n\r\n", "")
	f("two equal Hosts", "GET / HTTP/1.1\r\n"+host+host+"\r\n", "")
	f("empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", "")
	f("Host with a path", "GET / HTTP/1.1\r\nHost: www.test/x\r\n\r\n", "")
	f("Host with a user", "GET / HTTP/1.1\r\nHost: a@www.test\r\n\r\n", "")
	f("Host list", "GET / HTTP/1.1\r\nHost: www.test, b.test\r\n\r\n", "")
	f("space before the colon", "GET / HTTP/1.1\r\n"+host+"X-A : b\r\n\r\n", "")
	f("space before a name", "GET / HTTP/1.1\r\n X-A: b\r\n"+host+"\r\n", "")
	f("no colon", "GET / HTTP/1.1\r\n"+host+"X-A\r\n\r\n", "")
	f("bad name", "GET / HTTP/1.1\r\n"+host+"X(A): b\r\n\r\n", "")
	f("empty name", "GET / HTTP/1.1\r\n"+host+": b\r\n\r\n", "")
	f("NUL in a value", "GET / HTTP/1.1\r\n"+host+"X-A: a\x00b\r\n\r\n", "")
	f("bare CR in a value", "GET / HTTP/1.1\r\n"+host+"X-A: a\rX-B: b\r\n\r\n", "")
	f("bare CR ends a line", "GET / HTTP/1.1\r"+host+"\r\n", "")
	f("Content-Length twice, two values", "POST / HTTP/1.1\r\n"+host+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "")
	f("Content-Length list", "POST / HTTP/1.1\r\n"+host+"Content-Length: 1, 2\r\n\r\nab", "")
	f("Content-Length +1", "POST / HTTP/1.1\r\n"+host+"Content-Length: +1\r\n\r\na", "")
	f("Content-Length -1", "POST / HTTP/1.1\r\n"+host+"Content-Length: -1\r\n\r\na", "")
	f("Content-Length 0x1", "POST / HTTP/1.1\r\n"+host+"Content-Length: 0x1\r\n\r\na", "")
	f("Content-Length 1_0", "POST / HTTP/1.1\r\n"+host+"Content-Length: 1_0\r\n\r\na", "")
	f("Content-Length empty", "POST / HTTP/1.1\r\n"+host+"Content-Length:\r\n\r\n", "")
	f("Content-Length too large", "POST / HTTP/1.1\r\n"+host+"Content-Length: 99999999999999999999\r\n\r\na", "")
	f("Transfer-Encoding of two codings", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "")
	f("Transfer-Encoding xchunked", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "")
	f("Transfer-Encoding with VT", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "")
	f("Transfer-Encoding twice", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "")
	f("chunk size xx", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\nxx\r\n", "")
	f("chunk size negative", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n", "")
	f("chunk size of 17 digits", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n00000000000000001\r\na\r\n0\r\n\r\n", "")
	f("chunk longer than its size", "POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", "")
	f("Expect of another kind", "POST / HTTP/1.1\r\n"+host+"Expect: 200-ok\r\nContent-Length: 1\r\n\r\na", "")
	f("HTTP/2 preface in the clear", http2.ClientPreface, "")

	// What net/http would read: the gate refuses it.
	f("CRLF before the request", "\r\n\r\nGET / HTTP/1.1\r\n"+host+"\r\n", "")
	f("Content-Length twice, one value", "POST / HTTP/1.1\r\n"+host+"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "")
	f("lines end by LF", "GET / HTTP/1.1\nHost: www.test\n\n", "")
	f("obs-fold", "GET / HTTP/1.1\r\n"+host+"X-A: a\r\n b\r\n\r\n", "")
	f("Content-Length and chunked", "POST / HTTP/1.1\r\n"+host+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "")

	f("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "")
	f("HTTP/1.0 with Host", "GET / HTTP/1.0\r\n"+host+"\r\n", `GET / ""`)
}

// A second request that hides in the first one's body never runs.
func TestHiddenRequestNeverRuns(t *testing.T) {
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.Contains(r.RequestURI, "hidden") {
			t.Errorf("the hidden request ran: %s %s", r.Method, r.RequestURI)
		}
	})
	const hidden = "GET /hidden HTTP/1.1\r\nHost: www.test\r\n\r\n"
	f := func(head, body string) {
		t.Helper()
		c := l.dial(clearH1)
		c.say("POST / HTTP/1.1\r\nHost: www.test\r\n%s\r\n%s", head, body)
		c.answer("POST")
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = io.Copy(io.Discard, c.r)
		c.Close()
	}
	f(fmt.Sprintf("Content-Length: %d\r\n", len(hidden)), hidden)
	f("Content-Length: 0\r\nContent-Length: 44\r\n", hidden)
	f(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n", len(hidden)), hidden)
	f(fmt.Sprintf("Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n", len(hidden)), hidden)
	f(fmt.Sprintf("Content-Length: %d\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", len(hidden)), hidden)
	f("Expect: 100-continue\r\nContent-Length: 40\r\n", hidden[:40])
}

// The same over HTTP/2, where a client can write what HTTP/1.1 could not carry.
func TestMalformedH2(t *testing.T) {
	l := newLive(t, onePage)
	f := func(name string, fields ...string) {
		t.Helper()
		fr := l.frames()
		fr.head(1, true, fields...)
		if s := fr.status(1); s != "400" && s != "reset" && s != "closed" && s != "421" {
			t.Errorf("%s: %s", name, s)
		}
		if n := l.asked.Load(); n != 0 {
			t.Fatalf("%s: reached the origin", name)
		}
	}
	base := func(more ...string) []string {
		return slices.Concat([]string{":method", "GET", ":scheme", "https", ":authority", "www.test", ":path", "/"}, more)
	}
	f("CR LF in a value", base("x-a", "a\r\nx-b: c")...)
	f("NUL in a value", base("x-a", "a\x00")...)
	f("upper case name", base("X-A", "a")...)
	f("space in a name", base("x a", "a")...)
	f("colon in a name", base("x:a", "a")...)
	f("Connection", base("connection", "close")...)
	f("Transfer-Encoding", base("transfer-encoding", "chunked")...)
	f("TE", base("te", "gzip")...)
	f("path with CR LF", ":method", "GET", ":scheme", "https", ":authority", "www.test", ":path", "/ HTTP/1.1\r\nx: y")
	f("path with a space", ":method", "GET", ":scheme", "https", ":authority", "www.test", ":path", "/a b")
	f("path without a slash", ":method", "GET", ":scheme", "https", ":authority", "www.test", ":path", "a")
	f("empty path", ":method", "GET", ":scheme", "https", ":authority", "www.test", ":path", "")
	f("no path", ":method", "GET", ":scheme", "https", ":authority", "www.test")
	f("method with a space", ":method", "GET /x", ":scheme", "https", ":authority", "www.test", ":path", "/")
	f("two paths", ":method", "GET", ":scheme", "https", ":authority", "www.test", ":path", "/", ":path", "/b")
	f("unknown pseudo field", ":method", "GET", ":scheme", "https", ":authority", "www.test", ":path", "/", ":x", "y")
	f("pseudo field after another", ":method", "GET", "x-a", "b", ":scheme", "https", ":authority", "www.test", ":path", "/")
	f("no authority", ":method", "GET", ":scheme", "https", ":path", "/")

	// A Host beside :authority is of no account, wherever it leads.
	var host string
	l.script(func(_ http.ResponseWriter, r *http.Request) {
		host = r.Host + " " + r.Header.Get("X-Forwarded-Host") + r.Header.Get("Content-Length")
	})
	fr := l.frames()
	fr.head(1, true, base("host", "evil.test")...)
	if s := fr.status(1); s != "200" || host != "www.test www.test" {
		t.Errorf("Host beside :authority: %s, the origin got %q", s, host)
	}
	// Nor is a length without a body; net/http lets it pass (RFC 9113 §8.1.1).
	fr = l.frames()
	fr.head(1, true, base("content-length", "5")...)
	if s := fr.status(1); s != "200" || host != "www.test www.test" {
		t.Errorf("a length without a body: %s, the origin got %q", s, host)
	}
	if a := l.do(secureH2, "GET /"); a.status != 200 {
		t.Errorf("afterwards: %+v", a)
	}
}

// Each answer has its own fields: http3 writes a head after the handler has
// returned and its Exchange serves another request.
func TestAnswersDoNotMixTheirFields(t *testing.T) {
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Cache-Control", "max-age=1000")
		w.Header().Set("Age", strconv.Itoa(n))
		w.Header().Set("X-N", strconv.Itoa(n))
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	})
	for _, way := range ways {
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 100 {
					n := (g*100 + i*7) % 300
					a := l.do(way, fmt.Sprint("GET /", n))
					age, _ := strconv.Atoi(a.header.Get("Age"))
					if a.err != nil || len(a.body) != n || a.header.Get("X-N") != strconv.Itoa(n) || a.header.Get("Content-Length") != strconv.Itoa(n) || age < n || age > n+20 {
						t.Errorf("%s /%d: %d bytes, %v, %v", way, n, len(a.body), a.header, a.err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}
