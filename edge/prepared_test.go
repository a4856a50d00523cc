package edge

import (
	"net/http"
	"strings"
	"testing"

	"levee/edge/cache"
)

func TestLinesOfHTTP1(t *testing.T) {
	f := func(h http.Header, want string) {
		t.Helper()
		made := cache.MakeHeader(h, nil)
		if got := string(lines1(&made)); got != want {
			t.Errorf("%v: %q, want %q", h, got, want)
		}
	}
	f(http.Header{"Etag": {`"x"`}, "Link": {"a", "b"}}, "Etag: \"x\"\r\nLink: a\r\nLink: b\r\nAccept-Ranges: bytes\r\n")
	f(http.Header{"Accept-Ranges": {"none"}, "Surrogate-Key": {"a"}, "Cache-Tag": {"b"}}, "Accept-Ranges: none\r\n")
	f(http.Header{"Via": {"1.1 other"}}, "")
	f(http.Header{"Cache-Status": {"other; hit"}}, "")
	f(http.Header{"X": {"a\r\nSet-Cookie: evil=1"}}, "") // cannot come from an HTTP reader; must not come through if it did
	f(http.Header{"X\r\nY": {"a"}}, "")
}

// The prepared answer and the one by net/http are the same to a client, whatever
// the origin sends and whatever becomes of the connection.
func TestPreparedAnswersAgree(t *testing.T) {
	l := newLive(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Add("Link", "<a>")
		w.Header().Add("Link", "<b>")
		w.Header().Set("X-Empty", "")
		_, _ = w.Write([]byte(strings.Repeat("x", 20_000)))
	})
	for _, path := range []string{"/a", "/b?x=1"} {
		l.do(clearH1, "GET "+path)
		prepared := l.do(clearH1, "GET "+path)
		status := prepared.cacheStatus()
		whole := l.do(clearH1, "GET "+path, "Connection: close")                     // goes by net/http
		for _, name := range []string{"Date", "Connection", "Age", "Cache-Status"} { // a second may have passed
			prepared.header.Del(name)
			whole.header.Del(name)
		}
		if prepared.body != whole.body || prepared.status != whole.status || !strings.Contains(status, "; hit; ttl=") {
			t.Errorf("%s: %d bytes, %d bytes", path, len(prepared.body), len(whole.body))
		}
		for name := range whole.header {
			if got, want := strings.Join(prepared.header.Values(name), "|"), strings.Join(whole.header.Values(name), "|"); got != want {
				t.Errorf("%s: %s is %q, by net/http %q", path, name, got, want)
			}
		}
		if len(prepared.header) != len(whole.header) {
			t.Errorf("%v\n%v", prepared.header, whole.header)
		}
	}
}
