package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/http2"

	"levee/config"
)

// limited changes the limits of a rig.
func limited(f func(l *config.Limits)) func(*config.Config) {
	return func(c *config.Config) { f(&c.Limits) }
}

func sayNothing(http.ResponseWriter, *http.Request) {}

// At each limit of a request's head a request passes; one beyond it is refused
// with the status that says which, over every protocol.
func TestHeadLimits(t *testing.T) {
	l := newLive(t, sayNothing, limited(func(l *config.Limits) { l.HeaderBytes, l.HeaderCount, l.URLBytes = 2048, 20, 300 }))
	f := func(way string, beyond, status int, what string, r *http.Request) {
		t.Helper()
		before := l.asked.Load()
		a := l.send(way, r)
		want := 200
		if beyond > 0 {
			want = status
		}
		if a.err != nil || a.status != want || (l.asked.Load() > before) != (want == 200) {
			t.Errorf("%s, %d beyond, by %s: %d %q %v, want %d", what, beyond, way, a.status, a.body, a.err, want)
		}
		if want != 200 && !strings.Contains(a.body, "limit is ") && !strings.Contains(a.body, "limits."+strings.Split(what, ",")[0]) {
			t.Errorf("%s: the answer does not name the limit: %q", what, a.body)
		}
	}
	for _, way := range ways {
		for beyond := range 2 {
			f(way, beyond, 414, "url_bytes", l.request(way, "GET /"+strings.Repeat("u", 299+beyond), nil))

			var lines []string
			for i := range 19 + beyond { // and Host
				lines = append(lines, fmt.Sprintf("X-%d: v", i))
			}
			f(way, beyond, 431, "header_count", l.request(way, "GET /", nil, lines...))

			var same []string
			for range 19 + beyond {
				same = append(same, "X-Same: v")
			}
			f(way, beyond, 431, "header_count, one name", l.request(way, "GET /", nil, same...))

			rest := 2048 + beyond - len("GET / HTTP/1.1\r\nHost: www.test\r\nX-A: \r\n")
			f(way, beyond, 431, "header_bytes", l.request(way, "GET /", nil, "X-A: "+strings.Repeat("a", rest)))
		}
		// Far beyond it the protocol itself refuses, and nothing comes through.
		before := l.asked.Load()
		a := l.do(way, "GET /", "X-A: "+strings.Repeat("a", 200<<10))
		if a.err == nil && a.status != 431 || l.asked.Load() != before {
			t.Errorf("a head of 200 KiB by %s: %d %v", way, a.status, a.err)
		}
		if a := l.do(way, "GET /after"); a.status != 200 {
			t.Errorf("after a head of 200 KiB by %s: %+v", way, a)
		}
	}
}

// A head that drips, or never comes, ends after header_timeout and not before.
// The connections of HTTP/2 and 3 on which that happens count as idle.
func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	const limit = 400 * time.Millisecond
	l := newLive(t, sayNothing, limited(func(l *config.Limits) {
		l.HeaderTimeout, l.IdleTimeout = config.Duration(limit), config.Duration(10*time.Second)
	}))
	f := func(name, way string, first string) {
		t.Helper()
		c := l.dial(way)
		start := time.Now()
		c.say("%s", first)
		stop := make(chan struct{})
		var drip sync.WaitGroup
		drip.Go(func() { // a byte now and then must not put it off
			for i := 0; first != "" && i < 100; i++ {
				select {
				case <-stop:
					return
				case <-time.After(limit / 10):
					c.say("a")
				}
			}
		})
		a := c.answer("GET")
		took := time.Since(start)
		close(stop)
		drip.Wait()
		// net/http says nothing, or calls what it has of a request line malformed.
		if a.err == nil && a.status/100 != 4 || took < limit-limit/10 || took > 3*limit {
			t.Errorf("%s by %s: %d %v after %v, want the end after %v", name, way, a.status, a.err, took, limit)
		}
	}
	var all sync.WaitGroup
	for _, way := range ways[:2] {
		all.Go(func() { f("dripping field", way, "GET / HTTP/1.1\r\nHost: www.test\r\nX-A: ") })
		all.Go(func() { f("dripping target", way, "GET /") })
		all.Go(func() { f("nothing", way, "") })
		all.Go(func() { // the second request of a connection has its own time
			c := l.dial(way)
			c.say("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
			if a := c.answer("GET"); a.status != 200 {
				t.Errorf("%+v", a)
			}
			time.Sleep(limit + limit/4) // idle, not in a head
			c.say("GET / HTTP/1.1\r\n")
			time.Sleep(limit / 2)
			c.say("Host: www.test\r\n\r\n")
			if a := c.answer("GET"); a.status != 200 {
				t.Errorf("a head that took half the time, by %s: %+v", way, a)
			}
		})
	}
	all.Wait()
}

