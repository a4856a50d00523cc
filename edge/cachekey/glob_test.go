package cachekey

import (
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	f := func(pattern, s string, want bool) {
		t.Helper()
		if got := Glob(pattern, s); got != want {
			t.Errorf("Glob(%q, %q) = %v, want %v", pattern, s, got, want)
		}
	}
	f("", "", true)
	f("", "a", false)
	f("*", "", true)
	f("*", "/a/b", true)
	f("**", "x", true)
	f("/api/*", "/api/", true)
	f("/api/*", "/api", false)
	f("/api/*", "/api/v1/x", true)
	f("/api/*", "/API/", false)
	f("*.css", "/a/b.css", true)
	f("*.css", ".css", true)
	f("*.css", "/a.css.map", false)
	f("/a*b*c", "/abc", true)
	f("/a*b*c", "/axbxbxc", true)
	f("/a*b*c", "/acb", false)
	f("a*a", "a", false)
	f("a*a", "aa", true)
	f("?", "", false)
	f("?", "/", true)
	f("a?c", "abc", true)
	f("a?c", "ac", false)
	f("*?", "", false)
	f("*a?c*", "xxabcxx", true)
	f("*a?c", "aacabc", true)
	f("*a?", "ab", true)
	f("*a?", "xa", false)
}

func TestGlobIsBounded(t *testing.T) {
	pattern := strings.Repeat("*a?", 200) + "b"
	s := strings.Repeat("a", 100_000)
	start := time.Now()
	if Glob(pattern, s) {
		t.Error("it matches without a b")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

// slowGlob is the definition, exponential.
func slowGlob(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return slowGlob(p[1:], s) || s != "" && slowGlob(p, s[1:])
	case s == "":
		return false
	}
	return (p[0] == '?' || p[0] == s[0]) && slowGlob(p[1:], s[1:])
}

func FuzzGlob(f *testing.F) {
	f.Add("/a*b?c*", "/axxbyc")
	f.Add("*a*a*", "aa")
	f.Add("?*?", "ab")
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 10 || len(s) > 14 {
			return // slowGlob
		}
		if got, want := Glob(p, s), slowGlob(p, s); got != want {
			t.Fatalf("Glob(%q, %q) = %v, want %v", p, s, got, want)
		}
	})
}
