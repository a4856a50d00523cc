package cachekey

import (
	"net/url"
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		got, ok := Path(raw)
		if !ok {
			t.Errorf("Path(%q) refused, want %q", raw, want)
		} else if got != want {
			t.Errorf("Path(%q) = %q, want %q", raw, got, want)
		}
	}
	f("", "/")
	f("/", "/")
	f("/a/b", "/a/b")
	f("/%61%2D%7e", "/a-~")
	f("/%2f", "/%2F")
	f("/a%2Fb", "/a%2Fb")
	f("/%c3%A9", "/%C3%A9")
	f("/%252e%252e/", "/%252e%252e/")
	f("/%20", "/%20")
	f("//a///b//", "//a///b//")
	f("/A;b=C,d:e@f!$&'()*+=", "/A;b=C,d:e@f!$&'()*+=")
	f("/a[1]|^`{}\"<>", "/a[1]|^`{}\"<>")
	f("/.well-known/x", "/.well-known/x")
	f("/...", "/...")
	f("/..a/.b", "/..a/.b")
	f("/.", "/")
	f("/..", "/")
	f("/./a", "/a")
	f("/a/.", "/a/")
	f("/a/..", "/")
	f("/a/b/../c", "/a/c")
	f("/a/b/../../../c", "/c")
	f("/a/%2e%2E/b", "/b")
	f("/a/.%2e/b", "/b")
	f("/a//../b", "/a/b")
	f("/a//..", "/a/")
	f("/.//evil", "//evil")
	f("/a;/../b", "/b")
	f("/a..%2Fb", "/a..%2Fb")
	f("/.%2Fa", "/.%2Fa")
}

func TestPathRefused(t *testing.T) {
	f := func(raw string) {
		t.Helper()
		if got, ok := Path(raw); ok {
			t.Errorf("Path(%q) = %q, want it refused", raw, got)
		}
	}
	f("a")
	f("*")
	f("http://x/")
	f("/%")
	f("/%2")
	f("/%zz")
	f("/%2g")
	f("/%00")
	f("/a b")
	f("/a\x00")
	f("/a\x7f")
	f("/a\xff")
	f("/é")
	f("/a#b")
	f("/a?b")
	f("/a\r\nb")
	f(`/a\..\b`)
	f("/static/..%2Faccount")
	f("/static/..%2faccount")
	f("/static/%2e%2e%2faccount")
	f("/static/..%5caccount")
	f("/static%2F..%2Faccount")
	f("/static%2F../account")
	f("/static/..;/account")
	f("/static/..;x=y/account")
	f("/static/x%2F..")
}

func TestPathAllocs(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		Path("/static/.well-known/css/site%20a.css;v=1")
		Host("www.example.com:8443")
		Host("[2001:db8::1]:443")
	})
	if n != 0 {
		t.Errorf("normal input costs %v allocations, want 0", n)
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"/a/../b", "/%2e%2E/x", "/a%2f..%2Fb", "//x/./", "/..;/a", "/%7e%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, ok := Path(raw)
		if !ok {
			return
		}
		if again, ok := Path(path); !ok || again != path {
			t.Fatalf("Path(%q) = %q, but Path of that is %q, %v", raw, path, again, ok)
		}
		// A reader that decodes everything sees no way up.
		decoded, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("Path(%q) = %q: %v", raw, path, err)
		}
		for _, seg := range strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' }) {
			if seg == ".." || strings.HasPrefix(seg, "..;") {
				t.Fatalf("Path(%q) = %q has a hidden %q", raw, path, seg)
			}
		}
		if !strings.HasPrefix(path, "/") {
			t.Fatalf("Path(%q) = %q", raw, path)
		}
		// Nothing but dots and escapes has changed: both mean the same bytes.
		if !strings.Contains(raw, ".") && !strings.Contains(strings.ToLower(raw), "%2e") {
			if before, _ := url.PathUnescape(raw); before != decoded && raw != "" {
				t.Fatalf("Path(%q) = %q: %q became %q", raw, path, before, decoded)
			}
		}
	})
}
