package edge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"levee/config"
	"levee/edge/cache"
	"levee/edge/collapse"
	"levee/purge/journal"
)

// rig is an edge in front of a scripted origin, over real sockets.
type rig struct {
	t       *testing.T
	origin  *httptest.Server
	handler *Handler
	edge    *httptest.Server
	config  *config.Config
	asked   atomic.Int64 // requests that reached the origin

	mu      sync.Mutex
	respond http.HandlerFunc
}

// newRig starts a rig whose one site has any host. Each change is applied to
// the config before it is compiled.
func newRig(t *testing.T, respond http.HandlerFunc, changes ...func(*config.Config)) *rig {
	t.Helper()
	g := &rig{t: t, respond: respond}
	g.origin = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.asked.Add(1)
		g.mu.Lock()
		f := g.respond
		g.mu.Unlock()
		f(w, r)
	}))
	t.Cleanup(g.origin.Close)
	u, _ := url.Parse(g.origin.URL)
	g.config = config.Default()
	g.config.Cache.RAM = 32 << 20
	g.config.Sites = []config.Site{config.DefaultSite("www", []string{"*"}, config.DefaultMember(u))}
	for _, f := range changes {
		f(g.config)
	}
	g.handler = newHandler(t, g.config)
	g.edge = httptest.NewServer(g.handler)
	t.Cleanup(g.edge.Close)
	return g
}

func newHandler(t testing.TB, c *config.Config) *Handler {
	t.Helper()
	metrics := NewMetrics(prometheus.NewRegistry())
	state, err := Compile(c, int64(c.Cache.RAM), nil, metrics)
	if err != nil {
		t.Fatal(err)
	}
	j := journal.New()
	store, err := cache.New(cache.Options{RAM: int64(c.Cache.RAM), Variants: 8, Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h := &Handler{
		Node: "test", Store: store, Journal: j, Flights: collapse.NewTable(ctx, 0.5),
		Logger: slog.New(slog.DiscardHandler), Metrics: metrics,
	}
	h.Swap(state)
	t.Cleanup(func() { h.State().Retire(&State{}) })
	return h
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (a answer) cacheStatus() string { return a.header.Get("Cache-Status") }

var plainClient = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 300},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// do sends a request: "GET /path", and lines "Name: value".
func (g *rig) do(request string, lines ...string) answer {
	g.t.Helper()
	return g.doBody(request, nil, lines...)
}

func (g *rig) doBody(request string, body io.Reader, lines ...string) answer {
	g.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequest(method, g.edge.URL+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Add(name, value)
	}
	resp, err := plainClient.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(p), err}
}

func (g *rig) script(f http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.respond = f
}

// header answers 200 with fields and a body that names the request's number.
func header(lines ...string) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Add(name, value)
		}
		fmt.Fprintf(w, "answer %d", n.Add(1))
	}
}

// eventually waits for something that happens behind a request.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}
