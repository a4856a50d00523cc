package cachekey

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestQueryApply(t *testing.T) {
	f := func(q Query, raw, want string) {
		t.Helper()
		if got := q.Apply(raw); got != want {
			t.Errorf("%+v.Apply(%q) = %q, want %q", q, raw, got, want)
		}
	}
	f(Query{}, "b=1&&a=2&", "b=1&&a=2&")
	f(Query{Sort: true}, "", "")
	f(Query{Sort: true}, "b=1&a=2", "a=2&b=1")
	f(Query{Sort: true}, "b=2&a=2&b=1&a", "a=2&a&b=2&b=1")
	f(Query{Sort: true}, "b=1&&a=2&", "a=2&b=1")
	f(Query{Sort: true}, "&", "")
	f(Query{Sort: true}, "%62=1&a=1&b=2", "a=1&%62=1&b=2")
	f(Query{Sort: true}, "ab=1&a=1", "a=1&ab=1")
	f(Query{Sort: true}, "a=%3D&b=x=y", "a=%3D&b=x=y")
	f(Query{Keep: []string{"v"}}, "v=1&w=2&v=&v", "v=1&v=&v")
	f(Query{Keep: []string{"v"}}, "w=2", "")
	f(Query{Keep: []string{"v"}}, "%76=1&V=2", "%76=1")
	f(Query{Keep: []string{}}, "a=1", "")
	f(Query{Drop: []string{"utm_*", "fbclid"}}, "a=1&utm_source=x&fbclid=1&UTM_x=1", "a=1&UTM_x=1")
	f(Query{Drop: []string{"utm_*"}}, "utm%5Fid=1&b", "b")
	f(Query{Drop: []string{"a b"}}, "a+b=1&a%20b=2&c", "c")
	f(Query{Keep: []string{"*"}, Drop: []string{"?"}}, "a=1&bb=2", "bb=2")
	f(Query{Drop: []string{"x"}}, "a=1;x=2", "a=1;x=2")
	f(Query{Drop: []string{"x"}}, "%=1&x=2&%zz", "%=1&%zz")
}

func TestQueryAllocs(t *testing.T) {
	q := Query{Keep: []string{"a", "b*"}, Drop: []string{"utm_*"}, Sort: true}
	if n := testing.AllocsPerRun(100, func() { q.Apply("a=1&a=0&b=2&bc=%20") }); n != 0 {
		t.Errorf("a query that does not change costs %v allocations, want 0", n)
	}
}

func TestValidQuery(t *testing.T) {
	f := func(raw string, want bool) {
		t.Helper()
		if got := ValidQuery(raw); got != want {
			t.Errorf("ValidQuery(%q) = %v", raw, got)
		}
	}
	f("", true)
	f("a=1&b[]=|%zz?/\\", true)
	f("a b", false)
	f("a#b", false)
	f("a\r\n", false)
	f("a\x7f", false)
	f("é", false)
}

func TestEachParam(t *testing.T) {
	f := func(query string, want ...string) {
		t.Helper()
		var got []string
		EachParam(query, func(name, value string) bool {
			got = append(got, name+":"+value)
			return true
		})
		if !slices.Equal(got, want) {
			t.Errorf("EachParam(%q) = %q, want %q", query, got, want)
		}
	}
	f("")
	f("&&")
	f("a=1&b&c=&=d", "a:1", "b:", "c:", ":d")
	f("%61+=%3d+%zz", "a := %zz")
	n := 0
	EachCookie(http.Header{"Cookie": {"a; b; c", "d"}}, func(string, string) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("EachCookie went on after false: %d calls", n)
	}
	n = 0
	EachParam("a&b&c", func(string, string) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("EachParam went on after false: %d calls", n)
	}
}

func TestEachCookie(t *testing.T) {
	f := func(lines []string, want ...string) {
		t.Helper()
		var got []string
		EachCookie(http.Header{"Cookie": lines}, func(name, value string) bool {
			got = append(got, name+":"+value)
			return true
		})
		if !slices.Equal(got, want) {
			t.Errorf("EachCookie(%q) = %q, want %q", lines, got, want)
		}
	}
	f(nil)
	f([]string{" ; ;"})
	f([]string{"a=1; b=2;c=\"x\"", "a=3"}, "a:1", "b:2", `c:"x"`, "a:3")
	f([]string{"a = 1 ; lone; =v; x=y=z"}, "a:1", ":lone", ":v", "x:y=z")
}

// FuzzQuery holds Apply to what net/url sees: what stays keeps its values and
// their order, and what is sorted is sorted.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"b=1&a=2", "utm_x=1&&v=%20+", "a&a=&%61=%zz", "=&==&a=b=c"} {
		f.Add(s)
	}
	q := Query{Drop: []string{"utm_*"}, Sort: true}
	f.Fuzz(func(t *testing.T, raw string) {
		got := q.Apply(raw)
		if again := q.Apply(got); again != got {
			t.Fatalf("Apply(%q) = %q, and again %q", raw, got, again)
		}
		params := func(s string) (names []string, values map[string][]string) {
			values = map[string][]string{}
			EachParam(s, func(n, v string) bool {
				names = append(names, n)
				values[n] = append(values[n], v)
				return true
			})
			return names, values
		}
		_, before := params(raw)
		for name := range before {
			if strings.HasPrefix(name, "utm_") {
				delete(before, name)
			}
		}
		names, after := params(got)
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("Apply(%q) = %q: %q became %q", raw, got, before, after)
		}
		if !slices.IsSorted(names) {
			t.Fatalf("Apply(%q) = %q is not sorted", raw, got)
		}
		if std, err := url.ParseQuery(got); err == nil && !reflect.DeepEqual(map[string][]string(std), after) {
			t.Fatalf("net/url reads %q as %q, we as %q", got, std, after)
		}
	})
}
