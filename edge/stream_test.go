package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"levee/config"
)

// bareOrigin listens and gives each connection, with its first request's head
// read, to serve, which owns it.
func bareOrigin(t *testing.T, serve func(c net.Conn, r *http.Request, buffered *bufio.Reader)) (change func(*config.Config), asked *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				br := bufio.NewReader(c)
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				asked.Add(1)
				serve(c, r, br)
			}()
		}
	}()
	u := &url.URL{Scheme: "http", Host: l.Addr().String()}
	return func(c *config.Config) {
		c.Sites[0].Origin.Members = []config.Member{config.DefaultMember(u)}
	}, asked
}

const upgrade = "GET /chat HTTP/1.1\r\nHost: www.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"

func TestUpgrade(t *testing.T) {
	ended := make(chan error, 8)
	change, _ := bareOrigin(t, func(c net.Conn, r *http.Request, br *bufio.Reader) {
		switch r.Header.Get("Upgrade") {
		case "refuse":
			_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		case "other":
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: else\r\n\r\n")
		case "":
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain")
		default:
			// The first bytes come with the head itself.
			fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: y\r\n\r\nhello ", r.Header.Get("Upgrade"))
			_, err := io.Copy(c, br)
			ended <- err
		}
	})
	l := newLive(t, nil, change)
	for _, way := range ways[:2] {
		for _, protocol := range []string{"websocket", "WebSocket", "irc/1.0"} {
			c := l.dial(way)
			c.say(upgrade+"early ", protocol) // a client need not wait
			resp, err := http.ReadResponse(c.r, &http.Request{Method: "GET"})
			if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != protocol || resp.Header.Get("Sec-Websocket-Accept") != "y" {
				t.Fatalf("%s by %s: %v %+v", protocol, way, err, resp)
			}
			big := strings.Repeat("0123456789abcdef", 1<<16)
			go c.say("late %s", big)
			want := "hello early late " + big
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
				t.Errorf("%s by %s: %v, echoed %d bytes %.40q", protocol, way, err, len(got), got)
			}
			c.Close()
			select {
			case <-ended:
			case <-time.After(3 * time.Second):
				t.Errorf("%s by %s: the origin's side stays open after the client has left", protocol, way)
			}
		}
		f := func(protocol string, status int, body string) {
			t.Helper()
			c := l.dial(way)
			c.say(upgrade, protocol)
			if a := c.answer("GET"); a.status != status || body != "" && a.body != body {
				t.Errorf("Upgrade: %s by %s: %d %q %v, want %d %q", protocol, way, a.status, a.body, a.err, status, body)
			}
		}
		f("refuse", 403, "no")
		f("other", 502, "")
		// Another version of HTTP would be a way around every check.
		f("h2c", 200, "plain")
		f("HTTP/2.0", 200, "plain")
		f("websocket, h2c", 200, "plain")
	}
}

// The origin's end of a tunnel ends the client's.
func TestTunnelEndsWithTheOrigin(t *testing.T) {
	change, _ := bareOrigin(t, func(c net.Conn, r *http.Request, br *bufio.Reader) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")
	})
	l := newLive(t, nil, change)
	c := l.dial(clearH1)
	c.say(upgrade, "websocket")
	if _, err := http.ReadResponse(c.r, nil); err != nil {
		t.Fatal(err)
	}
	if p, err := io.ReadAll(c.r); err != nil || string(p) != "bye" {
		t.Errorf("%q %v", p, err)
	}
}

// gRPC in its shape: trailers, answers before the request has ended, and
// answers of nothing but a head.
func TestGRPC(t *testing.T) {
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
			t.Errorf("the origin got %s, TE %q", r.Proto, r.Header.Get("Te"))
		}
		w.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/trailers-only" {
			w.Header().Set("Grpc-Status", "5")
			return
		}
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		buf := make([]byte, 64)
		for { // each message is answered at once
			n, err := r.Body.Read(buf)
			if n > 0 {
				fmt.Fprintf(w, "re:%s", buf[:n])
				_ = http.NewResponseController(w).Flush()
			}
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", "fine")
		w.Header().Set(http.TrailerPrefix+"Unannounced", "yes")
	})
	for _, way := range []string{secureH2, secureH3} {
		body, send := io.Pipe()
		resp := make(chan *http.Response, 1)
		go func() {
			r, err := l.client(way).Do(l.request(way, "POST /call", body, "Content-Type: application/grpc", "Te: trailers"))
			if err != nil {
				t.Errorf("%s: %v", way, err)
			}
			resp <- r
		}()
		_, _ = io.WriteString(send, "one")
		r := <-resp
		if r == nil {
			continue
		}
		time.AfterFunc(5*time.Second, func() { send.CloseWithError(fmt.Errorf("no answer came while the request was open")) })
		got := make([]byte, 6)
		if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != "re:one" {
			t.Errorf("%s: first message %q %v", way, got, err)
		}
		_, _ = io.WriteString(send, "two")
		if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != "re:two" {
			t.Errorf("%s: second message %q %v", way, got, err)
		}
		send.Close()
		rest, err := io.ReadAll(r.Body)
		if err != nil || len(rest) > 0 {
			t.Errorf("%s: the end: %q %v", way, rest, err)
		}
		r.Body.Close()
		for name, want := range map[string]string{"Grpc-Status": "0", "Grpc-Message": "fine", "Unannounced": "yes"} {
			if v := r.Trailer.Get(name); v != want {
				t.Errorf("%s: trailer %s is %q, want %q (all: %v)", way, name, v, want, r.Trailer)
			}
		}
		if a := l.doBody(way, "POST /trailers-only", strings.NewReader(""), "Content-Type: application/grpc", "Te: trailers"); a.header.Get("Grpc-Status") != "5" || a.body != "" || a.err != nil {
			t.Errorf("%s: trailers only: %+v", way, a)
		}
	}
}

