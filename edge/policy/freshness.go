package policy

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxHeuristic bounds a lifetime that nobody stated, whatever the age of the
// representation.
const maxHeuristic = 24 * time.Hour

// lifetime computes age, freshness and stale windows (RFC 9111 §4.2).
func lifetime(status int, h http.Header, cc *CacheControl, targeted, forced bool, t Times, terms *Terms) Lifetime {
	date, hasDate := singleDate(h["Date"], t.Response)
	l := Lifetime{
		Request:    t.Request,
		Response:   t.Response,
		Validated:  t.Response,
		InitialAge: initialAge(h["Age"], date, hasDate, t),
		NoCache:    cc.NoCache,
	}
	if !hasDate {
		date = t.Response
	}
	l.FreshFor, l.Source = freshness(status, h, cc, targeted, forced, date, t, terms)
	// Pragma was the no-cache of HTTP/1.0. What a sender of it has not called
	// fresh, we do not call fresh either.
	guessed := l.Source == SourceHeuristic || l.Source == SourceRule || l.Source == SourceNone
	if guessed && !forced && !targeted && len(h["Cache-Control"]) == 0 && pragmaNoCache(h["Pragma"]) {
		l.NoCache = true
	}
	sharedMaxAge := cc.SMaxAge.Stated && !forced
	l.staleWindows(cc, sharedMaxAge, terms)
	return l
}

// initialAge is corrected_initial_age (§4.2.3).
func initialAge(age []string, date time.Time, hasDate bool, t Times) time.Duration {
	delay := max(0, t.Response.Sub(t.Request))
	corrected := parseAge(age) + delay
	if hasDate {
		// Date has no fractions: under a second of apparent age is none.
		if apparent := t.Response.Sub(date); apparent >= time.Second {
			return max(apparent, corrected)
		}
	}
	return corrected
}

// parseAge is the first member of the Age lines if that is delta-seconds, else
// 0 (§5.1).
func parseAge(lines []string) time.Duration {
	for _, line := range lines {
		for more := true; more; {
			var member string
			member, line, more = strings.Cut(line, ",")
			if member = trimOWS(member); member != "" {
				age, _ := deltaSeconds(member)
				return age
			}
		}
	}
	return 0
}

// freshness is the freshness lifetime and where it came from (§4.2.1), first of:
// a forced rule, s-maxage, max-age (both targeted before plain), Expires, a
// rule, the heuristic.
func freshness(status int, h http.Header, cc *CacheControl, targeted, forced bool, date time.Time, t Times, terms *Terms) (time.Duration, Source) {
	switch {
	case forced:
		return max(0, terms.TTL), SourceRule
	case targeted && cc.SMaxAge.Stated:
		return cc.SMaxAge.For, SourceTargeted
	case targeted && cc.MaxAge.Stated:
		return cc.MaxAge.For, SourceTargeted
	case cc.SMaxAge.Stated:
		return cc.SMaxAge.For, SourceSMaxAge
	case cc.MaxAge.Stated:
		return cc.MaxAge.For, SourceMaxAge
	case !targeted && len(h["Expires"]) > 0: // RFC 9213 §2.2: a targeted field replaces Expires too
		expires, ok := singleDate(h["Expires"], t.Response)
		if !ok {
			return 0, SourceExpires // invalid, above all "0": in the past (§5.3)
		}
		return min(max(0, expires.Sub(date)), maxSeconds*time.Second), SourceExpires
	}
	named := slices.Contains(terms.StoreStatuses, status)
	if terms.HasTTL && (byDefault(status) || named) {
		return max(0, terms.TTL), SourceRule
	}
	if modified, ok := singleDate(h["Last-Modified"], t.Response); ok && (byDefault(status) || cc.Public) {
		return min(max(0, date.Sub(modified)/10), maxHeuristic), SourceHeuristic
	}
	return 0, SourceNone
}

// staleWindows sets the windows of RFC 5861 and MustRevalidate.
func (l *Lifetime) staleWindows(cc *CacheControl, sharedMaxAge bool, terms *Terms) {
	if cc.MustRevalidate || cc.ProxyRevalidate || l.NoCache {
		l.MustRevalidate = cc.MustRevalidate || cc.ProxyRevalidate
		return
	}
	// s-maxage is proxy-revalidate too (§5.2.2.10), but gives way to what the
	// same response says in so many words.
	l.MustRevalidate = sharedMaxAge && !cc.SWR.Stated && !cc.SIE.Stated

	// What nobody called fresh for any time is not used stale by default
	// either: it may be a page made for one user, stored only to be validated.
	byTerms := l.FreshFor > 0 && !sharedMaxAge
	switch {
	case cc.SWR.Stated:
		l.SWR = cc.SWR.For
	case byTerms && terms.HasSWR:
		l.SWR = max(0, terms.SWR)
	}
	switch {
	case cc.SIE.Stated:
		l.SIE = cc.SIE.For
		l.Unreachable = l.SIE
	case byTerms && terms.HasSIE:
		l.SIE = max(0, terms.SIE)
		l.Unreachable = l.SIE
	case byTerms:
		l.Unreachable = DefaultUnreachable
	}
}

// singleDate parses a field that holds one date; two lines make it invalid.
func singleDate(lines []string, now time.Time) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	return ParseDate(trimOWS(lines[0]), now)
}

func pragmaNoCache(lines []string) bool {
	for _, line := range lines {
		for line != "" {
			var d directive
			d, line = nextDirective(line)
			if strings.EqualFold(d.name, "no-cache") {
				return true
			}
		}
	}
	return false
}
