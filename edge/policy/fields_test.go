package policy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

func TestParseVary(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		fields, star := ParseVary(lines)
		if star || strings.Join(fields, " ") != want {
			t.Errorf("%q: %q, %v, want %q", lines, fields, star, want)
		}
	}
	f("")
	f("", "", " ,")
	f("Foo", "foo")
	f("Accept-Encoding Foo", "foo, ACCEPT-ENCODING", "Foo,")
	s := func(lines ...string) {
		t.Helper()
		if fields, star := ParseVary(lines); !star || fields != nil {
			t.Errorf("%q: %q, %v, want star", lines, fields, star)
		}
	}
	s("*")
	s("*, *")
	s("*", "*")
	s(", *")
	s("", "*")
	s("*, Foo")
	s("Foo, *")
	s("Foo", " * ")
	s("Foo Bar")
	s("Foo;")
}

func TestHopByHop(t *testing.T) {
	h := header("Connection: close, X-Hop", "Connection: x-hop2,Cdn-Loop, cache-control", "X-Hop: 1", "X-Hop2: 1", "CDN-Loop: levee",
		"Cache-Control: private", "Keep-Alive: 5", "Proxy-Connection: x", "Proxy-Authorization: x", "Proxy-Authenticate: x",
		"TE: trailers", "Trailer: x", "Transfer-Encoding: chunked", "Upgrade: h2c", "HTTP2-Settings: x", "Content-Length: 3", "X-End: 1")
	HopByHop(h)
	want := header("CDN-Loop: levee", "Cache-Control: private", "Content-Length: 3", "X-End: 1")
	if !reflect.DeepEqual(h, want) {
		t.Errorf("left: %v", h)
	}
}

func TestInvalidatesOn(t *testing.T) {
	f := func(method string, status int, want bool) {
		t.Helper()
		if got := InvalidatesOn(method, status); got != want {
			t.Errorf("%s %d: %v", method, status, got)
		}
	}
	f("POST", 200, true)
	f("PUT", 204, true)
	f("DELETE", 303, true)
	f("M-SEARCH", 200, true)
	f("get", 200, true) // another method than GET
	f("POST", 199, false)
	f("POST", 400, false)
	f("POST", 500, false)
	f("GET", 200, false)
	f("HEAD", 200, false)
	f("OPTIONS", 200, false)
	f("PROPFIND", 207, false)
}

func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for i, r := range Reasons() {
		s := r.String()
		if (s == "") != (i == 0) || seen[s] || s != strings.ToLower(s) || s != "" && !isStructuredToken(s) {
			t.Errorf("reason %d is %q", i, s)
		}
		seen[s] = true
	}
	for s := SourceNone; s <= SourceRule; s++ {
		if !isToken(s.String()) {
			t.Errorf("source %d is %q", s, s)
		}
	}
	for u := MustValidate; u <= WhileRevalidate; u++ {
		if !isToken(u.String()) {
			t.Errorf("stale use %d is %q", u, u)
		}
	}
}

func TestCacheStatus(t *testing.T) {
	f := func(s CacheStatus, want string) {
		t.Helper()
		if got := string(s.Append(nil)); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
	}
	f(CacheStatus{Cache: "levee-fra1", Hit: true, TTL: 27900 * time.Millisecond, HasTTL: true}, "levee-fra1; hit; ttl=27")
	f(CacheStatus{Cache: "x", Hit: true, TTL: -1, HasTTL: true}, "x; hit; ttl=-1")
	f(CacheStatus{Cache: "x", Hit: true, TTL: -2 * time.Second, HasTTL: true}, "x; hit; ttl=-2")
	f(CacheStatus{Cache: "x", Fwd: FwdURIMiss, FwdStatus: 200, Stored: true, Collapsed: true}, "x; fwd=uri-miss; fwd-status=200; stored; collapsed")
	f(CacheStatus{Cache: "x", Fwd: FwdStale, FwdStatus: 304, Detail: ReasonNoStore.String()}, "x; fwd=stale; fwd-status=304; detail=no-store")
	f(CacheStatus{Cache: "my cache", Hit: true}, `"my cache"; hit`)
	f(CacheStatus{Cache: "1a", Detail: "a\"\\\r\n\xff"}, `"1a"; detail="a\"\\???"`)
	f(CacheStatus{}, `""`)
	for fwd := FwdBypass; fwd <= FwdPartial; fwd++ {
		f(CacheStatus{Cache: "x", Fwd: fwd}, "x; fwd="+fwd.String())
	}
}

// FuzzCacheStatus reads every member back with another implementation.
func FuzzCacheStatus(f *testing.F) {
	f.Add("levee-fra1", "no-store", int64(5))
	f.Add("a b", "\"\\\x00é", int64(-1))
	f.Fuzz(func(t *testing.T, name, detail string, ttl int64) {
		s := CacheStatus{Cache: name, Hit: true, TTL: time.Duration(ttl), HasTTL: true, Detail: detail}
		b := string(s.Append(nil))
		list, err := httpsfv.UnmarshalList([]string{b})
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v", b, err)
		}
		item := list[0].(httpsfv.Item)
		if got, ok := item.Params.Get("ttl"); !ok || got.(int64) > int64(time.Duration(ttl)/time.Second) {
			t.Fatalf("%s: ttl %v", b, got)
		}
		if _, ok := item.Params.Get("detail"); ok != (detail != "") {
			t.Fatalf("%s: detail", b)
		}
	})
}
