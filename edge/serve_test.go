package edge

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"levee/config"
)

// What two requests in a row get, by the origin's header.
func TestStoredOrNot(t *testing.T) {
	f := func(lines string, asked int64, want string) {
		t.Helper()
		g := newRig(t, header(strings.Split(lines, "; ")...))
		first := g.do("GET /")
		second := g.do("GET /")
		if g.asked.Load() != asked || !strings.Contains(second.cacheStatus(), want) {
			t.Errorf("%s: the origin was asked %d times, want %d; second Cache-Status %q, want %q in it", lines, g.asked.Load(), asked, second.cacheStatus(), want)
		}
		if first.status != 200 || second.status != 200 || first.body != "answer 1" {
			t.Errorf("%s: %+v, %+v", lines, first, second)
		}
		for name := range strings.FieldsSeq("Connection Keep-Alive X-Hop") {
			if v := second.header.Get(name); v != "" {
				t.Errorf("%s: %s: %s came through", lines, name, v)
			}
		}
	}
	f("Cache-Control: max-age=60", 1, "levee-test; hit; ttl=")
	f("Cache-Control: s-maxage=60, max-age=0", 1, "hit")
	f("Expires: Thu, 01 Jan 2099 00:00:00 GMT", 1, "hit")
	f("CDN-Cache-Control: max-age=60; Cache-Control: no-store", 1, "hit")
	f("Cache-Control: max-age=60; Connection: X-Hop; X-Hop: secret", 1, "hit")
	f("Cache-Control: max-age=60; Vary: *", 2, "detail=vary-star")
	f("Cache-Control: max-age=60, private", 2, "detail=private")
	f("Cache-Control: no-store", 2, "detail=no-store")
	f("Cache-Control: max-age=60; Set-Cookie: a=b", 2, "detail=set-cookie")
	f("X-Nothing: said", 2, "detail=no-freshness")
	f("Cache-Control: max-age=60; Content-Type: text/event-stream", 2, "detail=stream")
}

func TestAgeAndTTL(t *testing.T) {
	g := newRig(t, header("Cache-Control: max-age=60", "Age: 50"))
	g.do("GET /")
	a := g.do("GET /")
	if a.header.Get("Age") != "50" || !strings.Contains(a.cacheStatus(), "hit; ttl=9") && !strings.Contains(a.cacheStatus(), "hit; ttl=10") {
		t.Errorf("Age %q, %s", a.header.Get("Age"), a.cacheStatus())
	}
	g.script(header("Cache-Control: max-age=60", "Age: 61"))
	g.do("GET /old")
	g.do("GET /old")
	if g.asked.Load() != 3 {
		t.Errorf("stale on arrival: the origin was asked %d times, want 3", g.asked.Load())
	}
}

func TestKeyTellsApart(t *testing.T) {
	f := func(one, two string, same bool, changes ...func(*config.Config)) {
		t.Helper()
		g := newRig(t, header("Cache-Control: max-age=60"), changes...)
		ask := func(s string) {
			parts := strings.Split(s, " | ")
			g.do(parts[0], parts[1:]...)
		}
		ask(one)
		ask(two)
		if got := g.asked.Load() == 1; got != same {
			t.Errorf("%q and %q: one response for both: %v, want %v", one, two, got, same)
		}
	}
	f("GET /a", "GET /b", false)
	f("GET /a?x=1&y=2", "GET /a?y=2&x=1", true)
	f("GET /a?x=1", "GET /a?x=2", false)
	f("GET /%7Euser", "GET /~user", true)
	f("GET /x/../a", "GET /a", true)
	f("GET /a%2Fb", "GET /a/b", false)
	f("GET / | Host: a.test", "GET / | Host: b.test", false)
	f("GET / | Host: a.test", "GET / | Host: A.TEST:80", true)
	f("GET / | Cookie: a=1", "GET / | Cookie: a=2", true)
	f("GET / | Cookie: a=1", "GET / | Cookie: a=2", false, func(c *config.Config) { c.Sites[0].Key.Cookies = []string{"a"} })
	f("GET / | X-Device: phone", "GET / | X-Device: tv", false, func(c *config.Config) { c.Sites[0].Key.Headers = []string{"X-Device"} })
	f("GET /?v=1&utm_source=x", "GET /?v=1&utm_source=y", true, func(c *config.Config) { c.Sites[0].Key.Query.Drop = []string{"utm_*"} })
}

