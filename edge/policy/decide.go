package policy

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Times are the instants of one exchange with the origin (RFC 9111 §4.2.3).
type Times struct {
	Request  time.Time // the request began to be sent
	Response time.Time // the response head had arrived
}

// Terms are what the site's rules say. The zero value says nothing; a nil
// *Terms is the zero value.
type Terms struct {
	// TTL counts where the response states no freshness, with ForceTTL also
	// where it does. It reaches the statuses that are cacheable by default
	// (200 203 204 300 301 308 404 410), forced all of 2xx and 3xx, 404 and
	// 410, and those in StoreStatuses. It never overrides private or no-store;
	// forced it overrides no-cache.
	TTL              time.Duration
	HasTTL, ForceTTL bool // ForceTTL counts only with HasTTL

	// SWR and SIE are the stale windows where the response states none and its
	// lifetime is above 0. A response that states must-revalidate,
	// proxy-revalidate, no-cache or s-maxage wins over them. HasSIE replaces
	// DefaultUnreachable; with SIE 0 there is no such window.
	SWR, SIE       time.Duration
	HasSWR, HasSIE bool

	StoreSetCookie     bool // store responses with Set-Cookie
	StoreAuthorization bool // store answers to requests with Authorization

	// StoreStatuses names statuses that are otherwise not stored or not given a
	// TTL, among them 400 405 413 414 428 429 431 501 511. A forced TTL alone
	// does not let these in.
	StoreStatuses []int
}

// RequestFacts is what the decision needs to know of the request.
type RequestFacts struct {
	Method        string
	Authorization bool // it carried Authorization
	Body          bool // it carried content
	Bypass        bool // a rule takes it past the cache
}

// Share says who may read a response besides the request that fetched it.
type Share uint8

const (
	// Alone: concurrent waiters may not read it. Each goes to the origin alone,
	// or validates what was stored.
	Alone Share = iota
	// Shared: concurrent waiters may read this very response.
	Shared
)

// Decision is what becomes of a response.
type Decision struct {
	Store  bool
	Share  Share
	Reason Reason   // why it is not stored; ReasonNone exactly if Store
	Life   Lifetime // meaningful if Store
	Strip  []string // canonical names of fields to leave out of what is stored (no-cache="…", private="…")
}

// Decide says whether a shared cache may store a final response (RFC 9111 §3),
// whether concurrent waiters may have it, and how long it is fresh. h has
// canonical names and is only read. After a 304, call it with the stored
// response's status, the header from Freshen and the instants of the exchange
// that brought the 304.
//
// Not for it to judge: the size of the body and whether it came whole
// (ReasonTooLarge, ReasonTruncated), and 1xx, which is never seen here.
func Decide(req RequestFacts, status int, h http.Header, t Times, terms *Terms) Decision {
	if terms == nil {
		terms = &Terms{}
	}
	cc, targeted := ParseTargeted(h["Cdn-Cache-Control"])
	if !targeted {
		cc = ParseCacheControl(h["Cache-Control"])
	}
	forced := terms.HasTTL && terms.ForceTTL && forcible(status, terms)
	if forced {
		cc.NoCache = false
	}
	d := Decision{Strip: strip(&cc)}
	if d.Reason = refuse(req, status, h, &cc, d.Strip, terms); d.Reason != ReasonNone {
		return Decision{Reason: d.Reason}
	}
	d.Life = lifetime(status, h, &cc, targeted, forced, t, terms)
	l := &d.Life

	at := t.Response
	fresh := l.Fresh(at)
	revalidate := !fresh && l.Stale(at) == WhileRevalidate
	inm, ims := Conditional(h)
	switch {
	case inm != "" || ims != "", fresh, revalidate, !l.NoCache && l.SIE > 0 && l.Stale(at) >= IfError:
		// Of use later. RFC 9111 §3 asks besides that freshness is stated, that
		// the status is cacheable by default, or that the response is public.
		if l.Source == SourceNone && !cc.Public && !byDefault(status) {
			return Decision{Reason: ReasonNoFreshness}
		}
	case l.NoCache:
		return Decision{Reason: ReasonNoCache}
	case l.Source == SourceNone:
		return Decision{Reason: ReasonNoFreshness}
	default:
		return Decision{Reason: ReasonStale}
	}
	d.Store = true
	// What is stripped from the stored response stands in the one that the
	// waiters would read, so they may not.
	if (fresh || revalidate) && len(d.Strip) == 0 {
		d.Share = Shared
	}
	return d
}

