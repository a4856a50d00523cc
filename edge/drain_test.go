package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"

	"levee/config"
)

// counter reads a metric's value.
func counter(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// Under load no request that has reached the origin fails by a drain.
func TestDrainUnderLoad(t *testing.T) {
	var mu sync.Mutex
	began, ended := make(map[string]bool), make(map[string]bool)
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		began[r.URL.Path] = true
		mu.Unlock()
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "begin ")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(time.Duration(len(r.URL.Path)%7) * 3 * time.Millisecond)
		_, _ = io.WriteString(w, "end")
	})
	var all sync.WaitGroup
	var clients []*http.Client
	asking, enough := context.WithCancel(t.Context())
	defer enough()
	for n := range 12 {
		way := ways[n%len(ways)]
		client := l.newClient(way)
		clients = append(clients, client)
		all.Go(func() {
			for i := 0; ; i++ {
				path := fmt.Sprintf("/%d/%s%d", n, strings.Repeat("x", i%7), i)
				resp, err := client.Do(l.request(way, "GET "+path, nil).WithContext(asking))
				if err != nil {
					return // refused: it was never accepted, or the check below tells
				}
				if a := read(resp); a.err == nil && a.body == "begin end" {
					mu.Lock()
					ended[path] = true
					mu.Unlock()
				} else {
					t.Errorf("%s %s: %+v", way, path, a)
					return
				}
			}
		})
	}
	for _, way := range ways[:2] { // and connections that are opened ahead, or stop in their handshake
		l.dial(way)
	}
	if c, err := net.Dial("tcp", l.secure); err == nil {
		defer c.Close()
	}
	eventually(t, "the load runs", func() bool { return l.asked.Load() > 300 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	start := time.Now()
	if err := l.stop(ctx); err != nil || time.Since(start) > 4*time.Second {
		t.Errorf("drain: %v after %v", err, time.Since(start))
	}
	// Everything is closed: what still waits dials in vain.
	time.AfterFunc(300*time.Millisecond, enough)
	all.Wait()
	for _, c := range clients {
		closeClient(c)
	}
	for path := range began {
		if !ended[path] {
			t.Errorf("%s reached the origin and had no answer", path)
		}
	}
	t.Logf("%d requests, drained in %v", len(began), time.Since(start))
}

// Clients are told: Connection: close, and GOAWAY on HTTP/2 and 3; what is in
// flight ends as it would, and nothing new is accepted.
func TestDrainTellsClients(t *testing.T) {
	hold := make(chan struct{})
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) { <-hold; _, _ = io.WriteString(w, "done") })
	var all sync.WaitGroup
	for _, way := range ways[:2] {
		c := l.dial(way)
		c.say("GET /%s HTTP/1.1\r\nHost: www.test\r\n\r\n", strings.ReplaceAll(way, " ", "-"))
		all.Go(func() {
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil || !resp.Close {
				t.Errorf("%s: %v, Connection: close was not said", way, err)
				return
			}
			if a := read(resp); a.body != "done" || !c.closed(3*time.Second) {
				t.Errorf("%s: %+v", way, a)
			}
		})
	}
	fr := l.frames()
	fr.get(1, "www.test", "/2")
	all.Go(func() {
		goaway := fr.until(func(f http2.Frame) bool { _, ok := f.(*http2.GoAwayFrame); return ok })
		if goaway == nil || goaway.(*http2.GoAwayFrame).ErrCode != http2.ErrCodeNo {
			t.Errorf("h2: GOAWAY %v", goaway)
			return
		}
		if s := fr.status(1); s != "200" {
			t.Errorf("h2: the request in flight: %s", s)
		}
	})
	conn, err := l.dialQUIC("www.test")
	if err != nil {
		t.Fatal(err)
	}
	str, err := openH3(l, conn, "GET", "/3")
	if err != nil {
		t.Fatal(err)
	}
	all.Go(func() {
		defer func() { _ = conn.CloseWithError(0x100, "") }()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		control, err := conn.AcceptUniStream(ctx)
		if err != nil {
			t.Error("h3:", err)
			return
		}
		_ = control.SetReadDeadline(time.Now().Add(5 * time.Second))
		r := quicvarint.NewReader(control)
		if kind, err := quicvarint.Read(r); err != nil || kind != 0 {
			t.Errorf("h3: the first stream is of type %d, %v", kind, err)
			return
		}
		for { // RFC 9114 §7.2: SETTINGS, then GOAWAY
			kind, err := quicvarint.Read(r)
			if err != nil {
				t.Errorf("h3: no GOAWAY: %v", err)
				return
			}
			n, _ := quicvarint.Read(r)
			_, _ = io.CopyN(io.Discard, r, int64(n))
			if kind == 7 {
				break
			}
		}
		_ = str.SetReadDeadline(time.Now().Add(5 * time.Second))
		if p, err := io.ReadAll(str); err != nil || !strings.HasSuffix(string(p), "done") {
			t.Errorf("h3: the request in flight: %q %v", p, err)
		}
	})
	eventually(t, "the requests are in flight", func() bool { return l.asked.Load() == 4 })

	drained := make(chan error, 1)
	go func() { drained <- l.stop(context.Background()) }()
	eventually(t, "nothing new is accepted", func() bool {
		if c, err := l.tryDial(clearH1); err == nil {
			c.Close()
			return false
		}
		return true
	})
	select {
	case err := <-drained:
		t.Errorf("the drain ended before the requests in flight: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(hold)
	all.Wait()
	select {
	case err := <-drained:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(4 * time.Second):
		t.Error("the drain does not end after the last request")
	}
}

// A request that hangs is cut when the time is over, and nothing is left behind.
func TestDrainIsBounded(t *testing.T) {
	marks := []string{"levee/edge.(*", "http3.(*Server)", "http3.(*RawServerConn)", "net/http.(*conn).serve", "http2serverConn", "quic-go.(*Conn).run", "quic-go.(*Transport)"}
	ours := func() (n int) {
		buf := make([]byte, 4<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, m := range marks {
				if strings.Contains(g, m) {
					n++
					break
				}
			}
		}
		return n
	}
	before := ours()
	t.Run("hanging", func(t *testing.T) {
		hold := make(chan struct{})
		defer close(hold)
		l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		})
		var all sync.WaitGroup
		for _, way := range ways {
			all.Go(func() {
				if a := l.do(way, "POST /hang"); a.err == nil && a.status < 500 {
					t.Errorf("%s: %+v", way, a)
				}
			})
		}
		tunnel := l.dial(clearH1)
		_ = tunnel
		eventually(t, "all hang", func() bool { return l.asked.Load() == int64(len(ways)) })
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := l.stop(ctx)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took < 190*time.Millisecond || took > 2*time.Second {
			t.Errorf("drain: %v after %v", err, took)
		}
		all.Wait()
	})
	eventually(t, "every goroutine of the server has ended", func() bool { return ours() <= before })
}

