package cachekey

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestKeyString(t *testing.T) {
	f := func(s Shape, h http.Header, want string) {
		t.Helper()
		k := Key(s.Append(nil, "https", "www.example.com", "/a", "b=1", h))
		if got := k.String(); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
	}
	f(Shape{Gen: 3}, nil, `//www.example.com/a?b=1 gen=3`)
	f(Shape{Scheme: true}, nil, `https://www.example.com/a?b=1 gen=0`)
	f(Shape{Branch: 10}, nil, `//www.example.com/a?b=1 gen=0 branch=a`)
	f(Shape{Headers: []string{"X-A", "X-B"}, Cookies: []string{"s", "t"}},
		http.Header{"X-A": {"1 ", "2"}, "Cookie": {"s=1; u=2", "s=3"}},
		`//www.example.com/a?b=1 gen=0 X-A="1,2" X-B absent cookie:s=["1" "3"] cookie:t=[]`)
	if got := Key("\xff").String(); got != `malformed key "\xff"` {
		t.Error(got)
	}
}

// TestKeyReadsBack draws random shapes and requests and reads their keys back.
// What reads back in one way only cannot be the key of two requests.
func TestKeyReadsBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, r.IntN(4))
		for i := range b {
			b[i] = "ab\x00\x01/&"[r.IntN(6)]
		}
		return string(b)
	}
	seen := map[Key]string{}
	for range 50_000 {
		s := Shape{Gen: uint32(r.IntN(300)), Scheme: r.IntN(2) == 0, Branch: uint64(r.IntN(3))}
		h := http.Header{}
		want := keyParts{gen: uint64(s.Gen), hasScheme: s.Scheme, host: word(), path: word(), query: word(), branch: s.Branch}
		scheme := word()
		if s.Scheme {
			want.scheme = scheme
		}
		for range r.IntN(3) {
			name := "F" + fmt.Sprint(len(s.Headers))
			s.Headers = append(s.Headers, name)
			fld := keyField{name: name}
			if r.IntN(2) == 0 {
				fld.present, fld.value = true, word()
				h[name] = []string{fld.value}
			}
			want.fields = append(want.fields, fld)
		}
		for range r.IntN(3) {
			c := keyCookie{name: "c" + fmt.Sprint(len(s.Cookies))}
			s.Cookies = append(s.Cookies, c.name)
			for range r.IntN(3) {
				v := word()
				c.values = append(c.values, v)
				h["Cookie"] = append(h["Cookie"], c.name+"="+v)
			}
			want.cookies = append(want.cookies, c)
		}
		key := Key(s.Append(nil, scheme, want.host, want.path, want.query, h))
		got, ok := decodeKey(key)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v %q: read back %+v, %v; want %+v", s, h, got, ok, want)
		}
		input := fmt.Sprintf("%+v", want)
		if other, dup := seen[key]; dup && other != input {
			t.Fatalf("one key for\n%s\n%s", other, input)
		}
		seen[key] = input
	}
}

// FuzzVariantUnambiguous compares two pairs of fields: their variant keys are
// equal exactly when each field by itself is.
func FuzzVariantUnambiguous(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Add("1, 2", "x", "1,2", " x ")
	f.Add(`"a, b`, "", `"a,b`, "")
	f.Fuzz(func(t *testing.T, a1, b1, a2, b2 string) {
		key := func(a, b string) string {
			return string(AppendVariant(nil, []string{"Bar", "Foo"}, http.Header{"Bar": {a}, "Foo": {b}}, Normalise{}))
		}
		same := variant("Bar", Normalise{}, a1) == variant("Bar", Normalise{}, a2) &&
			variant("Foo", Normalise{}, b1) == variant("Foo", Normalise{}, b2)
		if (key(a1, b1) == key(a2, b2)) != same {
			t.Fatalf("(%q, %q) and (%q, %q)", a1, b1, a2, b2)
		}
		// Only white space ever goes.
		squeeze := strings.NewReplacer(" ", "", "\t", "")
		if variant("Bar", Normalise{}, a1) == variant("Bar", Normalise{}, a2) && squeeze.Replace(a1) != squeeze.Replace(a2) {
			t.Fatalf("%q and %q are one", a1, a2)
		}
	})
}

func FuzzDecodeKey(f *testing.F) {
	s := Shape{Gen: 1, Scheme: true, Branch: 2, Headers: []string{"A"}, Cookies: []string{"c"}}
	f.Add(string(s.Append(nil, "http", "h", "/", "q", http.Header{"A": {"x"}, "Cookie": {"c=1"}})))
	f.Fuzz(func(t *testing.T, b string) {
		if Key(b).String() == "" {
			t.Fatal("nothing to show")
		}
	})
}

func BenchmarkKey(b *testing.B) {
	s := Shape{Gen: 7, Scheme: true}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		host, _ := Host("www.example.com")
		path, _ := Path("/static/css/site.css")
		buf = s.Append(buf[:0], "https", host, path, "v=1", nil)
	}
}