// A connection without a request ends after idle_timeout, over every protocol;
// one with a request does not.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	hold := make(chan struct{})
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-hold
		}
	}, limited(func(l *config.Limits) { l.IdleTimeout = config.Duration(limit) }))
	time.AfterFunc(3*limit, func() { close(hold) })
	f := func(way string, took time.Duration) {
		t.Helper()
		// HTTP/2 leaves a second between GOAWAY and the end.
		if most := limit + 1500*time.Millisecond; took < limit-limit/10 || took > most {
			t.Errorf("%s: the end came after %v, want %v or a little more", way, took, limit)
		}
	}
	var all sync.WaitGroup
	for _, way := range ways[:2] {
		all.Go(func() {
			c := l.dial(way)
			c.say("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
			c.answer("GET")
			start := time.Now()
			if !c.closed(5 * time.Second) {
				t.Errorf("%s: stays open", way)
			}
			f(way, time.Since(start))
		})
	}
	all.Go(func() {
		fr := l.frames()
		fr.get(1, "www.test", "/")
		fr.status(1)
		start := time.Now()
		goaway := fr.until(func(f http2.Frame) bool { _, ok := f.(*http2.GoAwayFrame); return ok })
		if goaway == nil {
			t.Error("h2: no GOAWAY")
		}
		fr.until(func(http2.Frame) bool { return false })
		f(secureH2, time.Since(start))
	})
	all.Go(func() {
		start := time.Now() // the server's clock starts in the middle of the handshake
		conn, err := l.dialQUIC("www.test")
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case <-conn.Context().Done():
			f(secureH3, time.Since(start))
		case <-time.After(5 * time.Second):
			t.Error("h3: stays open")
		}
	})
	all.Go(func() { // no head becomes complete
		fr := l.frames()
		start := time.Now()
		if err := fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}); err != nil {
			t.Error(err)
		}
		fr.until(func(http2.Frame) bool { return false })
		f("a head that stops by h2", time.Since(start))
	})
	all.Go(func() {
		start := time.Now()
		conn, err := l.dialQUICWith("www.test", &quic.Config{KeepAlivePeriod: limit / 10})
		if err != nil {
			t.Error(err)
			return
		}
		str, err := conn.OpenStream()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = str.Write([]byte{1, 0x40, 100, 0, 0}) // HEADERS of 100 bytes, and two of them
		_ = str.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, _ = str.Read(make([]byte, 1))
		f("a head that stops by h3", time.Since(start))
	})
	for _, way := range ways {
		all.Go(func() {
			if a := l.do(way, "POST /slow"); a.status != 200 {
				t.Errorf("%s: a request that takes longer than idle_timeout: %+v", way, a)
			}
		})
	}
	all.Wait()
}

func TestTLSTimeout(t *testing.T) {
	t.Parallel()
	const limit = 300 * time.Millisecond
	l := newLive(t, sayNothing, limited(func(l *config.Limits) { l.TLSTimeout = config.Duration(limit) }))
	f := func(name, hello string) {
		t.Helper()
		c, err := net.Dial("tcp", l.secure)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		start := time.Now()
		_, _ = io.WriteString(c, hello)
		_ = c.SetReadDeadline(start.Add(5 * time.Second))
		_, err = io.Copy(io.Discard, c)
		if took := time.Since(start); took < limit-limit/10 || took > 4*limit {
			t.Errorf("%s: ended after %v (%v), want %v", name, took, err, limit)
		}
	}
	f("silence", "")
	f("the beginning of a hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
}

// dripBody is a request body in pieces, one after each pause. It counts what was
// taken of it.
type dripBody struct {
	pieces int
	piece  []byte
	pause  time.Duration
	rest   []byte
	taken  atomic.Int64
}

func (d *dripBody) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		if d.pieces == 0 {
			return 0, io.EOF
		}
		if d.taken.Load() > 0 {
			time.Sleep(d.pause)
		}
		d.pieces--
		d.rest = d.piece
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	d.taken.Add(int64(n))
	return n, nil
}