// Fifty reloads under load lose no request. What has not changed keeps its
// pool, what has gets a new one, and requests on the old one end as they would.
func TestReloadUnderLoad(t *testing.T) {
	release := make(chan struct{})
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if strings.HasPrefix(r.URL.Path, "/slow") {
			<-release
		}
		fmt.Fprint(w, "of ", r.Host, r.URL.Path)
	}, func(c *config.Config) {
		b := config.DefaultSite("b", []string{"b.test"}, c.Sites[0].Origin.Members...)
		c.Sites = append(c.Sites, b)
	})
	first := l.handler.State()
	var done atomic.Bool
	var requests atomic.Int64
	var all sync.WaitGroup
	for _, way := range ways {
		for _, host := range []string{"www.test", "b.test"} {
			client := l.newClient(way)
			all.Go(func() {
				defer closeClient(client)
				for i := 0; !done.Load(); i++ {
					path := fmt.Sprint("/", i%20)
					if i%3 == 0 {
						path = fmt.Sprintf("/%s/%d", strings.ReplaceAll(way, " ", "-"), i)
					}
					r, err := http.NewRequest("GET", l.urlOf(way, host, path), nil)
					if err != nil {
						t.Error(err)
						return
					}
					resp, err := client.Do(r)
					if err != nil {
						t.Errorf("%s: %v", way, err)
						return
					}
					if a := read(resp); a.err != nil || a.status != 200 || a.body != "of "+host+path {
						t.Errorf("%s %s%s: %+v", way, host, path, a)
						return
					}
					requests.Add(1)
				}
			})
		}
	}
	slow := make(chan answer, 1)
	go func() {
		r := l.request(clearH1, "GET /slow", nil, "Host: b.test")
		resp, err := plainVia(l).Do(r)
		if err != nil {
			slow <- answer{err: err}
			return
		}
		slow <- read(resp)
	}()
	eventually(t, "the slow request is at its origin", func() bool { return l.asked.Load() > 0 && requests.Load() > 50 })

	for i := range 50 {
		old := l.handler.State()
		c := *l.config
		c.Sites = append([]config.Site(nil), l.config.Sites...)
		c.Sites[1].Origin.Timeouts.BetweenBytes = config.Duration(time.Duration(i+10) * time.Second)
		if i%10 == 5 { // a mistake among them
			c.Sites[1].ErrorPages = map[string]string{"404": filepath.Join(t.TempDir(), "none.html")}
			if _, err := Compile(&c, int64(c.Cache.RAM), old, l.handler.Metrics); err == nil || !strings.Contains(err.Error(), "site b: error_pages 404") {
				t.Errorf("swap %d: %v", i, err)
			}
			if l.handler.State() != old {
				t.Error("a config with mistakes changed the state")
			}
			continue
		}
		next, err := Compile(&c, int64(c.Cache.RAM), old, l.handler.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		if next.Sites[0].pool != first.Sites[0].pool {
			t.Errorf("swap %d: the pool of a site that has not changed was not kept", i)
		}
		if next.Sites[1].pool == old.Sites[1].pool {
			t.Errorf("swap %d: the pool of a site that has changed was kept", i)
		}
		before := requests.Load()
		if l.handler.Swap(next) != old {
			t.Error("Swap gave another state than the old one")
		}
		old.Retire(next)
		eventually(t, "requests go on", func() bool { return requests.Load() >= before+4 || t.Failed() })
	}
	close(release)
	if a := <-slow; a.status != 200 || a.body != "of b.test/slow" {
		t.Errorf("a request on a pool that was retired: %+v", a)
	}
	done.Store(true)
	all.Wait()
	t.Logf("%d requests", requests.Load())
}

// plainVia is a client of its own, in the clear.
func plainVia(l *live) *http.Client {
	c := l.newClient(clearH1)
	l.t.Cleanup(func() { closeClient(c) })
	return c
}
