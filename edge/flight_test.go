package edge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"levee/purge/journal"
)

// herd sends n requests at once and returns their answers.
func (g *rig) herd(n int, request string, lines func(i int) []string) []answer {
	answers := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var more []string
			if lines != nil {
				more = lines(i)
			}
			answers[i] = g.do(request, more...)
		})
	}
	wg.Wait()
	return answers
}

func TestConcurrentMissesAreOneFetch(t *testing.T) {
	var g *rig
	next := header("Cache-Control: max-age=60")
	g = newRig(t, func(w http.ResponseWriter, r *http.Request) {
		eventually(t, "199 wait", func() bool { return g.handler.Flights.Waiters() >= 199 })
		next(w, r)
	})
	collapsed := 0
	for _, a := range g.herd(200, "GET /slow", nil) {
		if a.status != 200 || a.body != "answer 1" {
			t.Fatalf("%+v", a)
		}
		if strings.Contains(a.cacheStatus(), "collapsed") {
			collapsed++
		}
	}
	if g.asked.Load() != 1 || collapsed != 199 {
		t.Errorf("the origin was asked %d times, %d of 200 collapsed", g.asked.Load(), collapsed)
	}
}

// Waiters for an answer that is one user's go to the origin at once and in
// parallel when its head arrives; nobody sees another's.
func TestPrivateAnswersReleaseTheWaiters(t *testing.T) {
	const n = 50
	f := func(field string) {
		t.Helper()
		var g *rig
		first := make(chan struct{}, 1)
		first <- struct{}{}
		g = newRig(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-first:
				eventually(t, "all wait", func() bool { return g.handler.Flights.Waiters() >= n-1 })
			default: // all others must be here together
				eventually(t, "all are at the origin at once", func() bool { return g.asked.Load() == n })
			}
			name, value, _ := strings.Cut(field, ": ")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set(name, value)
			fmt.Fprint(w, "for ", r.Header.Get("X-User"))
		})
		for i, a := range g.herd(n, "GET /", func(i int) []string { return []string{fmt.Sprint("X-User: ", i)} }) {
			if a.status != 200 || a.body != fmt.Sprint("for ", i) {
				t.Fatalf("%s: user %d got %d %q", field, i, a.status, a.body)
			}
		}
		if g.asked.Load() != n {
			t.Errorf("%s: the origin was asked %d times", field, g.asked.Load())
		}
		// The marker: nobody waits any longer.
		g.script(func(w http.ResponseWriter, r *http.Request) {
			eventually(t, "both at once", func() bool { return g.asked.Load() == n+2 })
			w.Header().Set("Cache-Control", "no-store")
		})
		g.herd(2, "GET /", nil)
	}
	f("Cache-Control: private")
	f("Cache-Control: no-store")
	f("Set-Cookie: a=b")
	f("Vary: *")
}

func TestVariantsRegroup(t *testing.T) {
	const n = 60
	var g *rig
	g = newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if g.asked.Load() == 1 {
			eventually(t, "all wait", func() bool { return g.handler.Flights.Waiters() >= n-1 })
		} else {
			time.Sleep(50 * time.Millisecond) // time for the others of the variant to join
		}
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "X-Lang")
		fmt.Fprint(w, r.Header.Get("X-Lang"))
	})
	langs := []string{"de", "en", "fr"}
	for i, a := range g.herd(n, "GET /", func(i int) []string { return []string{"X-Lang: " + langs[i%3]} }) {
		if a.body != langs[i%3] {
			t.Fatalf("%s got %q", langs[i%3], a.body)
		}
	}
	if got := g.asked.Load(); got != 3 {
		t.Errorf("%d fetches for 3 variants", got)
	}
}

// All stream while the body arrives, also who comes late.
func TestReadersStream(t *testing.T) {
	step := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for i := range 3 {
			fmt.Fprintf(w, "part %d\n", i)
			_ = http.NewResponseController(w).Flush()
			<-step
		}
	})
	open := func() *http.Response {
		resp, err := plainClient.Get(g.edge.URL + "/")
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	expect := func(resp *http.Response, want string) {
		t.Helper()
		p := make([]byte, len(want))
		if _, err := io.ReadFull(resp.Body, p); err != nil || string(p) != want {
			t.Fatalf("read %q, %v; want %q", p, err, want)
		}
	}
	one := open()
	defer one.Body.Close()
	expect(one, "part 0\n")
	step <- struct{}{}
	expect(one, "part 1\n")
	two := open()
	defer two.Body.Close()
	expect(two, "part 0\npart 1\n")
	step <- struct{}{}
	expect(two, "part 2\n")
	expect(one, "part 2\n")
	step <- struct{}{}
	if rest, err := io.ReadAll(two.Body); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if g.asked.Load() != 1 {
		t.Errorf("asked %d times", g.asked.Load())
	}
}

