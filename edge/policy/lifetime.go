package policy

import "time"

// Source is where a freshness lifetime came from.
type Source uint8

const (
	SourceNone      Source = iota // nothing states one: 0
	SourceTargeted                // CDN-Cache-Control (RFC 9213)
	SourceSMaxAge                 // s-maxage
	SourceMaxAge                  // max-age
	SourceExpires                 // Expires − Date
	SourceHeuristic               // a tenth of Date − Last-Modified (RFC 9111 §4.2.2)
	SourceRule                    // a rule of the site
)

// String is the name for logs and explain, a token; "none" for SourceNone.
func (s Source) String() string {
	switch s {
	case SourceNone:
		return "none"
	case SourceTargeted:
		return "targeted"
	case SourceSMaxAge:
		return "s-maxage"
	case SourceMaxAge:
		return "max-age"
	case SourceExpires:
		return "expires"
	case SourceHeuristic:
		return "heuristic"
	case SourceRule:
		return "rule"
	}
	panic("BUG: policy: no such source")
}

// StaleUse is how a stale response may be used. A larger value permits all that
// a smaller one does, so compare with >=.
type StaleUse uint8

const (
	MustValidate    StaleUse = iota // not without validating it first
	IfUnreachable                   // when the origin cannot be reached or closes without an answer; not for its 5xx
	IfError                         // also when it answers 500, 502, 503 or 504 (RFC 5861 §4)
	WhileRevalidate                 // at once, while it is validated behind (RFC 5861 §3)
)

// String is the name for logs and explain, a token.
func (u StaleUse) String() string {
	switch u {
	case MustValidate:
		return "must-validate"
	case IfUnreachable:
		return "if-unreachable"
	case IfError:
		return "if-error"
	case WhileRevalidate:
		return "while-revalidate"
	}
	panic("BUG: policy: no such stale use")
}

// DefaultUnreachable is how long a stale response may be used when its origin
// cannot be reached, where neither the response nor the site says anything
// about stale-if-error (RFC 9111 §4.2.4 allows it to a cache that is
// disconnected).
const DefaultUnreachable = time.Hour

// Lifetime is the age and freshness of a stored response (RFC 9111 §4.2): a
// value, kept with the response and not changed. Freshening makes a new one by
// Decide.
type Lifetime struct {
	Request, Response time.Time     // instants of the exchange that made or freshened it
	Validated         time.Time     // when the origin last vouched for it; = Response from Decide
	InitialAge        time.Duration // corrected_initial_age at Response, §4.2.3; ≥ 0
	FreshFor          time.Duration // freshness lifetime, counted in age; 0 to 2^31 s
	SWR, SIE          time.Duration // stale windows that follow FreshFor; ≥ 0
	Unreachable       time.Duration // stale window for an origin that cannot be reached; ≥ SIE
	NoCache           bool          // every use is validated first
	MustRevalidate    bool          // never used stale; the windows are 0
	Source            Source
}

// Age is the current age at now (§4.2.3), not rounded; the Age field is its
// whole seconds. A clock that went back adds nothing.
func (l *Lifetime) Age(now time.Time) time.Duration {
	return l.InitialAge + max(0, now.Sub(l.Response))
}

// TTL is the freshness that is left at now; negative: how long it has been
// stale. It does not look at NoCache.
func (l *Lifetime) TTL(now time.Time) time.Duration {
	return l.FreshFor - l.Age(now)
}

// Fresh reports whether it may be used at now without validation.
func (l *Lifetime) Fresh(now time.Time) bool {
	return !l.NoCache && l.TTL(now) > 0
}

// Stale says how it may be used at now, once it is not Fresh.
func (l *Lifetime) Stale(now time.Time) StaleUse {
	if l.NoCache || l.MustRevalidate {
		return MustValidate
	}
	return l.staleFor(-l.TTL(now))
}

// staleFor is the use of what has been stale for d. The windows' ends are
// inside, as "indicated number of seconds" in RFC 5861 is read.
func (l *Lifetime) staleFor(d time.Duration) StaleUse {
	switch {
	case l.SWR > 0 && d <= l.SWR:
		return WhileRevalidate
	case l.SIE > 0 && d <= l.SIE:
		return IfError
	case l.Unreachable > 0 && d <= l.Unreachable:
		return IfUnreachable
	}
	return MustValidate
}
