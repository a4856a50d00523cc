package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"levee/config"
)

// TestDemoOnce makes the whole tour over real sockets: the product's own proof
// that it works.
func TestDemoOnce(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"demo", "--once"}, strings.NewReader(""), &out, &errs); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	closing := regexp.MustCompile(`(?m)^(\d+) of (\d+) held, in [0-9.]+ s\.\n\z`).FindStringSubmatch(out.String())
	if closing == nil || closing[1] != closing[2] || closing[1] == "0" {
		t.Errorf("the closing line does not say that all held")
	}
	if strings.Contains(out.String(), "✗") {
		t.Errorf("a step did not hold")
	}
	if errs.Len() > 0 {
		t.Errorf("on stderr: %s", errs.String())
	}
	if t.Failed() {
		t.Logf("%s", out.String())
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestTourFails shows that the tour can fail: an origin that lies about its
// files is found out.
func TestTourFails(t *testing.T) {
	d := testDemo(t)
	d.site.files[0].body = append([]byte("not this"), d.site.files[0].body...)
	var out bytes.Buffer
	walk := &tour{demo: d, ctx: t.Context(), out: &out, clients: d.newClients()}
	defer walk.clients.close()
	walk.step("the site", (*tour).wholeSite)
	walk.step("the API", (*tour).validated)
	if walk.steps != 2 || walk.held != 1 || !strings.Contains(out.String(), "✗ the site") || !strings.Contains(out.String(), "✓ the API") {
		t.Errorf("%d of %d held:\n%s", walk.held, walk.steps, out.String())
	}
}

func testDemo(t *testing.T) *demo {
	t.Helper()
	d, err := startDemo(t.TempDir(), newLogger(&std{err: t.Output()}, config.Log{Level: "warn"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestDemoRuns starts the demo as people do, and ends it as Ctrl-C does, with a
// stream open.
func TestDemoRuns(t *testing.T) {
	data := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &watched{until: tableHead, seen: make(chan struct{})}
	var errs bytes.Buffer
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"demo", "--data", data}, strings.NewReader(""), out, &errs)
	}()
	select {
	case <-out.seen:
	case c := <-code:
		t.Fatalf("ended with %d: %s", c, errs.String())
	case <-time.After(20 * time.Second):
		t.Fatal("it does not start")
	}
	url := regexp.MustCompile(`curl -N (http://127\.0\.0\.1:\d+)/events`).FindStringSubmatch(out.String())
	root := regexp.MustCompile(`(?m)^  root +(.*)$`).FindStringSubmatch(out.String())
	if url == nil || root == nil {
		t.Fatalf("the introduction lacks the curl lines or the root:\n%s", out.String())
	}
	if _, err := os.Stat(root[1]); err != nil {
		t.Errorf("the root that is named: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dialLoopback, DisableKeepAlives: true}}
	resp, err := client.Get(url[1] + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	cancel()
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d: %s", c, errs.String())
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("it took %v to end: a stream was waited for", took)
	}
	if _, err := os.Stat(root[1]); err != nil {
		t.Errorf("--data is not kept: %v", err)
	}
	if !strings.HasSuffix(out.String(), "Ending.\n") {
		t.Errorf("the last line: %q", out.String())
	}
}

// watched is a writer that tells when something has been written.
type watched struct {
	until string
	seen  chan struct{}

	mu   sync.Mutex // guards what follows
	text strings.Builder
	told bool
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if !w.told && strings.Contains(w.text.String(), w.until) {
		w.told = true
		close(w.seen)
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func TestDemoPortsTaken(t *testing.T) {
	one, two := testDemo(t), testDemo(t) // the second finds every port taken
	for _, pair := range [][2]string{{one.httpAddr(), two.httpAddr()}, {one.httpsAddr(), two.httpsAddr()}, {one.adminAddr(), two.adminAddr()}} {
		if pair[0] == pair[1] {
			t.Errorf("both listen on %s", pair[0])
		}
	}
}

func TestDemoBytes(t *testing.T) {
	const size = 100_003
	d := demoBytes(size)
	whole, err := io.ReadAll(d.section(0, size))
	if err != nil || len(whole) != size {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	const golden = "37aec24fe9b11a14"
	if sum := fmt.Sprintf("%x", sha256.Sum256(whole)); !strings.HasPrefix(sum, golden) {
		t.Errorf("the formula makes other bytes than it did: sha256 %s, was %s…", sum, golden)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		off := r.Int64N(size + 10)
		p := make([]byte, r.IntN(300))
		n, err := d.ReadAt(p, off)
		end := min(off+int64(len(p)), size)
		switch {
		case off >= size:
			if n != 0 || err != io.EOF {
				t.Fatalf("ReadAt(%d bytes, %d) beyond the end: %d, %v", len(p), off, n, err)
			}
		case int64(n) != end-off || (err == io.EOF) != (off+int64(len(p)) > size):
			t.Fatalf("ReadAt(%d bytes, %d): %d, %v", len(p), off, n, err)
		case !bytes.Equal(p[:n], whole[off:end]):
			t.Fatalf("ReadAt(%d bytes, %d) differs from the whole", len(p), off)
		}
	}
}

func TestAltPort(t *testing.T) {
	f := func(field, want string) {
		t.Helper()
		if port, _ := altPort(field); port != want {
			t.Errorf("%q: %q, want %q", field, port, want)
		}
	}
	f(`h3=":8443"; ma=86400`, "8443")
	f(`h2=":1", h3=":443"`, "443")
	f(`h3-29=":8443"`, "")
	f(`h3="other.example:8443"`, "") // another host
	f(`h3=":"`, "")
	f(`h3=8443`, "")
	f(`clear`, "")
	f(``, "")
}

func TestBytesText(t *testing.T) {
	f := func(n float64, want string) {
		t.Helper()
		if got := bytesText(n); got != want {
			t.Errorf("%.0f: %q, want %q", n, got, want)
		}
	}
	f(0, "0 B")
	f(999, "999 B")
	f(1000, "1.0 kB")
	f(999_949, "999.9 kB")
	f(999_960, "1.0 MB")
	f(1.5e9, "1.5 GB")
	f(5e18, "5000.0 PB")
}

func TestFigures(t *testing.T) {
	const text = `# TYPE levee_requests_total counter
levee_requests_total{outcome="hit",reason="",site="demo"} 70
levee_requests_total{outcome="stale",reason="",site="demo"} 3
levee_requests_total{outcome="revalidated",reason="",site="demo"} 2
levee_requests_total{outcome="miss",reason="",site="demo"} 20
levee_requests_total{outcome="refused",reason="",site=""} 5
# TYPE levee_sent_bytes_total counter
levee_sent_bytes_total{site="demo"} 1.5e+06
levee_sent_bytes_total{site=""} 100
# TYPE levee_fetched_bytes_total counter
levee_fetched_bytes_total{site="demo"} 2000
`
	at := time.Unix(1_800_000_000, 0)
	now := figures{at: at.Add(2 * time.Second), origin: 24}
	if err := now.read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	row := now.row(figures{at: at, requests: 50, origin: 20})
	if got, want := strings.Join(strings.Fields(row), " "), "100 25.0 75.0% 2.0 1.5 MB 2.0 kB"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(row) != len(tableHead) {
		t.Errorf("the row has %d characters, its head %d", len(row), len(tableHead))
	}
	if err := now.read(strings.NewReader("levee_requests_total{ 1")); err == nil {
		t.Error("a broken text is read without an error")
	}
}

// TestDemoSite asks the origin itself, past any edge.
func TestDemoSite(t *testing.T) {
	s := newDemoSite(t.Context())
	f := func(method, target string, status int, control, contains string) {
		t.Helper()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader("a new note")))
		if w.Code != status || w.Header().Get("Cache-Control") != control || !strings.Contains(w.Body.String(), contains) {
			t.Errorf("%s %s: %d, Cache-Control %q: %.80q; want %d, %q, with %q", method, target, w.Code, w.Header().Get("Cache-Control"), w.Body, status, control, contains)
		}
	}
	f("GET", "/", 200, "public, max-age=60", "A levee keeps the flood")
	f("GET", "/index.html", 404, "", "")
	f("GET", "/static/river.png", 200, "", "\x89PNG")
	f("GET", "/static/levee.svg", 200, "", "<svg")
	f("GET", "/api/time", 200, "public, max-age=1", `"origin_requests":1`)
	f("GET", "/api/time?x", 200, "public, max-age=1", `"origin_requests":2`)
	f("GET", "/api/note", 200, "public, max-age=60", "nothing noted")
	f("POST", "/api/note", 200, "no-store", "a new note")
	f("GET", "/api/note", 200, "public, max-age=60", "a new note")
	f("GET", "/private", 200, "private, max-age=60", "visitor-")
	f("GET", "/flaky", 200, "public, max-age=1, stale-if-error=300", "origin_requests")
	f("POST", "/outage?on", 200, "no-store", "outage on")
	f("GET", "/flaky", 500, "", "outage")
	f("POST", "/outage?what", 400, "", "write /outage?on")
	f("GET", "/flaky", 500, "", "outage")
	f("POST", "/outage?off", 200, "no-store", "outage off")
	f("GET", "/flaky", 200, "public, max-age=1, stale-if-error=300", "origin_requests")
	f("GET", "/nothing", 404, "", "")
	if got := s.Requests("/api/time"); got != 2 {
		t.Errorf("%d requests for /api/time, want 2", got)
	}
	if s.Total() != 18 {
		t.Errorf("%d requests in all, want 18", s.Total())
	}

	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", demoDownload, nil)
	r.Header.Set("Range", "bytes=99999990-")
	s.ServeHTTP(w, r)
	want := make([]byte, 10)
	if _, err := s.big.ReadAt(want, 99_999_990); err != nil {
		t.Fatal(err)
	}
	if w.Code != 206 || !bytes.Equal(w.Body.Bytes(), want) || w.Header().Get("Content-Range") != "bytes 99999990-99999999/100000000" {
		t.Errorf("the last ten bytes: %d, %q, %x", w.Code, w.Header().Get("Content-Range"), w.Body)
	}
}