// At body_bytes a body passes, announced or not; one byte beyond it is 413, and
// the origin never gets a complete request.
func TestBodyBytes(t *testing.T) {
	const limit = 10000
	var whole, seen atomic.Int64
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		if n, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
			fmt.Fprint(w, n)
		}
	}, limited(func(l *config.Limits) { l.BodyBytes = limit }))
	for _, way := range ways {
		for _, announced := range []bool{true, false} {
			for _, size := range []int{0, 1, limit, limit + 1, 20 * limit} {
				for _, method := range []string{"POST", "GET"} {
					whole.Store(0)
					var body io.Reader = bytes.NewReader(make([]byte, size))
					if !announced {
						body = struct{ io.Reader }{body}
					}
					a := l.doBody(way, fmt.Sprintf("%s /%s/%v/%d", method, strings.ReplaceAll(way, " ", "-"), announced, size), body)
					status, want := 200, int64(1)
					if size > limit {
						status, want = 413, 0
					}
					// A connection that is closed upon a 413 may be reset before
					// the client has read the answer (RFC 9112 §9.6).
					lost := a.err != nil && size == 20*limit
					if a.status != status && !lost || whole.Load() != want || status == 200 && a.body != fmt.Sprint(size) {
						t.Errorf("%s by %s, %d bytes, announced: %v: %d %q %v; the origin got %d whole requests", method, way, size, announced, a.status, a.body, a.err, whole.Load())
					}
				}
			}
		}
	}
}

// A request body slower than body_rate is cut once body_grace is over; a fast
// enough one passes, however long it takes.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	const grace, rate = 400 * time.Millisecond, 10000
	var whole atomic.Int64
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			whole.Add(1)
		}
	}, limited(func(l *config.Limits) { l.BodyRate, l.BodyGrace = rate, config.Duration(grace) }))
	var all sync.WaitGroup
	for _, way := range ways {
		all.Go(func() {
			// 50 bytes every 100 ms are a twentieth of the rate.
			start := time.Now()
			a := l.doBody(way, "POST /slow", &dripBody{pieces: 50, piece: make([]byte, 50), pause: 100 * time.Millisecond})
			took := time.Since(start)
			if a.err == nil && a.status != 408 || took < grace-grace/10 || took > 3*grace {
				t.Errorf("slow by %s: %d %v after %v, want 408 after %v", way, a.status, a.err, took, grace)
			}
		})
		all.Go(func() {
			// 1200 bytes every 100 ms are a little more than the rate.
			a := l.doBody(way, "POST /fast", &dripBody{pieces: 16, piece: make([]byte, 1200), pause: 100 * time.Millisecond})
			if a.status != 200 {
				t.Errorf("fast by %s: %d %q %v", way, a.status, a.body, a.err)
			}
		})
	}
	all.Wait()
	if n := whole.Load(); n != int64(len(ways)) {
		t.Errorf("the origin got %d whole requests, want the %d fast ones", n, len(ways))
	}
}

