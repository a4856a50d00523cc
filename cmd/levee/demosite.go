package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/websocket"
)

//go:embed demosite
var demoFiles embed.FS

// demoSite is the origin of the demo: a small real website that counts what it
// is asked. It is safe for concurrent use.
type demoSite struct {
	ctx    context.Context // its end ends the streams
	mux    http.ServeMux
	files  []demoFile
	big    demoBytes
	events atomic.Int64 // sent by /events

	outage atomic.Bool

	mu       sync.Mutex // guards what follows
	requests map[string]int
	total    int
	note     string
}

// demoFile is a page or another file of the site, by the path that it is
// served under.
type demoFile struct {
	path string
	body []byte
	etag string
}

// demoModified is the Last-Modified of what is compiled in: no file has a date
// in an embed.FS, and one that changes at each start would defeat validation.
var demoModified = time.Date(2026, time.November, 1, 12, 0, 0, 0, time.UTC)

// demoDownload is the path of the large file.
const demoDownload = "/download/100MB.bin"

// newDemoSite makes the site. The end of ctx ends its streams, which have none
// of their own.
func newDemoSite(ctx context.Context) *demoSite {
	s := &demoSite{ctx: ctx, requests: make(map[string]int), big: 100_000_000, note: "nothing noted yet"}
	s.addFiles()
	s.mux.HandleFunc("GET /api/time", s.time)
	s.mux.HandleFunc("GET /api/slow", s.slow)
	s.mux.HandleFunc("GET /api/version", s.version)
	s.mux.HandleFunc("GET /api/note", s.getNote)
	s.mux.HandleFunc("POST /api/note", s.setNote)
	s.mux.HandleFunc("GET /private", s.private)
	s.mux.HandleFunc("GET /flaky", s.flaky)
	s.mux.HandleFunc("POST /outage", s.setOutage)
	s.mux.HandleFunc("GET /events", s.stream)
	s.mux.HandleFunc("GET "+demoDownload, s.download)
	s.mux.Handle("GET /ws", websocket.Server{Handler: s.echo})
	return s
}

func (s *demoSite) addFiles() {
	err := fs.WalkDir(demoFiles, "demosite", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := demoFiles.ReadFile(name)
		if err != nil {
			return err
		}
		f := demoFile{path: strings.TrimPrefix(name, "demosite"), body: body}
		pattern := "GET " + f.path
		if path.Base(name) == "index.html" {
			f.path = strings.TrimSuffix(f.path, "index.html")
			pattern = "GET " + f.path + "{$}"
		}
		sum := sha256.Sum256(body)
		f.etag = fmt.Sprintf(`"%x"`, sum[:8])
		s.files = append(s.files, f)
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			// The files under /static/ state no freshness: it is a rule of the
			// edge that keeps them for a day.
			if !strings.HasPrefix(f.path, "/static/") {
				w.Header().Set("Cache-Control", "public, max-age=60")
			}
			w.Header().Set("Etag", f.etag)
			http.ServeContent(w, r, path.Base(name), demoModified, bytes.NewReader(f.body))
		})
		return nil
	})
	if err != nil {
		panic("BUG: the demo's files cannot be read: " + err.Error())
	}
}

// ServeHTTP counts the request, then answers it.
func (s *demoSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests[r.URL.Path]++
	s.total++
	s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}

// Requests is the number of requests for a path, whatever their query, method
// and answer.
func (s *demoSite) Requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[path]
}

// Total is the number of requests for all paths.
func (s *demoSite) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func (s *demoSite) json(w http.ResponseWriter, control string, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", control)
	_ = json.NewEncoder(w).Encode(v) // the peer is gone: nobody to tell
}

// time is an API that is fresh for one second.
func (s *demoSite) time(w http.ResponseWriter, r *http.Request) {
	s.json(w, "public, max-age=1", map[string]any{
		"time": time.Now().UTC().Format(time.RFC3339Nano), "origin_requests": s.Requests(r.URL.Path),
	})
}

// slow takes a second of work; its answer is good for ten.
func (s *demoSite) slow(w http.ResponseWriter, r *http.Request) {
	n := s.Requests(r.URL.Path)
	work := time.NewTimer(time.Second)
	defer work.Stop()
	select {
	case <-work.C:
	case <-r.Context().Done():
		return
	}
	s.json(w, "public, max-age=10", map[string]any{"origin_requests": n, "took": "1s"})
}

// version may be kept, but not used without asking whether it is still good.
func (s *demoSite) version(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Etag", `"v1"`)
	http.ServeContent(w, r, "version.json", time.Time{}, strings.NewReader(`{"version":"v1"}`+"\n"))
}

func (s *demoSite) getNote(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	note := s.note
	s.mu.Unlock()
	s.json(w, "public, max-age=60", map[string]string{"note": note})
}

func (s *demoSite) setNote(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10))
	if err != nil {
		http.Error(w, "the note: at most 1 KiB: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	s.mu.Lock()
	s.note = string(body)
	s.mu.Unlock()
	s.json(w, "no-store", map[string]string{"noted": string(body)})
}

// private knows its visitor by a cookie, and gives one to who has none.
func (s *demoSite) private(w http.ResponseWriter, r *http.Request) {
	visitor := "visitor-" + rand.Text()[:8]
	if c, err := r.Cookie("visitor"); err == nil {
		visitor = c.Value
	}
	http.SetCookie(w, &http.Cookie{Name: "visitor", Value: visitor, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	s.json(w, "private, max-age=60", map[string]string{"hello": visitor})
}

// flaky answers until an outage is switched on. It has no validator: while it
// works, each answer is a new one.
func (s *demoSite) flaky(w http.ResponseWriter, r *http.Request) {
	if s.outage.Load() {
		http.Error(w, "the origin is having an outage", http.StatusInternalServerError)
		return
	}
	s.json(w, "public, max-age=1, stale-if-error=300", map[string]any{"origin_requests": s.Requests(r.URL.Path)})
}

func (s *demoSite) setOutage(w http.ResponseWriter, r *http.Request) {
	switch r.URL.RawQuery {
	case "on":
		s.outage.Store(true)
	case "off":
		s.outage.Store(false)
	default:
		http.Error(w, "write /outage?on or /outage?off", http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, "outage %s\n", r.URL.RawQuery)
}

// stream sends an event at once and then one a second, without end.
func (s *demoSite) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		s.events.Add(1)
		if _, err := fmt.Fprintf(w, "id: %d\ndata: event %d at %s\n\n", n, n, time.Now().Format(time.TimeOnly)); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// echo sends every message of a WebSocket back.
func (s *demoSite) echo(c *websocket.Conn) {
	c.MaxPayloadBytes = 1 << 16
	stop := context.AfterFunc(s.ctx, func() { c.Close() })
	defer stop()
	for {
		var message []byte
		if err := websocket.Message.Receive(c, &message); err != nil {
			return
		}
		if err := websocket.Message.Send(c, string(message)); err != nil {
			return
		}
	}
}

func (s *demoSite) download(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Etag", s.big.etag())
	http.ServeContent(w, r, "", demoModified, s.big.section(0, int64(s.big)))
}