// Trailers reach the far end over every protocol, both ways.
func TestTrailers(t *testing.T) {
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d bytes", n)
		w.Header().Set("X-Sum", "got "+r.Trailer.Get("X-Asked"))
	})
	for _, way := range ways {
		r := l.request(way, "POST /", struct{ io.Reader }{strings.NewReader("abc")})
		r.Trailer = http.Header{"X-Asked": {"this"}}
		resp, err := l.client(way).Do(r)
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		a := read(resp)
		if a.body != "3 bytes" || a.err != nil {
			t.Errorf("%s: %+v", way, a)
		}
		if got := resp.Trailer.Get("X-Sum"); got != "got this" {
			t.Errorf("%s: trailer %q", way, got)
		}
	}
}

// Events arrive when they are sent, while the stream is open; a client that
// leaves ends it at the origin.
func TestServerSentEvents(t *testing.T) {
	next := make(chan string)
	left := make(chan struct{}, 1)
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case e := <-next:
				fmt.Fprintf(w, "data: %s\n\n", e)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				left <- struct{}{}
				return
			}
		}
	})
	for _, way := range ways {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		go func() { next <- "one" }()
		resp, err := l.client(way).Do(l.request(way, "GET /"+strings.ReplaceAll(way, " ", "-"), nil).WithContext(ctx))
		if err != nil {
			t.Fatalf("%s: %v", way, err)
		}
		br := bufio.NewReader(resp.Body)
		for _, e := range []string{"one", "two", "three"} {
			if e != "one" {
				next <- e
			}
			line, err := br.ReadString('\n')
			_, _ = br.ReadString('\n')
			if err != nil || line != "data: "+e+"\n" {
				t.Errorf("%s: %q %v, want event %s", way, line, err, e)
			}
		}
		cancel()
		resp.Body.Close()
		select {
		case <-left:
		case <-time.After(3 * time.Second):
			t.Errorf("%s: the origin's stream stays open after the client has left", way)
		}
	}
}

// The origin sees the first bytes of an upload before the client has sent the
// last.
func TestUploadStreams(t *testing.T) {
	first := make(chan string, 1)
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, buf)
		first <- string(buf)
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, " ", err)
	})
	for _, way := range ways {
		for _, announced := range []bool{false, true} {
			body, send := io.Pipe()
			r := l.request(way, "PUT /", body)
			const rest = 8 << 20
			if announced {
				r.ContentLength = 5 + rest
			}
			got := make(chan answer, 1)
			go func() { got <- l.send(way, r) }()
			go func() { _, _ = io.WriteString(send, "first") }()
			select {
			case s := <-first:
				if s != "first" {
					t.Errorf("%s: the origin got %q", way, s)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: the origin sees nothing of an upload that has begun", way)
			}
			_, _ = send.Write(make([]byte, rest))
			send.Close()
			if a := <-got; a.body != fmt.Sprint(rest, " ", nil) {
				t.Errorf("%s: %+v", way, a)
			}
		}
	}
}

