package policy

import (
	"net/http"
	"testing"
	"time"
)

var now2026 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestParseDate(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		got, ok := ParseDate(s, now2026)
		if !ok {
			t.Errorf("ParseDate(%q) refused", s)
		} else if g := got.Format(time.RFC3339); g != want {
			t.Errorf("ParseDate(%q) = %s, want %s", s, g, want)
		}
	}
	f("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z")
	f("Sunday, 06-Nov-94 08:49:37 GMT", "1994-11-06T08:49:37Z")
	f("Sun Nov  6 08:49:37 1994", "1994-11-06T08:49:37Z")
	f("Sun Nov 16 08:49:37 1994", "1994-11-16T08:49:37Z")
	f("SUN, 06 nOV 1994 08:49:37 gMT", "1994-11-06T08:49:37Z")
	f("sUNDAY, 06-NOV-94 08:49:37 gmt", "1994-11-06T08:49:37Z")
	f("Thu Aug  8 02:01:18 2050", "2050-08-08T02:01:18Z") // it is a Monday
	f("Tue, 19 Jan 2038 14:14:08 GMT", "2038-01-19T14:14:08Z")
	f("Sun, 21 Nov 2286 04:46:39 GMT", "2286-11-21T04:46:39Z")
	f("Thursday, 18-Aug-50 02:01:18 GMT", "2050-08-18T02:01:18Z")
	f("Monday, 23-Nov-76 12:00:00 GMT", "2076-11-23T12:00:00Z")
	f("Monday, 23-Nov-76 12:00:01 GMT", "1976-11-23T12:00:01Z")
	f("Monday, 01-Jan-99 00:00:00 GMT", "1999-01-01T00:00:00Z")
	f("Thu, 29 Feb 2024 00:00:00 GMT", "2024-02-29T00:00:00Z")
	f("Sat, 31 Dec 2016 23:59:60 GMT", "2017-01-01T00:00:00Z")

	late := time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	if got, ok := ParseDate("Sunday, 06-Nov-30 08:49:37 GMT", late); !ok || got.Year() != 2130 {
		t.Errorf("in 2090, the year 30 is %v, %v, want 2130", got, ok)
	}
}

func TestParseDateRefused(t *testing.T) {
	f := func(s string) {
		t.Helper()
		if got, ok := ParseDate(s, now2026); ok {
			t.Errorf("ParseDate(%q) = %v, want it refused", s, got)
		}
	}
	f("")
	f("0")
	f("-1")
	f("Thu, 18 Aug 2050 02:01:18 UTC")
	f("Thu, 18 Aug 2050 02:01:18 AEST")
	f("Thursday, 18-Aug-50 02:01:18 AEST")
	f("Thu, 18 Aug 2050 02:01:18")
	f("Thu, 18 Aug 50 02:01:18 GMT")
	f("Thu 18 Aug 2050 02:01:18 GMT")
	f("Thu, 18  Aug  2050 02:01:18 GMT")
	f("Thu,  18 Aug 2050 02:01:18 GMT")
	f("Thu, 18-Aug-2050 02:01:18 GMT")
	f("Thu, 18 Aug 2050 02.01.18 GMT")
	f("Thu, 18 Aug 2050 2:01:18 GMT")
	f("Thu, 8 Aug 2050 02:01:18 GMT")
	f("Thu, 18 Aug 2050 24:01:18 GMT")
	f("Thu, 18 Aug 2050 02:60:18 GMT")
	f("Thu, 18 Aug 2050 02:01:61 GMT")
	f("Thu, 31 Jun 2050 02:01:18 GMT")
	f("Thu, 00 Jun 2050 02:01:18 GMT")
	f("Thu, 29 Feb 2023 02:01:18 GMT")
	f("Foo, 18 Aug 2050 02:01:18 GMT")
	f("Thu, 18 Foo 2050 02:01:18 GMT")
	f("Thu, 18 Aug +050 02:01:18 GMT")
	f("Thu, 18 Aug 2050 02:01:18 GMT ")
	f("Thu, 18 Aug 2050 02:01:18 GMTx")
	f("Thursday, 18 Aug 2050 02:01:18 GMT")
	f("Thursday, 18-Aug-2050 02:01:18 GMT")
	f("Thu, 18-Aug-50 02:01:18 GMT")
	f("Sun Nov 6 08:49:37 1994")
	f("Sun Nov 06 08:49:37 94")
	f("Sun Nov  6 08:49:37 1994 GMT")
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Thu, 29 Feb 2023 02:01:60 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDate(s, now2026)
		if !ok {
			return
		}
		again, ok := ParseDate(got.Format(http.TimeFormat), now2026)
		if got.Year() <= 9999 && (!ok || !again.Equal(got)) {
			t.Fatalf("ParseDate(%q) = %v, printed and parsed again %v, %v", s, got, again, ok)
		}
	})
}