// The time for which the origin takes nothing, or answers, is not the client's.
func TestSlowOriginIsNotASlowClient(t *testing.T) {
	t.Parallel()
	const grace = 400 * time.Millisecond
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stalls": // takes a little, then nothing for a while, then the rest
			_, _ = io.ReadFull(r.Body, make([]byte, 100))
			time.Sleep(6 * grace)
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, 100+n, err)
		case "/answers": // takes all, then answers in pieces
			n, err := io.Copy(io.Discard, r.Body)
			for i := range 8 {
				time.Sleep(grace / 2)
				if i == 3 {
					time.Sleep(2 * grace)
				}
				_, _ = io.WriteString(w, ".")
				_ = http.NewResponseController(w).Flush()
			}
			fmt.Fprint(w, n, err)
		}
	}, limited(func(l *config.Limits) { l.BodyRate, l.BodyGrace = 4<<20/slower, config.Duration(grace) }))
	var all sync.WaitGroup
	for _, way := range ways {
		all.Go(func() {
			const size = 24 << 20 // more than fits into the buffers on the way
			if a := l.doBody(way, "POST /stalls", bytes.NewReader(make([]byte, size))); a.status != 200 || a.body != fmt.Sprint(size, nil) {
				t.Errorf("an origin that stalls, by %s: %d %q %v", way, a.status, a.body, a.err)
			}
		})
	}
	all.Wait() // the large uploads would make the others slow clients
	for _, way := range ways {
		for _, size := range []int{1, 4096, 1 << 20} {
			all.Go(func() {
				if a := l.doBody(way, "POST /answers", bytes.NewReader(make([]byte, size))); a.status != 200 || a.body != "........"+fmt.Sprint(size, nil) {
					t.Errorf("an origin that answers slowly, %d bytes by %s: %d %q %v", size, way, a.status, a.body, a.err)
				}
			})
		}
	}
	all.Wait()
}

// A client that takes an answer slower than body_rate is cut; a fast enough one
// gets all of it.
func TestSlowDownload(t *testing.T) {
	t.Parallel()
	const grace, rate = 400 * time.Millisecond, 1 << 20 / slower
	piece := bytes.Repeat([]byte("x"), 64<<10)
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/small" {
			_, _ = io.WriteString(w, "small")
			return
		}
		for range 256 { // 16 MiB
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}, limited(func(l *config.Limits) { l.BodyRate, l.BodyGrace = rate, config.Duration(grace) }))
	if a := l.do(clearH1, "GET /big"); len(a.body) != 16<<20 {
		t.Fatalf("%d bytes, %v", len(a.body), a.err)
	}
	l.closeClients()
	var all sync.WaitGroup
	for _, way := range ways[:2] {
		all.Go(func() { // takes nothing
			c := l.dial(way)
			_ = c.Conn.SetDeadline(time.Now().Add(20 * time.Second))
			c.say("GET /big HTTP/1.1\r\nHost: www.test\r\n\r\n")
			time.Sleep(4 * grace)
			if a := c.answer("GET"); a.err == nil {
				t.Errorf("%s: a client that took nothing for %v got all of it", way, 4*grace)
			}
		})
	}
	all.Go(func() { // opens no window: neither a large answer nor a small one may hold its stream
		fr := l.frames(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		start := time.Now()
		fr.get(1, "www.test", "/big")
		reset := fr.until(func(f http2.Frame) bool { _, ok := f.(*http2.RSTStreamFrame); return ok })
		if took := time.Since(start); reset == nil || took < grace-grace/10 || took > 4*grace {
			t.Errorf("h2: a stream without a window: reset %v after %v", reset, took)
		}
	})
	all.Go(func() {
		fr := l.frames(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		start := time.Now()
		fr.get(1, "www.test", "/small")
		reset := fr.until(func(f http2.Frame) bool { _, ok := f.(*http2.RSTStreamFrame); return ok })
		if took := time.Since(start); reset == nil || took > 4*grace {
			t.Errorf("h2: a small answer without a window: reset %v after %v", reset, took)
		}
	})
	all.Go(func() {
		conn, err := l.dialQUICWith("www.test", &quic.Config{InitialStreamReceiveWindow: 2000, MaxStreamReceiveWindow: 2000, KeepAlivePeriod: 100 * time.Millisecond})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.CloseWithError(0, "") }()
		str, err := openH3(l, conn, "GET", "/big")
		if err != nil {
			t.Error(err)
			return
		}
		time.Sleep(4 * grace)
		_ = str.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := io.Copy(io.Discard, str)
		if err == nil || n > 1<<20 {
			t.Errorf("h3: a client that took nothing for %v got %d bytes, %v", 4*grace, n, err)
		}
	})
	for _, way := range ways {
		all.Go(func() { // about 4 MiB/s, for 1.5 s
			resp, err := l.client(way).Do(l.request(way, "GET /big", nil))
			if err != nil {
				t.Error(way, err)
				return
			}
			defer resp.Body.Close()
			var n int64
			for err == nil && n < 6<<20 {
				var m int64
				m, err = io.CopyN(io.Discard, resp.Body, 400<<10)
				n += m
				time.Sleep(100 * time.Millisecond)
			}
			if err == nil {
				var m int64
				m, err = io.Copy(io.Discard, resp.Body)
				n += m
			}
			if err != nil || n != 16<<20 {
				t.Errorf("%s: a client that is fast enough got %d bytes, %v", way, n, err)
			}
		})
	}
	all.Wait()
	l.closeClients()
	eventually(t, "the connections of the slow clients are gone", func() bool { return l.open() <= 2 })
}