func TestExpectContinue(t *testing.T) {
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" { // before any of the body
			w.WriteHeader(403)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}, limited(func(l *config.Limits) { l.BodyBytes = 1000 }))
	for _, way := range ways[:2] {
		c := l.dial(way)
		c.say("POST / HTTP/1.1\r\nHost: www.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		if a := c.answer("POST"); a.status != 100 {
			t.Fatalf("%s: %+v", way, a)
		}
		c.say("abc")
		if a := c.answer("POST"); a.status != 200 || a.body != "3" {
			t.Errorf("%s: %+v", way, a)
		}
		// Refused without asking for the body.
		c = l.dial(way)
		c.say("POST / HTTP/1.1\r\nHost: www.test\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
		if a := c.answer("POST"); a.status != 413 {
			t.Errorf("%s, too large: %+v", way, a)
		}
		c = l.dial(way)
		c.say("POST /no HTTP/1.1\r\nHost: www.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		a := c.answer("POST")
		if a.status == 100 {
			c.say("abc")
			a = c.answer("POST")
		}
		if a.status != 403 {
			t.Errorf("%s, refused by the origin: %+v", way, a)
		}
	}
}

func TestEarlyHints(t *testing.T) {
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Final", "yes")
		_, _ = io.WriteString(w, "page")
	}, func(c *config.Config) { c.Sites[0].Rules = []config.Rule{{Cache: "bypass"}} })
	for _, way := range ways {
		hints := make(chan string, 10)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints <- fmt.Sprint(code, " ", h.Get("Link"))
			return nil
		}})
		a := l.send(way, l.request(way, "GET /", nil).WithContext(ctx))
		if a.status != 200 || a.body != "page" || a.header.Get("Link") != "" || a.header.Get("X-Final") != "yes" {
			t.Errorf("%s: %+v", way, a)
		}
		select {
		case got := <-hints:
			if got != "103 </a.css>; rel=preload" {
				t.Errorf("%s: %s", way, got)
			}
		default:
			t.Errorf("%s: no 103 came", way)
		}
	}
	// HTTP/1.0 knows no 1xx (RFC 9110 §15.2).
	c := l.dial(clearH1)
	c.say("GET / HTTP/1.0\r\nHost: www.test\r\n\r\n")
	if a := c.answer("GET"); a.status != 200 {
		t.Errorf("HTTP/1.0: %+v", a)
	}
}

// An origin that dies in the middle of a body never looks like one that has
// sent all of it, and nothing of it is stored.
func TestTruncationShows(t *testing.T) {
	body := strings.Repeat("0123456789", 10000)
	requests := []string{"GET /", "POST /", "GET /?late=1"}
	f := func(name, head string, die func(net.Conn)) {
		t.Helper()
		for _, fields := range []string{"Cache-Control: max-age=60\r\n", "Cache-Control: no-store\r\n"} {
			change, asked := bareOrigin(t, func(c net.Conn, r *http.Request, _ *bufio.Reader) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+fields+head)
				if r.URL.Query().Get("late") != "" {
					time.Sleep(20 * time.Millisecond) // the head is at the client already
				}
				die(c)
			})
			l := newLive(t, nil, change)
			for _, way := range ways {
				for _, request := range requests {
					before := asked.Load()
					// The next request may still meet the flight that has died; no
					// later one may.
					eventually(t, "the origin is asked again", func() bool {
						a := l.do(way, request)
						if a.err == nil && a.status < 500 || strings.Contains(a.cacheStatus(), "hit") {
							t.Errorf("%s, %s %s by %s: a clean end after %d bytes, %s", name, request, strings.TrimSpace(fields), way, len(a.body), a.cacheStatus())
						}
						return asked.Load() >= before+2 || t.Failed()
					})
				}
			}
		}
	}
	reset := func(c net.Conn) {
		time.Sleep(5 * time.Millisecond) // the bytes before it must arrive
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	f("Content-Length", "Content-Length: 200000\r\n\r\n", func(c net.Conn) { _, _ = io.WriteString(c, body) })
	requests = requests[:2]
	f("Content-Length, no byte", "Content-Length: 200000\r\n\r\n", func(net.Conn) {})
	f("Content-Length, one byte short", "Content-Length: 100001\r\n\r\n", func(c net.Conn) { _, _ = io.WriteString(c, body) })
	f("chunked", "Transfer-Encoding: chunked\r\n\r\n", func(c net.Conn) { fmt.Fprintf(c, "%x\r\n%s\r\n", len(body), body) })
	f("chunked, in a chunk", "Transfer-Encoding: chunked\r\n\r\n", func(c net.Conn) { fmt.Fprintf(c, "%x\r\n%s", 2*len(body), body) })
	f("chunked, then nonsense", "Transfer-Encoding: chunked\r\n\r\n", func(c net.Conn) { fmt.Fprintf(c, "%x\r\n%s\r\nzz\r\n", len(body), body) })
	f("reset", "Content-Length: 200000\r\n\r\n", func(c net.Conn) { _, _ = io.WriteString(c, body); reset(c) })
	f("reset of chunked", "Transfer-Encoding: chunked\r\n\r\n", func(c net.Conn) { fmt.Fprintf(c, "%x\r\n%s\r\n", len(body), body); reset(c) })
}

// An origin that answers before it has read the body leaves its connection
// reading on after the request is over. That must harm nothing.
func TestAnswerBeforeTheUploadEnds(t *testing.T) {
	change, _ := bareOrigin(t, func(c net.Conn, r *http.Request, _ *bufio.Reader) {
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
	})
	l := newLive(t, nil, change, limited(func(l *config.Limits) { l.BodyRate, l.BodyGrace = 1000, config.Duration(time.Second) }))
	for _, way := range ways {
		for i := range 30 {
			a := l.doBody(way, "POST /", bytes.NewReader(make([]byte, 1+i*40000)))
			// The client may find its connection closed before it finds the answer.
			if a.err == nil && a.status != 403 && a.status != 502 {
				t.Errorf("%s: %+v", way, a)
			}
		}
	}
	if n := counter(t, l.handler.Metrics.faults); n != 0 {
		t.Errorf("%v faults", n)
	}
}
