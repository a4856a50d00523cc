package rule

import (
	"strings"
	"testing"
	"time"

	"levee/edge/cachekey"
)

func TestCompileMistakes(t *testing.T) {
	f := func(s Spec, want string) {
		t.Helper()
		s.Label = "x:1"
		set, err := Compile([]Spec{{}, s})
		if err == nil || set != nil {
			t.Errorf("%+v is accepted, want %q", s, want)
		} else if got := err.Error(); !strings.HasPrefix(got, "x:1: ") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	match := func(m MatchSpec) Spec { return Spec{Match: m} }
	f(match(MatchSpec{Methods: []string{"get"}}), `method "get": write it in capitals`)
	f(match(MatchSpec{Methods: []string{""}}), "method")
	f(match(MatchSpec{Hosts: []string{"https://x"}}), "without scheme")
	f(match(MatchSpec{Hosts: []string{"x:80"}}), "without scheme")
	f(match(MatchSpec{Paths: []string{"api/*"}}), `path "api/*": begin with "/" or "*"`)
	f(match(MatchSpec{Paths: []string{""}}), "begin with")
	f(match(MatchSpec{Paths: []string{"/a b"}}), "no request has such a path")
	f(match(MatchSpec{Paths: []string{"/über"}}), "no request has such a path")
	f(match(MatchSpec{Paths: []string{"/a/../b"}}), "normal form")
	f(match(MatchSpec{Paths: []string{"/%7Ea"}}), "normal form")
	f(match(MatchSpec{Paths: []string{"/%2f"}}), "normal form")
	f(match(MatchSpec{Headers: []FieldMatch{{Name: "x y"}}}), `header field "x y"`)
	f(match(MatchSpec{Headers: []FieldMatch{{Name: "host"}}}), "hosts instead")
	f(match(MatchSpec{Headers: []FieldMatch{{Name: "x", Absent: true, Values: []string{"1"}}}}), "absent and have a value")
	f(match(MatchSpec{Cookies: []FieldMatch{{Name: ""}}}), "cookie")
	f(match(MatchSpec{Query: []FieldMatch{{Name: ""}}}), "query parameter")
	f(Spec{TTL: &TTL{For: -1}}, "ttl -1ns: write 0s or more")
	f(Spec{StaleWhileRevalidate: ptr(-time.Second)}, "stale while_revalidate -1s")
	f(Spec{StaleIfError: ptr(-time.Second)}, "stale if_error -1s")
	f(Spec{StoreStatuses: []int{206}}, "store status 206")
	f(Spec{StoreStatuses: []int{199}}, "store status 199")
	f(Spec{Query: &cachekey.Query{Drop: []string{""}}}, "empty name")
	f(Spec{KeyHeaders: []string{"a b"}}, "key header")
	f(Spec{KeyCookies: []string{"a;b"}}, "key cookie")
	f(Spec{Request: []HeaderOp{{OpSet, "a:b", ""}}}, "request header")
	f(Spec{Request: []HeaderOp{{OpSet, "content-length", "5"}}}, "belongs to the connection")
	f(Spec{Response: []HeaderOp{{OpAdd, "Transfer-Encoding", "chunked"}}}, "belongs to the connection")
	f(Spec{Request: []HeaderOp{{OpSet, "host", "x"}}}, "origin.host")
	f(Spec{Response: []HeaderOp{{OpSet, "X-A", "a\r\nSet-Cookie: b"}}}, "control bytes")
	f(Spec{Response: []HeaderOp{{OpSet, "X-A", " a"}}}, "white space")
	f(Spec{Response: []HeaderOp{{OpRemove, "X-A", "a"}}}, "leave out the value")
	f(Spec{Response: []HeaderOp{{9, "X-A", "a"}}}, "unknown operation")
	f(Spec{Rewrite: &Rewrite{StripPrefix: "api"}}, "strip_prefix")
	f(Spec{Rewrite: &Rewrite{AddPrefix: "/a/../b"}}, "add_prefix")
	redirect := func(to string) Spec { return Spec{Redirect: &Redirect{To: to}} }
	f(Spec{Redirect: &Redirect{To: "/", Status: 200}}, "redirect status 200")
	f(redirect(""), "nowhere")
	f(redirect("/a b"), "0x20")
	f(redirect("/a\r\nSet-Cookie: x"), "0x0d")
	f(redirect(`/\evil`), "0x5c")
	f(redirect("/{x}"), "no other brace")
	f(redirect("/{path"), "no other brace")
	f(redirect("//evil"), "begin with")
	f(redirect("/{path}"), "another host")
	f(redirect("/{query}"), "another host")
	f(redirect("{query}"), "begin with")
	f(redirect("{host}{path}"), "begin with")
	f(redirect("javascript:alert(1)"), "begin with")
	f(redirect("ftp://x/"), "begin with")
	f(redirect("https://"), "write a host")
	f(redirect("https:///x"), "write a host")
	f(redirect("https://{path}"), "write a host")
	f(redirect("https://x{query}"), "part of the host")
	f(redirect("https://user@x/"), "@")
}

func TestCompileTellsAll(t *testing.T) {
	_, err := Compile([]Spec{
		{TTL: &TTL{For: -1}, Match: MatchSpec{Methods: []string{"get"}}},
		{},
		{Label: "f:9", Redirect: &Redirect{}, Rewrite: &Rewrite{AddPrefix: "x"}},
	})
	if err == nil || strings.Count(err.Error(), "\n") != 3 || !strings.Contains(err.Error(), "rule 1: ") || !strings.Contains(err.Error(), "f:9: ") {
		t.Errorf("%v", err)
	}
}

func TestCompileCopies(t *testing.T) {
	spec := Spec{
		Match: MatchSpec{Paths: []string{"/a"}, Headers: []FieldMatch{{Name: "X", Values: []string{"1"}}}},
		TTL:   &TTL{For: 1}, Query: &cachekey.Query{Keep: []string{}}, Rewrite: &Rewrite{AddPrefix: "/v"},
	}
	set := mustCompile(t, spec)
	spec.Match.Paths[0], spec.Match.Headers[0].Values[0] = "/b", "2"
	spec.TTL.For, spec.Query.Sort, spec.Rewrite.AddPrefix = 2, true, "/w"
	f := &Facts{Path: "/a", Header: map[string][]string{"X": {"1"}}}
	var a Actions
	set.Eval(f, &a)
	if a.Terms.TTL != 1 || a.Query == nil || a.Query.Sort || a.Query.Keep == nil || a.Rewrite.AddPrefix != "/v" {
		t.Errorf("%+v", a)
	}
}

func TestLocation(t *testing.T) {
	f := func(to, host, path, query, want string) {
		t.Helper()
		var a Actions
		mustCompile(t, Spec{Redirect: &Redirect{To: to, Status: 308}}).Eval(&Facts{}, &a)
		got := a.Redirect.Location(&Facts{Host: host, Path: path, Query: query})
		if got != want || a.Redirect.Status != 308 {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
	f("https://{host}{path}?{query}", "h", "/a", "b=1", "https://h/a?b=1")
	f("https://{host}{path}?{query}", "h", "/a", "", "https://h/a")
	f("https://{host}{path}?x=1&{query}", "h", "/a", "", "https://h/a?x=1")
	f("https://{host}{path}?{query}#f", "h", "/a", "", "https://h/a?#f")
	f("https://www.{host}:8443/x", "h", "/a", "", "https://www.h:8443/x")
	f("http://x?{query}", "h", "/a", "b", "http://x?b")
	f("/new{path}", "h", "/a", "", "/new/a")
	f("{path}/", "h", "/a", "", "/a/")
	f("{path}", "h", "//evil.example/x", "", "/.//evil.example/x")
	f("/?{query}{path}", "h", "/evil", "", "/?/evil")
	f("{path}", "h", "/a\r\nSet-Cookie: x", "", "/a%0D%0ASet-Cookie:%20x")
	f("/x?{query}", "h", "/", "a=\x00\xff\\<>\"#", "/x?a=%00%FF%5C%3C%3E%22%23")
}

func TestRewritePath(t *testing.T) {
	f := func(strip, add, path, want string) {
		t.Helper()
		r := Rewrite{strip, add}
		if got := r.Path(path); got != want {
			t.Errorf("%+v.Path(%q) = %q, want %q", r, path, got, want)
		}
	}
	f("", "", "/a", "/a")
	f("/api", "", "/api/x", "/x")
	f("/api", "", "/api", "/")
	f("/api", "", "/apiary", "/apiary")
	f("/api/", "", "/api/x", "/x")
	f("/", "", "/x", "/x")
	f("", "/v2", "/x", "/v2/x")
	f("", "/v2/", "/", "/v2/")
	f("/api", "/v2", "/api/x", "/v2/x")
	f("/api", "/v2", "/other", "/v2/other")
}

// FuzzLocation: whatever the request holds, the redirect leads where the
// operator said, and the field ends where it should.
func FuzzLocation(f *testing.F) {
	f.Add("h", "//evil", "a=1")
	f.Add("h@evil", "/\r\nX: y", "\\")
	f.Fuzz(func(t *testing.T, host, path, query string) {
		if !strings.HasPrefix(path, "/") {
			return
		}
		for _, to := range []string{"{path}?{query}", "/a{path}", "https://www.example.com{path}?{query}"} {
			target, err := compileTarget(&Redirect{To: to})
			if err != nil {
				t.Fatal(err)
			}
			got := target.Location(&Facts{Host: host, Path: path, Query: query})
			for i := range len(got) {
				if c := got[i]; c <= ' ' || c >= 0x7f || c == '\\' {
					t.Fatalf("%q", got)
				}
			}
			if strings.HasPrefix(got, "//") || strings.HasPrefix(to, "https") && !strings.HasPrefix(got, "https://www.example.com/") {
				t.Fatalf("%s leads to %q", to, got)
			}
		}
	})
}
