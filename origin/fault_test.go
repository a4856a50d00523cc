package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// short is a limit that is meant to be reached; long is what a test may take at most before it counts as hung.
const (
	short = 100 * time.Millisecond
	long  = 3 * time.Second
)

// TestMisbehaviour: what a member can do wrong over HTTP/1.1, and the Kind of each.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	hang := func(c net.Conn) { io.Copy(io.Discard, c) }
	f := func(name string, want Kind, cause string, talk func(c *net.TCPConn)) {
		t.Helper()
		p := newPool(t, func(o *Options) { o.FirstByte, o.BetweenBytes = 2*short, short },
			raw(t, func(c *net.TCPConn, _ *bufio.Reader, _ int) { talk(c) }))
		start := time.Now()
		_, _, err := fetch(p, get(t, "/"))
		if kindOf(err) != want || !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: %v, want %v with %q", name, err, want, cause)
		}
		if d := time.Since(start); d > long {
			t.Errorf("%s: took %v", name, d)
		}
	}
	says := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) { io.WriteString(c, text) }
	}
	saysAndHangs := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) { io.WriteString(c, text); hang(c) }
	}
	saysAndResets := func(text string) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			io.WriteString(c, text)
			time.Sleep(50 * time.Millisecond) // else the reset overtakes the text
			c.SetLinger(0)
			c.Close()
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	f("close", Terminated, "EOF", says(""))
	f("reset", Terminated, "reset", saysAndResets(""))
	f("garbage", ProtocolError, "malformed", says("\x00\x01\x02 garbage\r\n\r\n"))
	f("HTTP/0.9", ProtocolError, "malformed", says("<html>hello</html>\r\n\r\n"))
	f("another protocol", ProtocolError, "malformed", saysAndHangs("SSH-2.0-OpenSSH_9.2\r\n"))
	f("HTTP/3.7", ProtocolError, "", says("HTTP/one.two 200 OK\r\n\r\n"))
	f("status 20", ProtocolError, "malformed", says("HTTP/1.1 20 OK\r\n\r\n"))
	f("status 020", ProtocolError, "status 020", says("HTTP/1.1 020 OK\r\n\r\n"))
	f("status -200", ProtocolError, "malformed", says("HTTP/1.1 -200 OK\r\n\r\n"))
	f("status 600", ProtocolError, "status 600", says("HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"))
	f("half a head, close", Terminated, "EOF", says(ok+"X: y\r\n"))
	f("half a head, reset", Terminated, "EOF", saysAndResets(ok+"X: y\r\n"))
	f("half a line, close", ProtocolError, "malformed", says(ok+"Content-Le")) // net/http tells no more
	f("half a head, stall", ResponseTimeout, "no response within", saysAndHangs(ok+"Content-Le"))
	f("stall", ResponseTimeout, "no response within", hang2)
	f("giant head", HeaderTooLarge, "", saysAndHangs(ok+"X: "+strings.Repeat("x", 70<<10)+"\r\n\r\n"))
	f("giant head in lines", HeaderTooLarge, "", saysAndHangs(ok+strings.Repeat("X-Line: 0123456789\r\n", 4000)+"\r\n"))
	f("endless status line", HeaderTooLarge, "", saysAndHangs("HTTP/1.1 200 "+strings.Repeat("x", 70<<10)))
	f("two lengths", ProtocolError, "Content-Length", says(ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"))
	f("bad length", ProtocolError, "Content-Length", says(ok+"Content-Length: +1\r\n\r\na"))
	f("unknown coding", TransferCoding, "", says(ok+"Transfer-Encoding: gzip\r\n\r\n"))
	f("short body", ResponseIncomplete, "unexpected EOF", says(ok+"Content-Length: 10\r\n\r\n12345"))
	f("chunks without end", ResponseIncomplete, "unexpected EOF", says(ok+"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"))
	f("bad chunk", TransferCoding, "chunk", says(ok+"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nxyz\r\n"))
	f("body reset", Terminated, "reset", saysAndResets(ok+"Content-Length: 10\r\n\r\n12345"))
	f("body stall", ResponseTimeout, "no more of the body", saysAndHangs(ok+"Content-Length: 10\r\n\r\n12345"))
	f("chunk stall", ResponseTimeout, "no more of the body", saysAndHangs(ok+"Transfer-Encoding: chunked\r\n\r\n5\r\n123"))
	f("unasked 101", ProtocolError, "without Upgrade", saysAndHangs("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"))
	f("1xx flood", ProtocolError, "more than 20 informational", saysAndHangs(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 21)+ok+"\r\n"))
	f("endless 1xx", ResponseTimeout, "no response within", func(c *net.TCPConn) {
		for range 15 {
			io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\n")
			time.Sleep(short / 4)
		}
	})
}

