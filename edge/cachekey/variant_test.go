package cachekey

import (
	"net/http"
	"strings"
	"testing"
)

func variant(name string, n Normalise, lines ...string) string {
	h := http.Header{}
	if lines != nil {
		h[name] = lines
	}
	return string(AppendVariant(nil, []string{name}, h, n))
}

func TestAcceptEncoding(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		if got := AcceptEncoding(lines).String(); got != want {
			t.Errorf("AcceptEncoding(%q) = %q, want %q", lines, got, want)
		}
	}
	f("identity")
	f("identity", "")
	f("identity", "deflate, compress")
	f("gzip", "gzip")
	f("gzip", "x-gzip")
	f("gzip", "deflate, GZip;q=0.1")
	f("gzip, br, zstd", "gzip, deflate, br, zstd")
	f("gzip, br, zstd", "zstd,br", " gzip ")
	f("gzip, br, zstd", "*")
	f("gzip, zstd", "*, br;q=0")
	f("gzip, zstd", "br;q=0.000, *;q=0.001")
	f("gzip, identity;q=0", "gzip, identity;q=0")
	f("gzip, identity;q=0", "gzip, *;q=0")
	f("gzip", "gzip, *;q=0, identity")
	f("identity;q=0", "*;q=0")
	f("identity", "gzip;q=x")
	f("identity", "gzip;q=")
	f("identity", "gzip;q=1.5")
	f("identity", "gzip;q=0.0001")
	f("gzip", "gzip ; Q=1.000")
	f("identity", "gzip;level=9")
}

func TestCodingsString(t *testing.T) {
	seen := map[string]Codings{}
	for c := range allCodings + 1 {
		s := c.String()
		if other, dup := seen[s]; dup {
			t.Errorf("%q stands for %b and %b", s, other, c)
		}
		seen[s] = c
		if back := AcceptEncoding([]string{s}); back != c {
			t.Errorf("%b is %q, which reads back as %b", c, s, back)
		}
	}
}

func TestVariantSame(t *testing.T) {
	f := func(name string, n Normalise, a, b []string) {
		t.Helper()
		if variant(name, n, a...) != variant(name, n, b...) {
			t.Errorf("%s: %q and %q are two variants", name, a, b)
		}
	}
	l := func(s ...string) []string { return s }
	f("Foo", Normalise{}, l("1,2"), l(" 1, 2 "))
	f("Foo", Normalise{}, l("1, 2"), l("1", "2"))
	f("Foo", Normalise{}, l("1 ,\t2"), l("1,2"))
	f("Accept-Encoding", Normalise{}, l("gzip, br"), l("br;q=0.5", "gzip", "deflate"))
	f("Accept-Encoding", Normalise{}, nil, l("identity"))
	f("Accept-Language", Normalise{}, l("en, de"), l(" eN ,   De"))
	f("Accept-Language", Normalise{Languages: true}, l("en, de"), l("de, en"))
	f("Accept-Language", Normalise{Languages: true}, l("de;q=0.9, en;q=0.1"), l("en;q=0.3, DE"))
	f("Accept-Language", Normalise{Languages: true}, l("de, *;q=0"), l("*;q=0,,de"))
	f("Cookie", Normalise{}, l("a=1; b=2"), l("a=1", "b=2"))
}

func TestVariantDiffers(t *testing.T) {
	f := func(name string, n Normalise, a, b []string) {
		t.Helper()
		if variant(name, n, a...) == variant(name, n, b...) {
			t.Errorf("%s: %q and %q are one variant", name, a, b)
		}
	}
	l := func(s ...string) []string { return s }
	f("Foo", Normalise{}, nil, l(""))
	f("Foo", Normalise{}, l(""), l("", ""))
	f("Foo", Normalise{}, l("1"), l("2"))
	f("Foo", Normalise{}, l("a"), l("A"))
	f("Foo", Normalise{}, l("1 2"), l("12"))
	f("Foo", Normalise{}, l("1  2"), l("1 2"))
	f("Foo", Normalise{}, l(`"a , b"`), l(`"a,b"`))
	f("Foo", Normalise{}, l(`"a\" , b"`), l(`"a\",b"`))
	f("Accept-Encoding", Normalise{}, l("gzip"), l("gzip;q=0"))
	f("Accept-Language", Normalise{}, l("en, de"), l("de, en"))
	f("Accept-Language", Normalise{Languages: true}, l("en, de;q=0.5"), l("en, de"))
	f("Accept-Language", Normalise{Languages: true}, l("en, de;q=0.5"), l("de, en;q=0.5"))
	f("Accept-Language", Normalise{Languages: true}, l("en, de;q=0"), l("en, de;q=0.1"))
	f("Accept-Language", Normalise{Languages: true}, l("a=b"), l("a, b"))
	f("Accept-Language", Normalise{Languages: true}, l("a;q=x"), l("a"))
	f("Accept-Language", Normalise{Languages: true}, nil, l(""))
}

func TestVariantLongValues(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 40000} {
		v := strings.Repeat("v", n)
		got := appendField([]byte("x"), "Foo", []string{v}, Normalise{})
		if want := appendString([]byte{'x', fieldPresent}, v); string(got) != string(want) {
			t.Errorf("a value of %d bytes is not length and bytes", n)
		}
	}
}

func TestVariantAllocs(t *testing.T) {
	h := http.Header{
		"Accept-Encoding": {"gzip, deflate, br, zstd"},
		"Accept-Language": {"de-DE,de;q=0.9,en;q=0.8"},
		"Cookie":          {"a=1; b=2"},
	}
	shape := Shape{Gen: 1, Scheme: true, Headers: []string{"Accept-Language", "X-None"}, Cookies: []string{"b", "c"}}
	fields := []string{"Accept-Encoding", "Accept-Language"}
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		b := shape.Append(buf[:0], "https", "www.example.com", "/a", "b=1", h)
		AppendVariant(b, fields, h, Normalise{Languages: true})
	}); n != 0 {
		t.Errorf("key and variant cost %v allocations, want 0", n)
	}
}
