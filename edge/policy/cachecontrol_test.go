package policy

import (
	"reflect"
	"testing"
	"time"
)

func secs(n int64) Seconds { return Seconds{For: time.Duration(n) * time.Second, Stated: true} }

func TestParseCacheControl(t *testing.T) {
	f := func(want CacheControl, lines ...string) {
		t.Helper()
		if got := ParseCacheControl(lines); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", lines, got, want)
		}
	}
	age := func(n int64) CacheControl { return CacheControl{MaxAge: secs(n)} }
	f(CacheControl{})
	f(CacheControl{}, "", " , ,", "foo, bar=baz")
	f(age(3600), "max-age=3600")
	f(age(3600), "MaX-aGe=3600")
	f(age(3600), "\tmax-age=003600 ,")
	f(age(3600), `max-age="3600"`)
	f(age(1800), "max-age=1800, max-age=1")
	f(age(1), "max-age=1", "max-age=1800")
	f(age(1), `extension="max-age=3600", max-age=1`)
	f(age(1), `max-age=1, extension="max-age=3600"`)
	f(age(1), `e="a\", max-age=3600", max-age=1`)
	f(CacheControl{}, `e="a, max-age=3600`)
	f(age(0), "max-age='3600'")
	f(age(0), "max-age=-1")
	f(age(0), "max-age=+1")
	f(age(0), "max-age=3600.0")
	f(age(0), "max-age=3600a")
	f(age(0), "max-age")
	f(age(0), "max-age=")
	f(age(0), "max-age =3600")
	f(age(0), "max-age= 3600")
	f(age(0), "max-age=36 00")
	f(age(0), "max-age=abc, max-age=3600")
	f(age(1<<31), "max-age=2147483648")
	f(age(1<<31), "max-age=99999999999")
	f(age(1<<31), "max-age=99999999999999999999999999999999")
	f(CacheControl{SMaxAge: secs(1), SWR: secs(2), SIE: secs(3)}, "s-maxage=1", "stale-while-revalidate=2, stale-if-error=3")
	f(CacheControl{NoStore: true, NoCache: true, Private: true, Public: true}, "no-store, NO-CACHE, private, public")
	f(CacheControl{MustRevalidate: true, ProxyRevalidate: true, MustUnderstand: true, NoTransform: true, Immutable: true, OnlyIfCached: true},
		"must-revalidate,proxy-revalidate,must-understand,no-transform,immutable,only-if-cached")
	f(CacheControl{NoCacheFields: []string{"Set-Cookie", "X-A"}}, `no-cache="set-cookie, x-a"`)
	f(CacheControl{PrivateFields: []string{"X-A"}}, `private="x-a"`)
	f(CacheControl{NoCacheFields: []string{"X-A", "X-B"}}, `no-cache="x-a"`, `no-cache="x-b"`)
	f(CacheControl{NoCacheFields: []string{"X-A"}}, `no-cache="x\-\a"`)
	f(CacheControl{NoCache: true}, `no-cache=x-a`)
	f(CacheControl{NoCache: true}, `no-cache=""`)
	f(CacheControl{Private: true}, `private="x a"`)
	f(CacheControl{Private: true, PrivateFields: []string{"X-A"}}, `private="x-a", private`)
	f(CacheControl{NoStore: true}, "no-store=1")
	f(CacheControl{}, "no-store-x", "xno-store", "no store")
}

func TestParseTargeted(t *testing.T) {
	f := func(want CacheControl, lines ...string) {
		t.Helper()
		got, ok := ParseTargeted(lines)
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", lines, got, ok, want)
		}
	}
	f(CacheControl{MaxAge: secs(3600)}, "max-age=3600")
	f(CacheControl{MaxAge: secs(3600)}, "foobar, max-age=3600;x=1")
	f(CacheControl{MaxAge: secs(1 << 31)}, "max-age=99999999999")
	f(CacheControl{MaxAge: secs(0)}, "max-age=-1")
	f(CacheControl{MaxAge: secs(2)}, "max-age=1", "max-age=2") // a Dictionary keeps the last
	f(CacheControl{NoStore: true}, "no-store")
	f(CacheControl{}, "no-store=?0")
	f(CacheControl{}, "foo")
	f(CacheControl{Private: true, NoCacheFields: []string{"X-A"}}, `private, no-cache="x-a"`)
	f(CacheControl{SMaxAge: secs(1), SWR: secs(2), SIE: secs(3), MustRevalidate: true, ProxyRevalidate: true, MustUnderstand: true, NoTransform: true, Immutable: true, Public: true, NoCache: true},
		"s-maxage=1, stale-while-revalidate=2, stale-if-error=3", "must-revalidate, proxy-revalidate, must-understand, no-transform, immutable, public, no-cache")
}

func TestParseTargetedIgnored(t *testing.T) {
	f := func(lines ...string) {
		t.Helper()
		if got, ok := ParseTargeted(lines); ok || !reflect.DeepEqual(got, CacheControl{}) {
			t.Errorf("%q: got %+v, %v, want it ignored", lines, got, ok)
		}
	}
	f()
	f("")
	f("   ")
	f("max-age=10000, &&&&&")
	f(`max-age="10000"`)
	f("max-age=1.5")
	f("max-age")
	f("max-age=(1 2)")
	f("max-age =100")
	f("max-age= 100")
	f("MaX-aGe=3600")
	f("no-store=1")
	f("no-cache=x-a")
	f(`private="x a"`)
	f("max-age=1,")
}

func FuzzParseCacheControl(f *testing.F) {
	for _, s := range []string{`max-age=1, no-cache="a, b"`, `e="\\\"", private`, "max-age =1,,", `"`, `=,=`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cc := ParseCacheControl([]string{s})
		for _, d := range []Seconds{cc.MaxAge, cc.SMaxAge, cc.SWR, cc.SIE} {
			if d.For < 0 || d.For > maxSeconds*time.Second || !d.Stated && d.For != 0 {
				t.Fatalf("%q: %+v", s, d)
			}
		}
		// What stands behind counts too, whatever stands before, unless a quote
		// is open.
		if plain := ParseCacheControl([]string{s, "no-store"}); !plain.NoStore {
			t.Fatalf("%q hides the next line", s)
		}
	})
}

func FuzzParseTargeted(f *testing.F) {
	for _, s := range []string{"max-age=1, no-store", `private="a, b";q`, "a=(1 2);b, c=?0", "max-age=:YQ==:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cc, ok := ParseTargeted([]string{s})
		if !ok && !reflect.DeepEqual(cc, CacheControl{}) {
			t.Fatalf("%q is ignored, but gives %+v", s, cc)
		}
		if cc.MaxAge.For < 0 || cc.MaxAge.For > maxSeconds*time.Second {
			t.Fatalf("%q: %+v", s, cc.MaxAge)
		}
	})
}