func hang2(c *net.TCPConn) { io.Copy(io.Discard, c) }

func TestTwentyInformationalResponsesPass(t *testing.T) {
	p := newPool(t, nil, raw(t, func(c *net.TCPConn, _ *bufio.Reader, _ int) {
		io.WriteString(c, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20)+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}))
	n := 0
	r := get(t, "/")
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(int, textproto.MIMEHeader) error { n++; return nil },
	}))
	if _, body, err := fetch(p, r); err != nil || body != "ok" || n != 20 {
		t.Errorf("%q, %v, %d informational", body, err, n)
	}
}

// TestSlowButAlive: neither a member that sends in time nor a reader that takes its time is cut.
func TestSlowButAlive(t *testing.T) {
	t.Parallel()
	p := newPool(t, func(o *Options) { o.FirstByte, o.BetweenBytes = 8*short, 4*short },
		raw(t, func(c *net.TCPConn, _ *bufio.Reader, _ int) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
			for range 8 {
				time.Sleep(short)
				io.WriteString(c, "x")
			}
		}))
	_, body, err := fetch(p, get(t, "/"))
	if err != nil || body != "xxxxxxxx" {
		t.Errorf("a body of 0.8 s with a limit of 0.4 s between bytes: %q, %v", body, err)
	}
	resp, err := p.RoundTrip(get(t, "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.Sleep(9 * short) // nobody waits for bytes meanwhile
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "xxxxxxxx" {
		t.Errorf("a reader that came late got %q, %v", b, err)
	}
}

func TestTotal(t *testing.T) {
	t.Parallel()
	p := newPool(t, func(o *Options) { o.Total = 3 * short }, raw(t, func(c *net.TCPConn, _ *bufio.Reader, _ int) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
		for range 1000 {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(short / 10)
		}
	}))
	_, body, err := fetch(p, get(t, "/"))
	if kindOf(err) != ResponseTimeout || !strings.Contains(err.Error(), "total time") || body == "" {
		t.Errorf("%d bytes, %v; want some, and %v", len(body), err, ResponseTimeout)
	}
}

// TestRetry: which failed request is tried at the other member.
func TestRetry(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	good := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
		hits.Add(1)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	closes := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {})
	talks := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) { io.WriteString(c, "H") })
	stalls := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) { io.Copy(io.Discard, c) })
	f := func(bad, method, body string, retries int, want Kind) {
		t.Helper()
		hits.Store(0)
		p := newPool(t, func(o *Options) { o.Retries, o.FirstByte = retries, 3*short }, bad, good)
		var rd io.Reader
		if body != "" {
			rd = strings.NewReader(body)
		}
		_, _, err := fetch(p, request(t, method, "/", rd))
		if kindOf(err) != want {
			t.Errorf("%s %q with %d retries: %v, want %v", method, body, retries, err, want)
		}
		if n := hits.Load(); (n == 1) != (want == kinds) {
			t.Errorf("%s %q with %d retries: the other member was asked %d times", method, body, retries, n)
		}
	}
	none := refused(t)
	f(none, "GET", "", 1, kinds)
	f(none, "GET", "", 0, Refused)
	f(none, "POST", "", 1, kinds) // never sent
	f(none, "POST", "body", 1, kinds)
	f(closes, "GET", "", 1, kinds)
	f(closes, "HEAD", "", 1, kinds)
	f(closes, "OPTIONS", "", 1, kinds)
	f(closes, "GET", "", 0, Terminated)
	f(closes, "GET", "body", 1, Terminated)
	f(closes, "POST", "", 1, Terminated)
	f(closes, "POST", "body", 1, Terminated)
	f(closes, "DELETE", "", 1, Terminated)
	f(closes, "PUT", "body", 1, Terminated)
	f(talks, "GET", "", 1, ProtocolError) // a byte came
	f(stalls, "GET", "", 1, kinds)
	f(stalls, "POST", "body", 1, ResponseTimeout)
}

