package policy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// exchange is a GET whose answer took no time and arrived at now2026. Lines are
// "Name: value".
func exchange(status int, terms *Terms, lines ...string) Decision {
	return Decide(RequestFacts{Method: "GET"}, status, header(lines...), Times{now2026, now2026}, terms)
}

func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// httpDate is a date field some time after now2026.
func httpDate(name string, d time.Duration) string {
	return name + ": " + now2026.Add(d).Format(http.TimeFormat)
}

func TestDecideStored(t *testing.T) {
	f := func(status int, terms *Terms, share Share, source Source, fresh time.Duration, lines ...string) {
		t.Helper()
		d := exchange(status, terms, lines...)
		if !d.Store || d.Reason != ReasonNone {
			t.Errorf("%d %q: not stored: %v", status, lines, d.Reason)
			return
		}
		if d.Share != share || d.Life.Source != source || d.Life.FreshFor != fresh {
			t.Errorf("%d %q: share %v, %v from %v; want %v, %v from %v", status, lines,
				d.Share, d.Life.FreshFor, d.Life.Source, share, fresh, source)
		}
	}
	const s = time.Second
	lm := httpDate("Last-Modified", -1000*s)
	date := httpDate("Date", 0)

	// Explicit freshness: any final status.
	for _, status := range []int{200, 203, 204, 299, 301, 302, 303, 307, 308, 404, 410, 499, 500, 502, 503, 504, 599} {
		f(status, nil, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60")
	}
	f(200, nil, Shared, SourceSMaxAge, 5*s, "Cache-Control: max-age=60, s-maxage=5")
	f(200, nil, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60", "Expires: 0")
	f(200, nil, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60", httpDate("Expires", -time.Hour), date)
	f(200, nil, Shared, SourceMaxAge, maxSeconds*s, "Cache-Control: max-age=99999999999")
	f(200, nil, Shared, SourceExpires, 60*s, httpDate("Expires", 60*s), date)
	f(200, nil, Shared, SourceExpires, 60*s, httpDate("Expires", 60*s))
	f(200, nil, Shared, SourceExpires, 60*s, httpDate("Expires", 60*s), "Date: yesterday")
	f(200, nil, Shared, SourceExpires, 160*s, httpDate("Expires", 60*s), httpDate("Date", -100*s))
	f(200, nil, Shared, SourceExpires, 40*s, httpDate("Expires", 60*s), httpDate("Date", 20*s))

	// RFC 9213: targeted before all of Cache-Control and Expires.
	f(200, nil, Shared, SourceTargeted, 9*s, "CDN-Cache-Control: max-age=9", "Cache-Control: no-store", "Expires: 0")
	f(200, nil, Shared, SourceTargeted, 9*s, "CDN-Cache-Control: max-age=9", "Cache-Control: max-age=1, s-maxage=1")
	f(200, nil, Shared, SourceTargeted, 9*s, "CDN-Cache-Control: max-age=1, s-maxage=9")
	f(200, nil, Shared, SourceMaxAge, 1*s, `CDN-Cache-Control: max-age="9"`, "Cache-Control: max-age=1")

	// Heuristics.
	for _, status := range []int{200, 203, 204, 300, 301, 308, 404, 410} {
		f(status, nil, Shared, SourceHeuristic, 100*s, lm, date)
	}
	f(599, nil, Shared, SourceHeuristic, 100*s, lm, date, "Cache-Control: public")
	f(200, nil, Shared, SourceHeuristic, maxHeuristic, httpDate("Last-Modified", -100*24*time.Hour), date)
	f(200, nil, Alone, SourceHeuristic, 0, httpDate("Last-Modified", time.Hour), date)

	// Stored to be validated.
	f(200, nil, Alone, SourceNone, 0, `ETag: "a"`)
	f(200, nil, Alone, SourceNone, 0, `ETag: W/"a"`, "Cache-Control: no-cache")
	f(200, nil, Alone, SourceMaxAge, 60*s, `ETag: "a"`, "Cache-Control: no-cache, max-age=60")
	f(200, nil, Alone, SourceMaxAge, 0, lm, "Cache-Control: max-age=0")
	f(200, nil, Alone, SourceMaxAge, 60*s, lm, "Cache-Control: max-age=60", "Age: 61")
	f(200, nil, Alone, SourceExpires, 0, lm, "Expires: 0")
	f(200, nil, Alone, SourceHeuristic, 100*s, lm, date, "Pragma: no-cache")
	f(200, nil, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60", "Pragma: no-cache")
	f(200, nil, Shared, SourceExpires, 60*s, httpDate("Expires", 60*s), "Pragma: no-cache")
	f(500, nil, Alone, SourceNone, 0, `ETag: "a"`, "Cache-Control: public")

	// Useful although stale and without validator: an explicit window.
	f(200, nil, Shared, SourceMaxAge, 0, "Cache-Control: max-age=0, stale-while-revalidate=9")
	f(200, nil, Alone, SourceMaxAge, 0, "Cache-Control: max-age=0, stale-if-error=9")

	// Rules.
	ttl, force := &Terms{TTL: 7 * s, HasTTL: true}, &Terms{TTL: 7 * s, HasTTL: true, ForceTTL: true}
	f(200, ttl, Shared, SourceRule, 7*s)
	f(404, ttl, Shared, SourceRule, 7*s)
	f(200, ttl, Shared, SourceRule, 7*s, lm, date)
	f(200, ttl, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60")
	f(200, ttl, Alone, SourceExpires, 0, "Expires: 0", `ETag: "a"`)
	f(500, ttl, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60")
	f(200, force, Shared, SourceRule, 7*s, "Cache-Control: max-age=60")
	f(200, force, Shared, SourceRule, 7*s, "Cache-Control: no-cache")
	f(200, force, Shared, SourceRule, 7*s, "Pragma: no-cache")
	f(302, force, Shared, SourceRule, 7*s)
	f(500, force, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60")
	f(200, &Terms{HasTTL: true}, Alone, SourceRule, 0, `ETag: "a"`)
	f(200, &Terms{TTL: -s, HasTTL: true}, Alone, SourceRule, 0, `ETag: "a"`)

	// By name.
	f(200, &Terms{StoreSetCookie: true}, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60", "Set-Cookie: a=1")
	named := &Terms{StoreStatuses: []int{400, 405, 503}}
	f(400, named, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60")
	f(405, named, Shared, SourceHeuristic, 100*s, lm, date)
	f(503, &Terms{TTL: 7 * s, HasTTL: true, StoreStatuses: []int{503}}, Shared, SourceRule, 7*s)
	f(200, nil, Shared, SourceMaxAge, 60*s, "Cache-Control: max-age=60, no-store, must-understand")
}

func TestDecideNotStored(t *testing.T) {
	f := func(want Reason, status int, terms *Terms, lines ...string) {
		t.Helper()
		d := exchange(status, terms, lines...)
		if d.Store || d.Reason != want || d.Share != Alone {
			t.Errorf("%d %q: store %v, share %v, reason %q, want %q", status, lines, d.Store, d.Share, d.Reason, want)
		}
	}
	fresh := "Cache-Control: max-age=60"
	f(ReasonUpgrade, 101, nil)
	f(ReasonPartial, 206, nil, fresh)
	for _, status := range []int{304, 0, 100, 1000, 400, 405, 413, 414, 428, 429, 431, 501, 511} {
		f(ReasonStatus, status, nil, fresh)
	}
	f(ReasonNoStore, 200, nil, "Cache-Control: max-age=60, no-store")
	f(ReasonPrivate, 200, nil, "Cache-Control: max-age=60, PRIVATE")
	f(ReasonPrivate, 200, nil, "CDN-Cache-Control: private", fresh)
	f(ReasonNoStore, 200, nil, "CDN-Cache-Control: no-store", fresh)
	f(ReasonNoStore, 200, nil, "CDN-Cache-Control: max-age=60, &&&", "Cache-Control: no-store")
	f(ReasonMustUnderstand, 599, nil, "Cache-Control: max-age=60, no-store, must-understand")
	f(ReasonMustUnderstand, 599, nil, "Cache-Control: max-age=60, must-understand")
	f(ReasonSetCookie, 200, nil, fresh, "Set-Cookie: a=1")
	f(ReasonVaryStar, 200, nil, fresh, "Vary: Foo, *")
	f(ReasonVaryStar, 200, nil, fresh, "Vary: ", "Vary: *")
	f(ReasonStream, 200, nil, fresh, "Content-Type: Text/Event-Stream ; charset=utf-8")
	f(ReasonNoCache, 200, nil, "Cache-Control: no-cache")
	f(ReasonNoCache, 200, nil, "Cache-Control: no-cache, max-age=60")
	f(ReasonNoFreshness, 200, nil)
	f(ReasonNoFreshness, 200, nil, "CDN-Cache-Control: foo", fresh)
	f(ReasonNoFreshness, 500, nil, `ETag: "a"`)
	f(ReasonNoFreshness, 302, nil, `ETag: "a"`)
	f(ReasonNoFreshness, 201, nil, httpDate("Last-Modified", -time.Hour))
	f(ReasonStale, 200, nil, "Cache-Control: max-age=0")
	f(ReasonStale, 200, nil, "Cache-Control: max-age=60", "Age: 60")
	f(ReasonStale, 200, nil, "Expires: 0")
	f(ReasonStale, 200, nil, "Cache-Control: max-age=0, stale-while-revalidate=9, must-revalidate")

	// Neither a TTL nor a window of the site lets these in.
	force := &Terms{TTL: time.Hour, HasTTL: true, ForceTTL: true, HasSWR: true, SWR: time.Hour, HasSIE: true, SIE: time.Hour}
	f(ReasonNoStore, 200, force, "Cache-Control: no-store")
	f(ReasonPrivate, 200, force, "Cache-Control: private")
	f(ReasonSetCookie, 200, force, "Set-Cookie: a=1")
	f(ReasonStatus, 400, force)
	f(ReasonStatus, 429, force)
	f(ReasonNoFreshness, 500, force)
	f(ReasonNoFreshness, 403, force)
	f(ReasonNoFreshness, 302, &Terms{TTL: time.Hour, HasTTL: true})
	f(ReasonNoFreshness, 500, &Terms{TTL: time.Hour, HasTTL: true})
	f(ReasonNoFreshness, 200, &Terms{HasSWR: true, SWR: time.Hour, HasSIE: true, SIE: time.Hour})
}

func TestDecideRequest(t *testing.T) {
	f := func(want Reason, req RequestFacts, terms *Terms, lines ...string) {
		t.Helper()
		if req.Method == "" {
			req.Method = "GET"
		}
		d := Decide(req, 200, header(lines...), Times{now2026, now2026}, terms)
		if d.Reason != want || d.Store != (want == ReasonNone) || (d.Share == Shared) != d.Store {
			t.Errorf("%+v %q: store %v, share %v, reason %q, want %q", req, lines, d.Store, d.Share, d.Reason, want)
		}
	}
	fresh := "Cache-Control: max-age=60"
	f(ReasonNone, RequestFacts{}, nil, fresh)
	f(ReasonBypass, RequestFacts{Bypass: true}, nil, fresh)
	f(ReasonRequestBody, RequestFacts{Body: true}, nil, fresh)
	for _, method := range []string{"HEAD", "POST", "PUT", "get", "M-SEARCH"} {
		f(ReasonMethod, RequestFacts{Method: method}, nil, fresh)
	}
	auth := RequestFacts{Authorization: true}
	f(ReasonAuthorization, auth, nil, fresh)
	f(ReasonAuthorization, auth, nil, "CDN-Cache-Control: max-age=60", "Cache-Control: public")
	f(ReasonNone, auth, nil, fresh+", public")
	f(ReasonNone, auth, nil, fresh+", must-revalidate")
	f(ReasonNone, auth, nil, "Cache-Control: s-maxage=60")
	f(ReasonNone, auth, &Terms{StoreAuthorization: true}, fresh)
	f(ReasonPrivate, auth, &Terms{StoreAuthorization: true}, fresh+", private")
}

func TestDecideStrip(t *testing.T) {
	f := func(want string, share Share, lines ...string) {
		t.Helper()
		d := exchange(200, nil, lines...)
		if !d.Store || strings.Join(d.Strip, " ") != want || d.Share != share {
			t.Errorf("%q: store %v (%v), share %v, strip %q, want %q", lines, d.Store, d.Reason, d.Share, d.Strip, want)
		}
	}
	f("", Shared, "Cache-Control: max-age=60")
	f("X-A X-B", Alone, `Cache-Control: max-age=60, no-cache="x-b, X-A", private="x-a"`)
	// The origin itself says that all but the cookie may be stored.
	f("Set-Cookie", Alone, `Cache-Control: max-age=60, no-cache="set-cookie"`, "Set-Cookie: a=1")
}

// TestDecideMonotonic: no single word of caution makes more storable, shared or
// longer fresh than without it.
func TestDecideMonotonic(t *testing.T) {
	bases := [][]string{
		{"Cache-Control: max-age=60"},
		{"Cache-Control: max-age=60, public", `ETag: "a"`},
		{"Cache-Control: s-maxage=60, stale-while-revalidate=5, stale-if-error=5"},
		{httpDate("Last-Modified", -time.Hour), httpDate("Date", 0)},
		{`ETag: "a"`},
		{"Expires: 0"},
		{},
	}
	cautions := []string{"no-store", "private", "no-cache", "must-revalidate", "proxy-revalidate", `private="x"`, `no-cache="x"`, "max-age=0"}
	terms := []*Terms{nil, {TTL: time.Minute, HasTTL: true, HasSWR: true, SWR: time.Minute, HasSIE: true, SIE: time.Minute}}
	for _, base := range bases {
		for _, word := range cautions {
			for _, tm := range terms {
				before := exchange(200, tm, base...)
				// In front: the first of duplicates counts.
				after := exchange(200, tm, append([]string{"Cache-Control: " + word}, base...)...)
				more := after.Store && !before.Store || after.Share > before.Share
				if word != "max-age=0" && word != "must-revalidate" { // states what was not stated
					more = more || after.Store && after.Life.FreshFor > before.Life.FreshFor
				}
				if word == "no-cache" && before.Reason == ReasonNoFreshness {
					continue
				}
				if more || after.Store && after.Life.Stale(now2026.Add(2*time.Hour)) > before.Life.Stale(now2026.Add(2*time.Hour)) {
					t.Errorf("%q gains by %q: %+v, %+v", base, word, before, after)
				}
			}
		}
	}
}

// FuzzDecide: what a cautious word forbids stays forbidden whatever else the
// header says.
func FuzzDecide(f *testing.F) {
	f.Add(200, "max-age=60", "max-age=60", "Foo", "a=1", "Sun, 06 Nov 1994 08:49:37 GMT", "5")
	f.Add(404, `private="a"`, "", "*", "", "0", "x, 5")
	f.Fuzz(func(t *testing.T, status int, cc, cdn, vary, cookie, expires, age string) {
		h := http.Header{"Cache-Control": {cc}, "Cdn-Cache-Control": {cdn}, "Vary": {vary}, "Expires": {expires}, "Age": {age}}
		if cookie != "" {
			h["Set-Cookie"] = []string{cookie}
		}
		before := fmt.Sprint(h)
		at := Times{now2026.Add(-time.Second), now2026}
		d := Decide(RequestFacts{Method: "GET"}, status, h, at, nil)
		l := &d.Life
		switch {
		case fmt.Sprint(h) != before:
			t.Fatal("the header was changed")
		case d.Store != (d.Reason == ReasonNone), d.Share == Shared && !d.Store:
			t.Fatalf("%+v", d)
		case d.Store && cookie != "" && !slices.Contains(d.Strip, "Set-Cookie"):
			t.Fatal("a cookie was stored")
		case d.Store && strings.Contains(vary, "*"):
			if _, star := ParseVary([]string{vary}); star {
				t.Fatal("Vary: * was stored")
			}
		case d.Store && (l.FreshFor < 0 || l.InitialAge < time.Second || l.SWR < 0 || l.SIE < 0 || l.Unreachable < l.SIE):
			t.Fatalf("%+v", l)
		}
		h["Cache-Control"] = []string{cc, "no-store"}
		if _, targeted := ParseTargeted(h["Cdn-Cache-Control"]); !targeted && !strings.Contains(strings.ToLower(cc), "must-understand") {
			if Decide(RequestFacts{Method: "GET"}, status, h, at, nil).Store {
				t.Fatal("no-store was stored")
			}
		}
	})
}