// A small answer that the client does not take has no deadline of its own: the
// watch over the connections ends it.
func TestStuckWriteIsFound(t *testing.T) {
	t.Parallel()
	const grace = 200 * time.Millisecond
	piece := bytes.Repeat([]byte("x"), 8<<10)
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write(piece)
	}, limited(func(l *config.Limits) { l.BodyRate, l.BodyGrace = 1000, config.Duration(grace) }))
	c := l.dial(clearH1)
	_ = c.Conn.SetDeadline(time.Now().Add(8 * time.Second))
	// Requests without end, of which no answer is read.
	var err error
	start := time.Now()
	for err == nil {
		_, err = io.WriteString(c, strings.Repeat("GET /small HTTP/1.1\r\nHost: www.test\r\n\r\n", 100))
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the connection was not ended within %v: %v", time.Since(start), err)
	}
}

// A client far above the rate is not taken for a stuck one, although the kernel
// has one write wait for long: until a third of a socket's buffer of megabytes
// has gone out.
func TestSteadyReaderIsNotStuck(t *testing.T) {
	t.Parallel()
	piece := bytes.Repeat([]byte("x"), 64<<10)
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		for range 256 { // 16 MiB
			_, _ = w.Write(piece)
		}
	}, limited(func(l *config.Limits) { l.BodyRate, l.BodyGrace = 10000, config.Duration(200*time.Millisecond) }))
	tcp, err := net.Dial("tcp", l.clear)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	_ = tcp.(*net.TCPConn).SetReadBuffer(128 << 10) // so that it acknowledges steadily
	c := &rawConn{tcp, bufio.NewReader(tcp)}
	c.say("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for range 50 { // 2 MB/s, for 2.5 s
		m, err := io.CopyN(io.Discard, resp.Body, 100000)
		n += m
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	m, err := io.Copy(io.Discard, resp.Body)
	if n += m; err != nil || n != 16<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Beyond connections new ones wait; they are served when others have ended.
func TestConnections(t *testing.T) {
	l := newLive(t, sayNothing, limited(func(l *config.Limits) { l.Connections = 3 }))
	ask := func(c *rawConn) answer {
		c.say("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
		return c.answer("GET")
	}
	open := []*rawConn{l.dial(clearH1), l.dial(clearH1), l.dial(secureH1)}
	for i, c := range open {
		if a := ask(c); a.status != 200 {
			t.Fatalf("connection %d: %+v", i+1, a)
		}
	}
	waits := l.dial(clearH1)
	got := make(chan answer, 1)
	go func() { got <- ask(waits) }()
	select {
	case a := <-got:
		t.Fatalf("connection 4 of 3 did not wait: %+v", a)
	case <-time.After(150 * time.Millisecond):
	}
	if c, err := l.dialQUIC("www.test"); err == nil {
		_ = c.CloseWithError(0, "")
		t.Error("a QUIC connection beyond the limit was accepted")
	}
	if a := ask(open[0]); a.status != 200 {
		t.Errorf("an open connection suffers: %+v", a)
	}
	open[1].Close()
	select {
	case a := <-got:
		if a.status != 200 {
			t.Errorf("the one that waited: %+v", a)
		}
	case <-time.After(3 * time.Second):
		t.Fatal("the one that waited is not served after another has ended")
	}

	// Full again, and another waits: the end must not wait for any of them.
	l.dial(clearH1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	start := time.Now()
	if err := l.stop(ctx); err != nil {
		t.Errorf("drain with all connections in use: %v after %v", err, time.Since(start))
	}
}

// One client has at most connections_per_client, over TCP and QUIC together,
// and gets new ones when old ones have ended.
func TestConnectionsPerClient(t *testing.T) {
	l := newLive(t, sayNothing, limited(func(l *config.Limits) { l.ConnectionsPerClient = 3 }))
	works := func(way string) func() bool {
		return func() bool {
			c, err := l.tryDial(way)
			if err != nil {
				return false
			}
			c.say("GET / HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n")
			a := c.answer("GET")
			c.Close()
			return a.status == 200
		}
	}
	quicWorks := func() bool {
		c, err := l.dialQUIC("www.test")
		if err == nil {
			_ = c.CloseWithError(0, "")
		}
		return err == nil
	}
	hold := func(way string) *rawConn {
		c := l.dial(way)
		c.say("GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
		if a := c.answer("GET"); a.status != 200 {
			t.Fatalf("%s: %+v", way, a)
		}
		return c
	}
	one, two := hold(clearH1), hold(secureH1)
	three, err := l.dialQUIC("www.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range ways[:2] {
		if works(way)() {
			t.Errorf("a fourth connection by %s is served", way)
		}
	}
	if quicWorks() {
		t.Error("a fourth connection by QUIC is served")
	}
	_ = three.CloseWithError(0, "")
	eventually(t, "a place is free after a QUIC connection has ended", works(clearH1))
	eventually(t, "the short one's place is free", quicWorks)
	one.Close()
	two.Close()
	eventually(t, "nothing is counted any more", func() bool {
		l.server.conns.mu.Lock()
		defer l.server.conns.mu.Unlock()
		return len(l.server.conns.clients) == 0 && len(l.server.conns.live) == 0 && len(l.server.conns.slots) == 0
	})
}

// A connection has at most streams requests at once.
func TestStreams(t *testing.T) {
	hold := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(hold) }) }
	defer release()
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow") {
			<-hold
		}
	}, limited(func(l *config.Limits) { l.Streams = 4 }))

	fr := l.frames()
	settings := fr.until(func(f http2.Frame) bool { s, ok := f.(*http2.SettingsFrame); return ok && !s.IsAck() }).(*http2.SettingsFrame)
	if n, _ := settings.Value(http2.SettingMaxConcurrentStreams); n != 4 {
		t.Errorf("h2: SETTINGS_MAX_CONCURRENT_STREAMS is %d", n)
	}
	fr.until(func(f http2.Frame) bool { s, ok := f.(*http2.SettingsFrame); return ok && s.IsAck() })
	for i := range uint32(5) {
		fr.get(1+2*i, "www.test", fmt.Sprint("/slow/2/", i))
	}
	if s := fr.status(9); s != "reset" {
		t.Errorf("h2: the fifth of four streams: %s", s)
	}
	eventually(t, "the four of h2 are at the origin", func() bool { return l.asked.Load() == 4 })

	conn, err := l.dialQUIC("www.test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	for i := range 4 {
		if _, err := openH3(l, conn, "GET", fmt.Sprint("/slow/3/", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.OpenStream(); err == nil {
		t.Error("h3: a fifth of four streams could be opened")
	}
	eventually(t, "the four of h3 are at the origin", func() bool { return l.asked.Load() == 8 })
	release()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := conn.OpenStreamSync(ctx); err != nil {
		t.Errorf("h3: no stream after others have ended: %v", err)
	}
}

func TestOneClientOfIPv6HasA64(t *testing.T) {
	f := func(a, b string, same bool) {
		t.Helper()
		if got := clientPrefix(netip.MustParseAddr(a)) == clientPrefix(netip.MustParseAddr(b)); got != same {
			t.Errorf("%s and %s: one client: %v, want %v", a, b, got, same)
		}
	}
	f("192.0.2.1", "192.0.2.1", true)
	f("192.0.2.1", "192.0.2.2", false)
	f("2001:db8::1", "2001:db8::ffff:1", true)
	f("2001:db8::1", "2001:db8:0:1::1", false)
	f("2001:db8::1", "192.0.2.1", false)
}