// TestRetriesAreBounded: one request asks each member once at most, and Retries+1 members at most.
func TestRetriesAreBounded(t *testing.T) {
	var asked atomic.Int32
	var urls []string
	for range 5 {
		urls = append(urls, raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) { asked.Add(1) }))
	}
	f := func(members, retries, want int) {
		t.Helper()
		asked.Store(0)
		p := newPool(t, func(o *Options) { o.Retries = retries }, urls[:members]...)
		if _, _, err := fetch(p, get(t, "/")); kindOf(err) != Terminated {
			t.Errorf("%v", err)
		}
		if n := asked.Load(); int(n) != want {
			t.Errorf("%d members, %d retries: %d were asked, want %d", members, retries, n, want)
		}
	}
	f(5, 0, 1)
	f(5, 2, 3)
	f(5, 9, 5)
	f(1, 9, 1)
}

func TestBackupOnlyWhenPrimariesFail(t *testing.T) {
	backup := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nbackup")
	})
	primary := raw(t, func(c *net.TCPConn, br *bufio.Reader, n int) {
		if n < 3 {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nprimary")
		}
	})
	p := newPool(t, func(o *Options) { o.Retries = 1; o.Members[0].Backup = true }, backup, primary)
	got := ""
	for range 5 {
		_, body, err := fetch(p, get(t, "/"))
		if err != nil {
			t.Fatal(err)
		}
		got += body + " "
	}
	if want := "primary primary primary backup backup "; got != want {
		t.Errorf("answers of %s, want %s", got, want)
	}
}

// TestGivenUp: the end of the caller's context is told as such, not as a fault of the member's, and no other member is asked.
func TestGivenUp(t *testing.T) {
	arrived := make(chan bool, 1)
	stalls := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
		arrived <- true
		io.Copy(io.Discard, c)
	})
	p := newPool(t, func(o *Options) { o.Retries = 1 }, stalls, refused(t))
	why := errors.New("client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-arrived
		cancel(why)
	}()
	_, err := p.RoundTrip(get(t, "/").WithContext(ctx))
	if !errors.Is(err, why) || kindOf(err) != kinds {
		t.Errorf("%v", err)
	}
	sends := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nx")
		io.Copy(io.Discard, c)
	})
	p = newPool(t, nil, sends)
	ctx, cancel = context.WithCancelCause(t.Context())
	resp, err := p.RoundTrip(get(t, "/").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.AfterFunc(short/2, func() { cancel(why) })
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, why) || kindOf(err) != kinds {
		t.Errorf("%v", err)
	}
}

type brokenBody struct {
	sent   int
	err    error
	closed atomic.Int32
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.sent == 0 {
		return 0, b.err
	}
	n := min(b.sent, len(p))
	b.sent -= n
	return n, nil
}

func (b *brokenBody) Close() error { b.closed.Add(1); return nil }

// TestUpload: whose fault a broken upload is, and that the body is closed once whatever happens.
func TestUpload(t *testing.T) {
	t.Parallel()
	reads := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) { io.Copy(io.Discard, br) })
	stalls := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) { c.SetReadBuffer(4096); time.Sleep(10 * short) })
	f := func(name, url string, body *brokenBody, want Kind) {
		t.Helper()
		p := newPool(t, func(o *Options) { o.FirstByte, o.BetweenBytes = 3*short, 3*short }, url)
		r := request(t, "POST", "/", nil)
		r.Body, r.ContentLength = body, -1
		start := time.Now()
		_, _, err := fetch(p, r)
		if kindOf(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if d := time.Since(start); d > long {
			t.Errorf("%s took %v", name, d)
		}
		for wait := time.Now(); body.closed.Load() == 0 && time.Since(wait) < long; {
			time.Sleep(time.Millisecond)
		}
		if n := body.closed.Load(); n != 1 {
			t.Errorf("%s: body closed %d times", name, n)
		}
	}
	mine := errors.New("client broke off")
	f("client breaks off", reads, &brokenBody{sent: 1000, err: mine}, RequestError)
	f("member takes nothing", stalls, &brokenBody{sent: 1 << 30, err: io.EOF}, WriteTimeout)
	f("member never answers", reads, &brokenBody{sent: 1000, err: io.EOF}, ResponseTimeout)
	f("refused", refused(t), &brokenBody{sent: 1000, err: io.EOF}, Refused)
	bad := &brokenBody{err: io.EOF}
	p := newPool(t, func(o *Options) { o.Retries = 1 }, reads, reads)
	r := request(t, "POST", "/", nil)
	r.Method = "BAD METHOD"
	r.Body, r.ContentLength = bad, -1
	if _, _, err := fetch(p, r); kindOf(err) != RequestError || bad.closed.Load() != 1 {
		t.Errorf("bad method: %v, closed %d times", err, bad.closed.Load())
	}
}