func TestVary(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "X-Lang, Accept-Encoding")
		fmt.Fprintf(w, "lang=%s enc=%s", r.Header.Get("X-Lang"), r.Header.Get("Accept-Encoding"))
	})
	for range 2 {
		for _, lang := range []string{"de", "en"} {
			if a := g.do("GET /", "X-Lang: "+lang, "Accept-Encoding: gzip"); a.body != "lang="+lang+" enc=gzip" {
				t.Errorf("%s: got %q", lang, a.body)
			}
		}
	}
	if n := g.asked.Load(); n != 2 {
		t.Errorf("the origin was asked %d times for 2 variants", n)
	}
	// The codings that we do not know are one with none, and the order is nothing.
	g.do("GET /", "X-Lang: de", "Accept-Encoding: gzip;q=0.5, sdch")
	if n := g.asked.Load(); n != 2 {
		t.Errorf("an equal Accept-Encoding was another variant")
	}
	if a := g.do("GET /", "X-Lang: fr"); !strings.Contains(a.cacheStatus(), "fwd=vary-miss") {
		t.Error(a.cacheStatus())
	}
}

func TestValidation(t *testing.T) {
	var conditional []string
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=0")
		w.Header().Set("ETag", `"one"`)
		w.Header().Set("X-Served", time.Now().String())
		if inm := r.Header.Get("If-None-Match"); inm != "" {
			conditional = append(conditional, inm)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, "body")
	})
	g.do("GET /")
	first := g.do("GET /")
	second := g.do("GET /")
	if second.body != "body" || !strings.Contains(second.cacheStatus(), "fwd=stale; fwd-status=304") {
		t.Errorf("%q, %s", second.body, second.cacheStatus())
	}
	if len(conditional) != 2 || conditional[0] != `"one"` {
		t.Errorf("the origin saw %q", conditional)
	}
	if first.header.Get("X-Served") == second.header.Get("X-Served") {
		t.Error("a 304 did not freshen the header")
	}
	// The client's validator is for us to answer, not to pass on.
	if a := g.do("GET /", `If-None-Match: "other", W/"one"`); a.status != 304 || a.body != "" || a.header.Get("ETag") != `"one"` {
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	}
	if a := g.do("GET /", `If-None-Match: "two"`); a.status != 200 || a.body != "body" {
		t.Errorf("%d %q", a.status, a.body)
	}
	for _, inm := range conditional {
		if inm != `"one"` {
			t.Errorf("the origin saw a client's validator %s", inm)
		}
	}
}

func TestHead(t *testing.T) {
	g := newRig(t, header("Cache-Control: max-age=60"))
	if a := g.do("HEAD /"); a.status != 200 || a.body != "" {
		t.Errorf("%+v", a)
	}
	g.do("GET /")
	n := g.asked.Load()
	a := g.do("HEAD /")
	if g.asked.Load() != n || a.header.Get("Content-Length") != "8" || a.body != "" || !strings.Contains(a.cacheStatus(), "hit") {
		t.Errorf("a HEAD after a GET: asked %d more, %v", g.asked.Load()-n, a.header)
	}
}

func TestStaleIfError(t *testing.T) {
	f := func(name, stale string, fail http.HandlerFunc, want int, changes ...func(*config.Config)) {
		t.Helper()
		g := newRig(t, header("Cache-Control: max-age=60"+stale, "Age: 61", `ETag: "x"`), changes...)
		g.do("GET /")
		g.script(fail)
		a := g.do("GET /")
		if a.status != want || want == 200 && (a.body != "answer 1" || !strings.Contains(a.cacheStatus(), "fwd=stale")) {
			t.Errorf("%s: %d %q %s", name, a.status, a.body, a.cacheStatus())
		}
	}
	down := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	f503 := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	f404 := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
	site := func(c *config.Config) { c.Sites[0].Stale.IfError = config.Duration(time.Hour) }
	f("window, 503", ", stale-if-error=60", f503, 200)
	f("window, closed", ", stale-if-error=60", down, 200)
	f("window, 404 is an answer", ", stale-if-error=60", f404, 404)
	f("no window, 503", "", f503, 503)
	f("must-revalidate, 503", ", stale-if-error=60, must-revalidate", f503, 503)
	f("the site's window, 503", "", f503, 200, site)
	f("the site's window, must-revalidate", ", must-revalidate", f503, 503, site)
}

