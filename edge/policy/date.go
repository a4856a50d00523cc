package policy

import (
	"strings"
	"time"
)

// ParseDate parses an HTTP-date (RFC 9110 §5.6.7) in exactly its three forms:
//
//	Sun, 06 Nov 1994 08:49:37 GMT
//	Sunday, 06-Nov-94 08:49:37 GMT
//	Sun Nov  6 08:49:37 1994
//
// Names and GMT are matched without regard to case; everything else must stand
// at its place, with its number of digits, and be in range (a second may be 60,
// and is then the first of the next minute). The weekday must be one, but not
// that of the date: senders get it wrong and nothing depends on it.
//
// now places the two-digit year of the second form: never more than 50 years
// ahead of it. It is the instant of receipt; a second more or less is nothing.
//
// Go's http.ParseTime is both too strict ("gMT") and too loose (a one-digit
// hour, double spaces, other zones), which is a response kept too short or too
// long.
func ParseDate(s string, now time.Time) (t time.Time, ok bool) {
	comma := strings.IndexByte(s, ',')
	switch {
	case comma == 3 && len(s) == len("Sun, 06 Nov 1994 08:49:37 GMT"):
		d := dateReader{s: s, ok: true}
		d.weekday(3)
		d.text(", ")
		day := d.digits(2)
		d.text(" ")
		month := d.month()
		d.text(" ")
		year := d.digits(4)
		d.text(" ")
		return d.finish(year, month, day, d.clock(), true)
	case comma > 3:
		d := dateReader{s: s, ok: true}
		d.weekday(comma)
		d.text(", ")
		day := d.digits(2)
		d.text("-")
		month := d.month()
		d.text("-")
		year := d.digits(2)
		d.text(" ")
		clock := d.clock()
		year += now.UTC().Year() / 100 * 100
		t, ok = d.finish(year, month, day, clock, true)
		limit := now.AddDate(50, 0, 0)
		if ok && t.After(limit) {
			// Made anew: 29 February need not exist a century off.
			return d.finish(year-100, month, day, clock, true)
		}
		// The next century is meant if that is still not over 50 years ahead.
		if next, ok := d.finish(year+100, month, day, clock, true); ok && !next.After(limit) {
			return next, true
		}
		return t, ok
	case comma < 0 && len(s) == len("Sun Nov  6 08:49:37 1994"):
		d := dateReader{s: s, ok: true}
		d.weekday(3)
		d.text(" ")
		month := d.month()
		d.text(" ")
		if d.ok && d.s[0] == ' ' {
			d.text(" ")
			day := d.digits(1)
			d.text(" ")
			clock := d.clock()
			d.text(" ")
			return d.finish(d.digits(4), month, day, clock, false)
		}
		day := d.digits(2)
		d.text(" ")
		clock := d.clock()
		d.text(" ")
		return d.finish(d.digits(4), month, day, clock, false)
	}
	return time.Time{}, false
}

// dateReader reads s from its front; after the first mistake ok is false and
// every read gives zero.
type dateReader struct {
	s  string
	ok bool
}

func (d *dateReader) take(n int) string {
	if !d.ok || len(d.s) < n {
		d.ok = false
		return ""
	}
	t := d.s[:n]
	d.s = d.s[n:]
	return t
}

func (d *dateReader) text(want string) {
	if d.take(len(want)) != want {
		d.ok = false
	}
}

func (d *dateReader) digits(n int) (v int) {
	for _, c := range []byte(d.take(n)) {
		if c < '0' || c > '9' {
			d.ok = false
			return 0
		}
		v = v*10 + int(c-'0')
	}
	return v
}

// weekday takes n bytes: an abbreviation if n is 3, else a full name.
func (d *dateReader) weekday(n int) {
	name := d.take(n)
	for day := time.Sunday; day <= time.Saturday; day++ {
		full := day.String()
		if strings.EqualFold(name, full) && n > 3 || n == 3 && strings.EqualFold(name, full[:3]) {
			return
		}
	}
	d.ok = false
}

func (d *dateReader) month() time.Month {
	name := d.take(3)
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(name, m.String()[:3]) {
			return m
		}
	}
	d.ok = false
	return 0
}

// clock takes hh:mm:ss and gives it as a duration since midnight.
func (d *dateReader) clock() time.Duration {
	h := d.digits(2)
	d.text(":")
	m := d.digits(2)
	d.text(":")
	s := d.digits(2)
	if h > 23 || m > 59 || s > 60 {
		d.ok = false
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
}

// finish makes the instant, if all is well and, with zone, " GMT" is what is
// left. It may be called again for another year.
func (d *dateReader) finish(year int, month time.Month, day int, clock time.Duration, zone bool) (time.Time, bool) {
	rest := d.s
	if zone {
		if len(rest) != len(" GMT") || rest[0] != ' ' || !strings.EqualFold(rest[1:], "GMT") {
			return time.Time{}, false
		}
		rest = ""
	}
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	if !d.ok || rest != "" || t.Day() != day || t.Month() != month {
		return time.Time{}, false
	}
	return t.Add(clock), true
}
