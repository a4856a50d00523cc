package policy

import (
	"net/http"
	"reflect"
	"testing"
	"time"
)

func TestConditional(t *testing.T) {
	f := func(inm, ims string, lines ...string) {
		t.Helper()
		if i, s := Conditional(header(lines...)); i != inm || s != ims {
			t.Errorf("%q: %q, %q, want %q, %q", lines, i, s, inm, ims)
		}
	}
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	f("", "")
	f(`"a"`, "", `ETag: "a"`)
	f(`W/"a"`, date, `ETag: W/"a"`, "Last-Modified: "+date)
	f(`""`, "", `ETag: ""`)
	f(`"a"`, "", `ETag: "a"`, `ETag: "b"`)
	f("", "", "ETag: a")
	f("", "", `ETag: w/"a"`)
	f("", "", `ETag: "a" "b"`)
	f("", "", `ETag: "a b"`)
	f("", "", "Last-Modified: yesterday")
	f("", "", "Last-Modified: "+date, "Last-Modified: "+date)
	f("", "Sunday, 06-Nov-94 08:49:37 GMT", "Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT")
}

func TestNotModified(t *testing.T) {
	const lm = "Sun, 06 Nov 1994 08:49:37 GMT"
	f := func(want bool, etag, lastModified string, lines ...string) {
		t.Helper()
		if got := NotModified(header(lines...), etag, lastModified, now2026); got != want {
			t.Errorf("ETag %s, Last-Modified %q, %q: %v", etag, lastModified, lines, got)
		}
	}
	f(false, `"a"`, lm)
	f(true, `"a"`, "", `If-None-Match: "a"`)
	f(true, `W/"a"`, "", `If-None-Match: "a"`)
	f(true, `"a"`, "", `If-None-Match: W/"a"`)
	f(true, `"a"`, "", `If-None-Match: "b" ,"a"`)
	f(true, `"a"`, "", `If-None-Match: "b"`, `If-None-Match: , "c",, "a" `)
	f(true, `"a,b"`, "", `If-None-Match: "c", "a,b"`)
	f(true, "\"\xe9\"", "", "If-None-Match: \"\xe9\"")
	f(true, "", "", "If-None-Match: *")
	f(false, `"a"`, "", `If-None-Match: "A"`)
	f(false, `"a"`, "", `If-None-Match: a`)
	f(false, `a`, "", `If-None-Match: a`)
	f(false, "", "", `If-None-Match: ""`)
	f(false, `"a"`, "", `If-None-Match: "b" "a"`)
	f(false, `"a"`, "", `If-None-Match: w/"a"`)
	f(false, `"a"`, "", `If-None-Match: "b", *`)
	f(false, `"a"`, "", `If-None-Match: `)

	f(true, "", lm, "If-Modified-Since: "+lm)
	f(true, "", lm, "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT")
	f(true, "", lm, "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT")
	f(false, "", lm, "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT")
	f(false, "", lm, "If-Modified-Since: yesterday")
	f(false, "", lm, "If-Modified-Since: "+lm, "If-Modified-Since: "+lm)
	f(false, "", "yesterday", "If-Modified-Since: "+lm)
	// Without Last-Modified, Date.
	f(true, "", "", httpDate("If-Modified-Since", 0))
	f(false, "", "", httpDate("If-Modified-Since", -time.Second))
	// If-None-Match wins both ways.
	f(false, `"a"`, lm, `If-None-Match: "b"`, "If-Modified-Since: "+lm)
	f(true, `"a"`, lm, `If-None-Match: "a"`, "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT")
	if NotModified(header("If-Modified-Since: "+lm), "", "", time.Time{}) {
		t.Error("a response of unknown date counts as unmodified")
	}
}

func TestFreshen(t *testing.T) {
	old := header("Cache-Control: max-age=1", "Content-Length: 9", "Content-Encoding: gzip", "Content-Range: x",
		"Age: 100", httpDate("Date", -time.Hour), "X-Kept: 1", "X-New: old", "X-Two: a", "X-Two: b", `ETag: "a"`)
	update := header("Cache-Control: max-age=2", "Content-Length: 0", "Content-Encoding: br", "Content-Range: y",
		"X-New: new", "X-Two: c", "Content-Type: text/x", "Connection: X-Hop, x-hop2, cache-control", "X-Hop: 1", "X-Hop2: 1",
		"Keep-Alive: 1", "Transfer-Encoding: chunked", "Set-Cookie: a=1")
	want := header("Cache-Control: max-age=2", "Content-Length: 9", "Content-Encoding: gzip", "Content-Range: x",
		"X-Kept: 1", "X-New: new", "X-Two: c", "Content-Type: text/x", "Set-Cookie: a=1", `ETag: "a"`)
	oldCopy, updateCopy := old.Clone(), update.Clone()
	if got := Freshen(old, update); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if !reflect.DeepEqual(old, oldCopy) || !reflect.DeepEqual(update, updateCopy) {
		t.Error("an argument was changed")
	}
	got := Freshen(old, header("Age: 3", httpDate("Date", 0)))
	if got.Get("Age") != "3" || got.Get("Date") != now2026.Format(http.TimeFormat) {
		t.Errorf("Age and Date are not the 304's: %v", got)
	}
	got.Add("X-Two", "more")
	if !reflect.DeepEqual(old, oldCopy) {
		t.Error("adding to the result changed the stored header")
	}
}

// FuzzNotModified holds lists of entity tags to the plain reading of one tag.
func FuzzNotModified(f *testing.F) {
	f.Add(`"a"`, `W/"a", "b"`)
	f.Add(`W/"x,y"`, `, "x,y"`)
	f.Add(`"`, `*`)
	f.Fuzz(func(t *testing.T, etag, list string) {
		got := NotModified(http.Header{"If-None-Match": {list}}, etag, "", now2026)
		if got && trimOWS(list) != "*" && !isEntityTag(etag) {
			t.Fatalf("%q matches %q, which is no entity tag", list, etag)
		}
		if isEntityTag(etag) && !NotModified(http.Header{"If-None-Match": {`"zz", ` + etag}}, etag, "", now2026) {
			t.Fatalf("%q does not match itself", etag)
		}
	})
}