// TestSlowClientUpload: time in which the client sends nothing is not held against the member.
func TestSlowClientUpload(t *testing.T) {
	t.Parallel()
	p := newPool(t, func(o *Options) { o.FirstByte, o.BetweenBytes = 3*short, 3*short },
		raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
			if skipHead(bufio.NewReader(io.MultiReader(br, strings.NewReader("\r\n")))) {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}))
	rd, wr := io.Pipe()
	go func() {
		for range 5 {
			time.Sleep(2 * short)
			io.WriteString(wr, "line\n")
		}
		time.Sleep(2 * short)
		io.WriteString(wr, "\r\n")
		wr.Close()
	}()
	r := request(t, "POST", "/", rd)
	r.ContentLength = 5*5 + 2
	if _, body, err := fetch(p, r); err != nil || body != "ok" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	release := make(chan bool)
	var once atomic.Bool
	url := raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
		for {
			if !once.Swap(true) {
				<-release
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if !skipHead(br) {
				return
			}
		}
	})
	p := newPool(t, func(o *Options) { o.MaxConnections, o.Connect, o.TLS = 1, short, short }, url)
	first := make(chan error, 1)
	go func() {
		_, _, err := fetch(p, get(t, "/"))
		first <- err
	}()
	for !once.Load() {
		time.Sleep(time.Millisecond)
	}
	if _, _, err := fetch(p, get(t, "/")); kindOf(err) != ConnectionLimit || kindOf(err).Status() != 503 {
		t.Errorf("second exchange over one connection: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("first exchange: %v", err)
	}
	if _, body, err := fetch(p, get(t, "/")); err != nil || body != "ok" {
		t.Errorf("third exchange: %q, %v", body, err)
	}
}

func TestDialKinds(t *testing.T) {
	f := func(url string, want Kind) {
		t.Helper()
		p := newPool(t, func(o *Options) { o.Connect, o.TLS = short, short }, url)
		start := time.Now()
		_, _, err := fetch(p, get(t, "/"))
		if kindOf(err) != want {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
		if d := time.Since(start); d > long {
			t.Errorf("%s took %v", url, d)
		}
		if !strings.Contains(fmt.Sprint(err), url) {
			t.Errorf("%v does not name the member %s", err, url)
		}
	}
	f(refused(t), Refused)
	// A TLS member that accepts and says nothing.
	f(strings.Replace(silent(t), "http:", "https:", 1), ConnectionTimeout)
}

// silent accepts connections and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
	p := newPool(t, func(o *Options) { o.Total, o.BetweenBytes, o.FirstByte, o.HTTP2 = short, short, short, true },
		raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
			io.WriteString(c, answer+"early")
			io.Copy(c, br) // echo
		}))
	ask := func(protocol string) *http.Request {
		r := get(t, "/")
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", protocol)
		return r
	}
	resp, err := p.RoundTrip(ask("h2c, websocket"))
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	time.Sleep(2 * short) // a tunnel is under none of the limits
	rw := resp.Body.(io.ReadWriteCloser)
	if _, err := io.WriteString(rw, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("earlyhello"))
	if _, err := io.ReadFull(rw, got); err != nil || string(got) != "earlyhello" {
		t.Errorf("%q, %v", got, err)
	}
	rw.Close()
	if _, err := p.RoundTrip(ask("foo")); kindOf(err) != UpgradeFailed {
		t.Errorf("asked for foo, got websocket: %v", err)
	}
	p = newPool(t, nil, raw(t, func(c *net.TCPConn, br *bufio.Reader, _ int) {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
	}))
	if _, err := p.RoundTrip(ask("websocket")); kindOf(err) != UpgradeFailed {
		t.Errorf("101 without Connection: %v", err)
	}
}
