package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestForward: what of a request reaches the member.
func TestForward(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s host=%s ua=%q ae=%q", r.Method, r.RequestURI, r.Host, r.Header["User-Agent"], r.Header["Accept-Encoding"])
	}))
	defer s.Close()
	own := strings.TrimPrefix(s.URL, "http://")
	f := func(prefix, host, path, want string) {
		t.Helper()
		p := newPool(t, func(o *Options) { o.Host = host }, s.URL+prefix)
		r := get(t, path)
		before := fmt.Sprint(r.URL, r.Host, r.Header, r.GetBody == nil)
		_, got, err := fetch(p, r)
		if err != nil || got != want+` ua=[] ae=[]` {
			t.Errorf("%q as %q, %q: %s, %v; want %s", prefix, host, path, got, err, want)
		}
		if after := fmt.Sprint(r.URL, r.Host, r.Header, r.GetBody == nil); after != before {
			t.Errorf("the request was changed from %s to %s", before, after)
		}
	}
	f("", "", "/a?b=c", "GET /a?b=c host=www.example.com")
	f("", HostClient, "/", "GET / host=www.example.com")
	f("", HostOrigin, "/", "GET / host="+own)
	f("", "other.example.org", "/", "GET / host=other.example.org")
	f("/base", "", "/a", "GET /base/a host=www.example.com")
	f("/base/", "", "/a/", "GET /base/a/ host=www.example.com")
	f("/", "", "/a", "GET /a host=www.example.com")
	f("/b%2Fc", "", "/d", "GET /b%2Fc/d host=www.example.com")
	f("/b%2Fc", "", "/d%2Fe?", "GET /b%2Fc/d%2Fe? host=www.example.com")
	f("/base", "", "/d%2Fe", "GET /base/d%2Fe host=www.example.com")
	f("", "", "//a//b/../c", "GET //a//b/../c host=www.example.com")
	f("", "", "", "GET / host=www.example.com")
	f("/base", "", "", "GET /base/ host=www.example.com")
}

func TestRequestsOfManyKinds(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Trailer", "X-End")
			fmt.Fprintf(w, "%s %d %s %s", r.Method, r.ContentLength, b, r.Trailer.Get("X-Sent"))
			w.Header().Set("X-End", "yes")
		}
	}))
	defer s.Close()
	p := newPool(t, nil, s.URL)
	f := func(r *http.Request, status int, want string) {
		t.Helper()
		resp, got, err := fetch(p, r)
		if err != nil || resp.StatusCode != status || got != want {
			t.Errorf("%s %s: %v %q %v, want %d %q", r.Method, r.URL, resp, got, err, status, want)
		}
	}
	f(get(t, "/"), 200, "GET 0  ")
	f(request(t, "HEAD", "/", nil), 200, "")
	f(get(t, "/empty"), 204, "")
	f(request(t, "POST", "/", strings.NewReader("hello")), 200, "POST 5 hello ")
	f(request(t, "PUT", "/", struct{ io.Reader }{strings.NewReader("hello")}), 200, "PUT -1 hello ")
	r := request(t, "POST", "/", struct{ io.Reader }{strings.NewReader("hello")})
	r.Trailer = http.Header{"X-Sent": {"trailer"}}
	f(r, 200, "POST -1 hello trailer")
	redirect, body, err := fetch(p, get(t, "/redirect"))
	if err != nil || redirect.StatusCode != 302 || redirect.Header.Get("Location") != "/elsewhere" || body == "" {
		t.Errorf("a redirect came as %v, %v", redirect, err)
	}
	resp, _, err := fetch(p, get(t, "/"))
	if err != nil || resp.Trailer.Get("X-End") != "yes" {
		t.Errorf("trailer %v, %v", resp.Trailer, err)
	}
	if _, _, err := fetch(p, request(t, "CONNECT", "/", nil)); kindOf(err) != RequestError {
		t.Errorf("CONNECT: %v", err)
	}
}

func kindOf(err error) Kind {
	var e *Error
	if !errors.As(err, &e) {
		return kinds
	}
	return e.Kind
}