func TestLeaderMayLeave(t *testing.T) {
	hold := make(chan struct{})
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-hold
		_, _ = io.WriteString(w, "second")
	})
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", g.edge.URL+"/", nil)
	resp, err := plainClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadFull(resp.Body, make([]byte, 6))
	leave()
	resp.Body.Close()
	close(hold)
	eventually(t, "the response is stored", func() bool { return g.handler.Store.Stats().Keys == 1 && g.handler.Flights.Flights() == 0 })
	if a := g.do("GET /"); a.body != "first second" || !strings.Contains(a.cacheStatus(), "hit") {
		t.Errorf("%q %s", a.body, a.cacheStatus())
	}
}

// rawOrigin answers with the very bytes that it is given, then closes.
func rawOrigin(t *testing.T, bytes string) (addr string, asked func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	n := 0
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				if _, err := c.Read(buf); err != nil {
					return
				}
				mu.Lock()
				n++
				mu.Unlock()
				_, _ = io.WriteString(c, bytes)
			}()
		}
	}()
	return l.Addr().String(), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestNothingTruncatedIsStored(t *testing.T) {
	f := func(name, bytes string) {
		t.Helper()
		addr, asked := rawOrigin(t, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n"+bytes)
		g := newRig(t, nil)
		g.config.Sites[0].Origin.Members[0].URL = &url.URL{Scheme: "http", Host: addr}
		state, err := Compile(g.config, 32<<20, g.handler.State(), g.handler.Metrics)
		if err != nil {
			t.Fatal(err)
		}
		g.handler.Swap(state)
		for i := range 2 {
			a := g.do("GET /")
			if a.err == nil && a.status < 500 {
				t.Errorf("%s: request %d ended well: %d %q", name, i, a.status, a.body)
			}
			if strings.Contains(a.cacheStatus(), "hit") {
				t.Errorf("%s: it was stored", name)
			}
		}
		if asked() < 2 {
			t.Errorf("%s: the origin was asked %d times", name, asked())
		}
		if used := g.handler.Store.Budget.Used(); used != 0 {
			eventually(t, name+": the memory is given back", func() bool { return g.handler.Store.Budget.Used() == 0 })
		}
	}
	f("short of its length", "Content-Length: 10\r\n\r\n12345")
	f("short of a large length", "Content-Length: 100000\r\n\r\n"+strings.Repeat("x", 90000))
	f("chunked, without its end", "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
	f("chunked, in the middle of a chunk", "Transfer-Encoding: chunked\r\n\r\n9\r\n12345")
	f("chunked, not a number", "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n")
	f("lengths that differ", "Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345")
}

func TestPurgeDuringAFlight(t *testing.T) {
	hold := make(chan struct{})
	n := 0
	g := newRig(t, nil)
	g.script(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		n++
		me := n
		g.mu.Unlock()
		if me == 1 {
			<-hold
		}
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Surrogate-Key", "t")
		fmt.Fprint(w, "version ", me)
	})
	early := make(chan answer, 1)
	go func() { early <- g.do("GET /") }()
	eventually(t, "the flight is under way", func() bool { return g.asked.Load() == 1 })
	g.handler.Journal.Add(journal.Record{By: journal.ByTag, Hash: journal.HashOf(journal.ByTag, "www", "t")})
	late := make(chan []answer, 1)
	go func() { late <- g.herd(20, "GET /", nil) }()
	eventually(t, "the late ones wait", func() bool { return g.handler.Flights.Waiters() == 20 })
	close(hold)
	if a := <-early; a.body != "version 1" {
		t.Errorf("the one from before the purge got %q", a.body)
	}
	for _, a := range <-late {
		if a.body != "version 2" {
			t.Errorf("one that arrived after the purge got %q", a.body)
		}
	}
	if g.asked.Load() != 2 {
		t.Errorf("the origin was asked %d times: the late ones must share one flight", g.asked.Load())
	}
	if a := g.do("GET /"); a.body != "version 2" {
		t.Errorf("then %q", a.body)
	}
}

// A body larger than what is kept goes through a window; a reader that falls
// out of it gets the rest by a range of its own.
func TestLargeBodyWithAStoppedReader(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB, kept are 1.3
	want := sha256.Sum256(body)
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"big"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	open := func() *http.Response {
		resp, err := plainClient.Get(g.edge.URL + "/")
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	stopped := open()
	defer stopped.Body.Close()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(stopped.Body, first); err != nil {
		t.Fatal(err)
	}
	fast := open()
	defer fast.Body.Close()
	h := sha256.New()
	if n, err := io.Copy(h, fast.Body); err != nil || [32]byte(h.Sum(nil)) != want {
		t.Fatalf("a fast reader beside a stopped one: %d bytes, %v", n, err)
	}
	if used := g.handler.Store.Budget.Used(); used > 2<<20 {
		t.Errorf("%d bytes are held for a stopped reader", used)
	}
	h.Reset()
	h.Write(first)
	if n, err := io.Copy(h, stopped.Body); err != nil || [32]byte(h.Sum(nil)) != want {
		t.Fatalf("the stopped reader, going on: %d bytes, %v", n, err)
	}
	if g.handler.Store.Budget.Used() != 0 {
		eventually(t, "the memory is given back", func() bool { return g.handler.Store.Budget.Used() == 0 })
	}
}

func TestRangeOfWhatIsTooLarge(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1<<20)
	var ranges []string
	g := newRig(t, nil)
	g.script(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		ranges = append(ranges, r.Header.Get("Range"))
		g.mu.Unlock()
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"big"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
	for range 3 {
		a := g.do("GET /", "Range: bytes=9000001-9000005")
		if a.status != 206 || a.body != "12345" {
			t.Fatalf("%d %q", a.status, a.body)
		}
	}
	// The first has found out that it is too large; from then on the origin
	// cuts the range.
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(ranges) != 4 || ranges[3] == "" {
		t.Errorf("the origin was asked for %q", ranges)
	}
}

func TestErrorsAreSharedByWhoWaits(t *testing.T) {
	var g *rig
	g = newRig(t, func(w http.ResponseWriter, r *http.Request) {
		eventually(t, "all wait", func() bool { return g.handler.Flights.Waiters() >= 49 })
		w.WriteHeader(503)
	})
	for _, a := range g.herd(50, "GET /", nil) {
		if a.status != 503 {
			t.Fatalf("%+v", a)
		}
	}
	if g.asked.Load() != 1 {
		t.Errorf("a failing origin was asked %d times by 50 who waited", g.asked.Load())
	}
}

func TestOriginAway(t *testing.T) {
	g := newRig(t, header("Cache-Control: max-age=60"))
	g.origin.Close()
	a := g.do("GET /")
	if a.status != 502 || !strings.Contains(a.header.Get("Proxy-Status"), "levee-test; error=connection_refused") || !strings.Contains(a.body, a.header.Get("X-Request-Id")) {
		t.Errorf("%d %v %q", a.status, a.header, a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Error("an error of ours may be stored")
	}
}

// Random pages, sizes and framings arrive byte by byte as the origin sent them.
func TestBytesAreTheOrigins(t *testing.T) {
	page := func(n int) []byte {
		return bytes.Repeat([]byte(strconv.Itoa(n)+" "), n*n*7%90_000)
	}
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		w.Header().Set("Cache-Control", "max-age=60")
		p := page(n)
		if n%2 == 0 {
			w.Header().Set("Content-Length", strconv.Itoa(len(p)))
		}
		for len(p) > 0 {
			k := min(len(p), 1+n*131%5000)
			if _, err := w.Write(p[:k]); err != nil {
				return
			}
			p = p[k:]
		}
	})
	for range 2 {
		for n := range 150 {
			if a := g.do("GET /" + strconv.Itoa(n)); a.err != nil || a.body != string(page(n)) {
				t.Fatalf("page %d: %v, %d bytes, want %d", n, a.err, len(a.body), len(page(n)))
			}
		}
	}
}

// What is stored must not hold on to the fetch that brought it: a full cache
// would hold a flight, its contexts and the origin's header for each response.
func TestStoredResponsesLetTheirFlightsGo(t *testing.T) {
	g := newRig(t, header("Cache-Control: max-age=60"))
	objects := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapObjects)
	}
	const n = 2000
	g.do("GET /warm")
	before := objects()
	for i := range n {
		g.do("GET /" + strconv.Itoa(i))
	}
	if keys := g.handler.Store.Stats().Keys; keys < n {
		t.Fatalf("%d of %d stored", keys, n)
	}
	if per := float64(objects()-before) / n; per > 11 {
		t.Errorf("%.1f heap objects for each stored response", per)
	} else {
		t.Logf("%.1f heap objects for each stored response", per)
	}
}