// refuse is the first rule against storing, in the order in which one would
// explain it.
func refuse(req RequestFacts, status int, h http.Header, cc *CacheControl, strip []string, terms *Terms) Reason {
	cookies := len(h["Set-Cookie"]) > 0 && !slices.Contains(strip, "Set-Cookie")
	_, star := ParseVary(h["Vary"])
	switch {
	case req.Bypass:
		return ReasonBypass
	case req.Method != http.MethodGet:
		return ReasonMethod
	case req.Body:
		// The answer may depend on content that is not in the key.
		return ReasonRequestBody
	case status == http.StatusSwitchingProtocols:
		return ReasonUpgrade
	case status == http.StatusPartialContent:
		return ReasonPartial
	case status < 200 || status > 999 || status == http.StatusNotModified:
		return ReasonStatus
	case provoked(status) && !slices.Contains(terms.StoreStatuses, status):
		return ReasonStatus
	case cc.MustUnderstand && !understood(status):
		return ReasonMustUnderstand
	case cc.NoStore && !cc.MustUnderstand:
		return ReasonNoStore
	case cc.Private:
		return ReasonPrivate
	case req.Authorization && !terms.StoreAuthorization && !(cc.Public || cc.MustRevalidate || cc.SMaxAge.Stated):
		return ReasonAuthorization
	case cookies && !terms.StoreSetCookie:
		return ReasonSetCookie
	case star:
		return ReasonVaryStar
	case isStream(h):
		return ReasonStream
	}
	return ReasonNone
}

// strip is the fields that must not be stored; nil if there are none.
func strip(cc *CacheControl) []string {
	if len(cc.NoCacheFields) == 0 && len(cc.PrivateFields) == 0 {
		return nil
	}
	all := slices.Concat(cc.NoCacheFields, cc.PrivateFields)
	slices.Sort(all)
	return slices.Compact(all)
}

func isStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(trimOWS(media), "text/event-stream")
}

// provoked are the statuses that the request's own shape or its client brings
// about, though its URL is good: stored, they would keep everyone else out.
// RFC 6585 forbids to store 428, 429, 431 and 511.
func provoked(status int) bool {
	switch status {
	case 400, 405, 413, 414, 428, 429, 431, 501, 511:
		return true
	}
	return false
}

// byDefault are the statuses that RFC 9110 §15.1 lets a cache keep without
// being told to. 206 is never stored here; the provoked ones must be named.
func byDefault(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// forcible are the statuses that a forced TTL reaches. The errors are left out:
// a rule for a path would else keep an outage, a 401 or a 429 for everyone.
func forcible(status int, terms *Terms) bool {
	return status >= 200 && status < 400 || status == 404 || status == 410 ||
		slices.Contains(terms.StoreStatuses, status)
}

// understood are the statuses whose caching we follow (RFC 9111 §5.2.2.3): all
// that RFC 9110 §15 defines but 206 and 304, which are handled elsewhere.
func understood(status int) bool {
	switch {
	case status == 206, status == 304, status == 306, status == 418:
		return false
	case status >= 200 && status <= 206, status >= 300 && status <= 308,
		status >= 400 && status <= 417, status >= 500 && status <= 505,
		status == 421, status == 422, status == 426:
		return true
	}
	return false
}