// TestConnectionsAreReused: an exchange that was read to its end, or had no body, leaves its connection for the next.
func TestConnectionsAreReused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			io.WriteString(w, strings.Repeat("x", 100_000))
		}
	}))
	defer s.Close()
	p := newPool(t, func(o *Options) { o.Total = time.Minute }, s.URL)
	var fresh atomic.Int32
	for i := range 200 {
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
			if !c.Reused {
				fresh.Add(1)
			}
		}}
		path := []string{"/body", "/none"}[i%2]
		r := get(t, path)
		ctx, cancel := context.WithCancel(httptrace.WithClientTrace(r.Context(), trace))
		if _, _, err := fetch(p, r.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if n := fresh.Load(); n != 1 {
		t.Errorf("200 exchanges one after the other took %d connections, want 1", n)
	}
}

// TestEarlyHints: of the informational responses only 103 reaches the caller's trace, whose other hooks work too.
func TestEarlyHints(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(102)
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(110)
		io.WriteString(w, "done")
	}))
	defer s.Close()
	for _, multi := range []bool{false, true} {
		if multi {
			s.Close()
			s = httptest.NewUnstartedServer(s.Config.Handler)
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Start()
		}
		p := newPool(t, func(o *Options) { o.HTTP2 = multi }, s.URL)
		var got []string
		var wrote, first, conn atomic.Bool
		r := get(t, "/")
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				got = append(got, fmt.Sprint(code, h.Get("Link")))
				return nil
			},
			GotConn:              func(httptrace.GotConnInfo) { conn.Store(true) },
			WroteRequest:         func(httptrace.WroteRequestInfo) { wrote.Store(true) },
			GotFirstResponseByte: func() { first.Store(true) },
		}))
		resp, body, err := fetch(p, r)
		if err != nil || body != "done" || resp.ProtoMajor != map[bool]int{false: 1, true: 2}[multi] {
			t.Fatalf("%v %q %v", resp, body, err)
		}
		if want := "[103</style.css>; rel=preload]"; fmt.Sprint(got) != want {
			t.Errorf("HTTP2 %v: informational responses %v, want %s", multi, got, want)
		}
		if !wrote.Load() || !first.Load() || !conn.Load() {
			t.Errorf("HTTP2 %v: hooks: wrote %v, first byte %v, connection %v", multi, wrote.Load(), first.Load(), conn.Load())
		}
		// An error of the caller's ends the exchange and comes back.
		mine := errors.New("enough")
		r = get(t, "/")
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { return mine },
		}))
		if _, _, err := fetch(p, r); !errors.Is(err, mine) {
			t.Errorf("HTTP2 %v: %v, want the hook's error", multi, err)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	f := func(o Options, want ...string) {
		t.Helper()
		p, err := New(o)
		if err == nil {
			p.Close()
			t.Errorf("%+v was taken, want %q", o, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %v\nlacks %q", err, w)
			}
		}
	}
	good := []Member{{URL: mustURL(t, "http://a")}}
	one := func(u string) Options { return Options{Name: "p", Members: []Member{{URL: mustURL(t, u)}}} }
	f(Options{Name: "p"}, `origin pool "p"`, "at least one member")
	f(Options{Members: []Member{{}}}, "no url")
	f(one("ftp://a"), "must be http or https")
	f(one("http:///x"), "no host")
	f(one("http://u:p@a"), "only scheme, host, port and path", "xxxxx")
	f(one("http://a?x"), "only scheme")
	f(one("http://a#x"), "only scheme")
	f(Options{Members: good, Balance: "magic"}, `balance "magic"`)
	f(Options{Members: []Member{{URL: mustURL(t, "http://a"), Weight: 1001}}}, "weight 1001")
	f(Options{Members: good, CAFile: "/nowhere"}, "tls.ca", "/nowhere")
	f(Options{Members: good, CertFile: "x"}, "belong together")
	f(Options{Members: good, CertFile: "/x", KeyFile: "/y"}, "tls.cert /x")
	f(Options{Members: good, Connect: -1, Total: -1, Retries: -1, MaxConnections: -1},
		"connect", "total", "retries is -1", "max_connections is -1") // all at once
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for k := range kinds {
		if k.String() == "" || seen[k.String()] || strings.HasPrefix(k.String(), "BUG") {
			t.Errorf("Kind %d is called %q", k, k)
		}
		seen[k.String()] = true
		switch k.Status() {
		case 400, 500, 502, 503, 504:
		default:
			t.Errorf("%v has status %d", k, k.Status())
		}
	}
	if kinds.Status() != 500 || !strings.HasPrefix(kinds.String(), "BUG") {
		t.Errorf("an unknown Kind is %v, %d", kinds, kinds.Status())
	}
}