func TestStaleWhileRevalidate(t *testing.T) {
	g := newRig(t, header("Cache-Control: max-age=0, stale-while-revalidate=60", `ETag: "x"`))
	g.do("GET /")
	hold := make(chan struct{})
	next := header("Cache-Control: max-age=60", `ETag: "y"`)
	g.script(func(w http.ResponseWriter, r *http.Request) { <-hold; next(w, r) })
	for range 5 {
		if a := g.do("GET /"); a.body != "answer 1" || !strings.Contains(a.cacheStatus(), "hit") {
			t.Fatalf("%q %s", a.body, a.cacheStatus())
		}
	}
	eventually(t, "the origin is asked", func() bool { return g.asked.Load() == 2 })
	close(hold)
	eventually(t, "the new response is served", func() bool {
		return strings.Contains(g.do("GET /", "X: "+time.Now().String()).cacheStatus(), "ttl=59")
	})
	if n := g.asked.Load(); n != 2 {
		t.Errorf("%d fetches, want one and one revalidation", n)
	}
}

func TestRanges(t *testing.T) {
	const body = "0123456789abcdefghij"
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			t.Error("a flight's fetch carried a client's Range")
		}
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"v"`)
		_, _ = io.WriteString(w, body)
	})
	f := func(want int, content, got string, lines ...string) {
		t.Helper()
		for range 2 { // a miss, then a hit
			a := g.do("GET /", lines...)
			if a.status != want || a.header.Get("Content-Range") != content || got != "" && a.body != got {
				t.Errorf("%v: %d %q %q", lines, a.status, a.header.Get("Content-Range"), a.body)
			}
		}
	}
	f(206, "bytes 5-9/20", "56789", "Range: bytes=5-9")
	f(206, "bytes 15-19/20", "fghij", "Range: bytes=15-")
	f(206, "bytes 17-19/20", "hij", "Range: bytes=-3")
	f(416, "bytes */20", "", "Range: bytes=20-")
	f(200, "", body, "Range: lines=1-2")
	f(206, "bytes 0-0/20", "0", "Range: bytes=0-0", `If-Range: "v"`)
	f(200, "", body, "Range: bytes=0-0", `If-Range: "w"`)
	f(200, "", body, "Range: bytes=0-0", `If-Range: W/"v"`)
	a := g.do("GET /", "Range: bytes=0-1,4-5")
	if a.status != 206 || !strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges; boundary=") ||
		!strings.Contains(a.body, "Content-Range: bytes 4-5/20\r\n\r\n45\r\n") || a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
		t.Errorf("%d %v %q", a.status, a.header, a.body)
	}
	if n := g.asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
}

func TestUnsafeMethodInvalidates(t *testing.T) {
	g := newRig(t, header("Cache-Control: max-age=60"))
	cached := func(path string) bool {
		n := g.asked.Load()
		g.do("GET " + path)
		return g.asked.Load() == n
	}
	warm := func() {
		for _, p := range []string{"/a", "/b", "/c?x=1"} {
			g.do("GET " + p)
		}
	}
	warm()
	g.doBody("POST /a", strings.NewReader("x"))
	if cached("/a") || !cached("/b") {
		t.Error("POST /a must invalidate /a and nothing else")
	}
	warm()
	g.script(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	g.do("DELETE /a")
	g.script(header("Cache-Control: max-age=60"))
	if !cached("/a") {
		t.Error("an error must invalidate nothing")
	}
	g.script(header("Cache-Control: max-age=60", "Location: /c?x=1", "Content-Location: http://elsewhere.test/b"))
	g.do("M-SEARCH /a")
	if cached("/c?x=1") || !cached("/b") {
		t.Error("Location on the same host must be invalidated, another host's must not")
	}
}

func TestClientCannotSayWhatIsOurs(t *testing.T) {
	var got http.Header
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		got.Set("Seen-Host", r.Host)
	})
	g.do("GET /", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: gopher", "Forwarded: for=6.6.6.6",
		"X-Real-Ip: 6.6.6.6", "X-Original-Url: /admin", "Connection: X-Secret, close", "X-Secret: s", "Cdn-Loop: other", "Via: 1.1 proxy", "Host: A.test.:1337")
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "a.test", "Seen-Host": "a.test", "X-Forwarded-Proto": "http", "Forwarded": "", "X-Real-Ip": "",
		"X-Original-Url": "", "X-Secret": "", "Connection": "", "Cdn-Loop": "other, levee-test", "Via": "1.1 proxy, 1.1 levee-test",
	} {
		if v := strings.Join(got.Values(name), ", "); v != want {
			t.Errorf("%s: the origin got %q, want %q", name, v, want)
		}
	}
	if a := g.do("GET /", "CDN-Loop: levee-test; x=1"); a.status != 508 {
		t.Errorf("a loop: %d", a.status)
	}
}

func TestRulesAtWork(t *testing.T) {
	g := newRig(t, header("Surrogate-Key: a b"), func(c *config.Config) {
		hour := config.Duration(time.Hour)
		c.Sites[0].Rules = []config.Rule{
			{Match: config.Match{Path: []string{"/static/*"}}, TTL: &config.TTL{Duration: hour}},
			{Match: config.Match{Path: []string{"/static/not/*"}}, Cache: "bypass"},
			{Match: config.Match{Path: []string{"/old/*"}}, Redirect: &config.Redirect{To: "https://{host}/new{path}{query}", Status: 308}},
			{Match: config.Match{Cookies: map[string]string{"session": "*"}}, Cache: "bypass"},
			{Response: config.HeaderOps{Set: map[string]string{"X-Rule": "yes"}, Remove: []string{"X-Gone"}}},
		}
	})
	g.do("GET /static/x")
	if a := g.do("GET /static/x"); !strings.Contains(a.cacheStatus(), "hit; ttl=3599") || a.header.Get("X-Rule") != "yes" || a.header.Get("Surrogate-Key") != "" {
		t.Errorf("%v", a.header)
	}
	if a := g.do("GET /static/x", "Cookie: session=1"); !strings.Contains(a.cacheStatus(), "fwd=bypass") {
		t.Error(a.cacheStatus())
	}
	if a := g.do("GET /static/not/x"); !strings.Contains(a.cacheStatus(), "fwd=bypass") {
		t.Error(a.cacheStatus())
	}
	if a := g.do("GET /old/x?y=1", "Host: a.test"); a.status != 308 || a.header.Get("Location") != "https://a.test/new/old/x?y=1" {
		t.Errorf("%d %q", a.status, a.header.Get("Location"))
	}
}

// A body that nobody keeps may be complete before its reader has opened it.
func TestUnstoredAnswersArriveWhole(t *testing.T) {
	g := newRig(t, header("Cache-Control: no-store"))
	for i := range 300 {
		if a := g.do("GET /"); a.err != nil || a.body != fmt.Sprint("answer ", i+1) {
			t.Fatalf("request %d: %+v", i, a)
		}
	}
	if used := g.handler.Store.Budget.Used(); used != 0 {
		t.Errorf("%d bytes of the budget are not given back", used)
	}
}

func TestContentTypeIsNotGuessed(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("Cache-Control", r.URL.Query().Get("cc"))
		_, _ = io.WriteString(w, "<html><script>alert(1)</script>")
	})
	for _, request := range []string{"GET /?cc=max-age=60", "GET /?cc=max-age=60", "GET /?cc=no-store", "POST /?cc=no-store"} {
		if ct, told := g.do(request).header["Content-Type"]; told {
			t.Errorf("%s: the edge says %q, the origin said nothing", request, ct)
		}
	}
}

func TestRulesDoNotMakeErrorsStorable(t *testing.T) {
	g := newRig(t, header("Cache-Control: max-age=60"), func(c *config.Config) {
		c.Sites[0].Rules = []config.Rule{{Response: config.HeaderOps{Set: map[string]string{"Cache-Control": "public, max-age=3600"}}}}
	})
	if a := g.do("GET /"); a.header.Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("%v", a.header)
	}
	g.origin.Close()
	if a := g.do("GET /other"); a.status != 502 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

func TestRedirectToHTTPSKeepsTheQuery(t *testing.T) {
	g := newRig(t, nil, func(c *config.Config) {
		c.Sites[0].RedirectHTTPS = true
		c.Sites[0].Key.Query.Drop = []string{"utm_*"}
	})
	a := g.do("GET /a?b=2&utm_source=x&a=1", "Host: a.test")
	if a.status != 301 || a.header.Get("Location") != "https://a.test/a?b=2&utm_source=x&a=1" {
		t.Errorf("%d %q", a.status, a.header.Get("Location"))
	}
	if a := g.do("POST /a", "Host: a.test"); a.status != 308 {
		t.Errorf("a POST: %d", a.status)
	}
}

func TestDateIsAdded(t *testing.T) {
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Set("Cache-Control", "max-age=60")
	})
	first := g.do("GET /").header.Get("Date")
	time.Sleep(1100 * time.Millisecond) // net/http would state another second
	if again := g.do("GET /").header.Get("Date"); first == "" || again != first {
		t.Errorf("Date %q, then %q from the cache", first, again)
	}
}
