package policy

import (
	"testing"
	"time"
)

func TestInitialAge(t *testing.T) {
	f := func(want, delay time.Duration, lines ...string) {
		t.Helper()
		d := Decide(RequestFacts{Method: "GET"}, 200, header(append(lines, `ETag: "a"`)...),
			Times{now2026.Add(-delay), now2026}, nil)
		if d.Life.InitialAge != want {
			t.Errorf("%q, delay %v: age %v, want %v", lines, delay, d.Life.InitialAge, want)
		}
	}
	const s = time.Second
	f(0, 0)
	f(2*s, 2*s)
	f(102*s, 2*s, "Age: 100")
	f(100*s, 0, "Age: 100, 7")
	f(100*s, 0, "Age: 100", "Age: 7")
	f(100*s, 0, "Age: ", "Age: , 100")
	f(0, 0, "Age: abc", "Age: 7")
	f(0, 0, "Age: -7200")
	f(0, 0, "Age: 7200.0")
	f(maxSeconds*s, 0, "Age: 2147483648")
	f(maxSeconds*s, 0, "Age: 99999999999999999999")
	f(50*s, 0, httpDate("Date", -50*s))
	f(50*s, 0, httpDate("Date", -50*s), "Age: 7")
	f(100*s, 0, httpDate("Date", -50*s), "Age: 100")
	f(0, 0, httpDate("Date", 50*s))
	f(0, 0, httpDate("Date", -50*s), httpDate("Date", -50*s))
	f(0, -5*s)

	// A Date that was cut to the second is no age; from 1 s on it is.
	at := now2026.Add(999 * time.Millisecond)
	d := Decide(RequestFacts{Method: "GET"}, 200, header(httpDate("Date", 0), "Cache-Control: max-age=1"), Times{at, at}, nil)
	if d.Life.InitialAge != 0 || d.Life.TTL(at) != s {
		t.Errorf("999 ms after Date: age %v", d.Life.InitialAge)
	}
	at = now2026.Add(s)
	d = Decide(RequestFacts{Method: "GET"}, 200, header(httpDate("Date", 0), "Cache-Control: max-age=2"), Times{at, at}, nil)
	if d.Life.InitialAge != s {
		t.Errorf("1 s after Date: age %v", d.Life.InitialAge)
	}
}

func TestLifetime(t *testing.T) {
	l := Lifetime{Response: now2026, InitialAge: 10 * time.Second, FreshFor: 60 * time.Second}
	f := func(at, age, ttl time.Duration, fresh bool) {
		t.Helper()
		now := now2026.Add(at)
		if l.Age(now) != age || l.TTL(now) != ttl || l.Fresh(now) != fresh {
			t.Errorf("after %v: age %v, ttl %v, fresh %v; want %v, %v, %v", at, l.Age(now), l.TTL(now), l.Fresh(now), age, ttl, fresh)
		}
	}
	const s = time.Second
	f(0, 10*s, 50*s, true)
	f(-time.Hour, 10*s, 50*s, true) // a clock that went back
	f(49999*time.Millisecond, 59999*time.Millisecond, time.Millisecond, true)
	f(50*s, 60*s, 0, false)
	f(80*s, 90*s, -30*s, false)
	l.NoCache = true
	f(0, 10*s, 50*s, false)
}

func TestStale(t *testing.T) {
	type at = map[time.Duration]StaleUse // time after Response → use
	f := func(terms *Terms, cc string, want at) {
		t.Helper()
		d := exchange(200, terms, "Cache-Control: "+cc, `ETag: "a"`)
		if !d.Store {
			t.Errorf("%q is not stored: %v", cc, d.Reason)
		}
		for after, use := range want {
			if got := d.Life.Stale(now2026.Add(after)); got != use {
				t.Errorf("%q after %v: %v, want %v", cc, after, got, use)
			}
		}
	}
	const s = time.Second
	end := 10*s + DefaultUnreachable
	f(nil, "max-age=10", at{10 * s: IfUnreachable, end: IfUnreachable, end + 1: MustValidate})
	for _, word := range []string{"must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=10"} {
		f(nil, "max-age=10, "+word, at{10 * s: MustValidate, 11 * s: MustValidate})
		f(&Terms{HasSWR: true, SWR: time.Hour, HasSIE: true, SIE: time.Hour}, "max-age=10, "+word, at{11 * s: MustValidate})
	}
	for _, word := range []string{"must-revalidate", "proxy-revalidate", "no-cache"} {
		f(nil, "max-age=10, stale-while-revalidate=60, stale-if-error=60, "+word, at{11 * s: MustValidate})
	}
	f(nil, "max-age=10, stale-while-revalidate=5", at{15 * s: WhileRevalidate, 15*s + 1: IfUnreachable})
	f(nil, "max-age=10, stale-if-error=5", at{15 * s: IfError, 15*s + 1: MustValidate})
	f(nil, "max-age=10, stale-if-error=0", at{11 * s: MustValidate})
	f(nil, "max-age=10, stale-while-revalidate=5, stale-if-error=9", at{15 * s: WhileRevalidate, 19 * s: IfError, 20 * s: MustValidate})
	f(nil, "s-maxage=10, stale-while-revalidate=5", at{15 * s: WhileRevalidate, 16 * s: MustValidate})
	f(nil, "s-maxage=10, stale-if-error=5", at{15 * s: IfError, 16 * s: MustValidate})
	f(&Terms{HasSWR: true, SWR: 5 * s, HasSIE: true, SIE: 9 * s}, "max-age=10", at{15 * s: WhileRevalidate, 19 * s: IfError, 20 * s: MustValidate})
	f(&Terms{HasSWR: true, SWR: 5 * s}, "max-age=10", at{15 * s: WhileRevalidate, 16 * s: IfUnreachable})
	f(&Terms{HasSWR: true, SWR: 50 * s, HasSIE: true, SIE: 50 * s}, "max-age=10, stale-while-revalidate=1, stale-if-error=2", at{11 * s: WhileRevalidate, 12 * s: IfError, 13 * s: MustValidate})
	f(&Terms{HasSIE: true}, "max-age=10", at{11 * s: MustValidate})
	f(&Terms{TTL: 20 * s, HasTTL: true, ForceTTL: true, HasSIE: true, SIE: 5 * s}, "s-maxage=10", at{25 * s: IfError, 26 * s: MustValidate})
	// Lifetime 0: only what the response itself says.
	f(&Terms{HasSWR: true, SWR: 50 * s, HasSIE: true, SIE: 50 * s}, "max-age=0", at{0: MustValidate})
	f(nil, "max-age=0, stale-while-revalidate=5", at{5 * s: WhileRevalidate, 6 * s: MustValidate})
}

func TestLifetimeAllocs(t *testing.T) {
	l := Lifetime{Response: now2026, FreshFor: time.Second, SWR: time.Second}
	cs := CacheStatus{Cache: "levee-fra1", Hit: true, TTL: 27 * time.Second, HasTTL: true, Detail: "x y"}
	req := header(`If-None-Match: "x", W/"a"`)
	since := header(httpDate("If-Modified-Since", 0))
	lm := httpDate("", 0)[2:]
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		if !l.Fresh(now2026) || l.Stale(now2026) != WhileRevalidate {
			t.Fatal("not fresh")
		}
		if !NotModified(req, `"a"`, "", now2026) || !NotModified(since, `"a"`, lm, now2026) {
			t.Fatal("modified")
		}
		buf = cs.Append(buf[:0])
	}); n != 0 {
		t.Errorf("what a hit needs costs %v allocations, want 0", n)
	}
}
