package policy

// Reason is why a response is not stored. It is a closed enumeration: log,
// metric, Cache-Status and explain all print this one value.
type Reason uint8

const (
	ReasonNone           Reason = iota // stored
	ReasonBypass                       // a rule takes the request past the cache
	ReasonMethod                       // not a GET
	ReasonRequestBody                  // a GET that carried content
	ReasonUpgrade                      // the connection becomes a tunnel
	ReasonPartial                      // 206: a part is not stored as the whole
	ReasonStatus                       // a status that is stored only by name, or no final one
	ReasonNoStore                      // no-store
	ReasonPrivate                      // private
	ReasonMustUnderstand               // must-understand with a status that we do not
	ReasonAuthorization                // the request carried Authorization (RFC 9111 §3.5)
	ReasonSetCookie                    // Set-Cookie
	ReasonVaryStar                     // Vary: *, or one that cannot be read
	ReasonStream                       // text/event-stream: it never ends
	ReasonNoCache                      // no-cache, and nothing to validate it by
	ReasonNoFreshness                  // states no freshness, and nothing to validate it by
	ReasonStale                        // stale on arrival, and nothing to validate it by
	ReasonTooLarge                     // the body is larger than the store takes
	ReasonTruncated                    // the body ended before its framed end
	reasonCount
)

// String is the metric label, the log value and the Cache-Status detail: a
// token of lower-case words and dashes, "" for ReasonNone.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return ""
	case ReasonBypass:
		return "bypass"
	case ReasonMethod:
		return "method"
	case ReasonRequestBody:
		return "request-body"
	case ReasonUpgrade:
		return "upgrade"
	case ReasonPartial:
		return "partial"
	case ReasonStatus:
		return "status"
	case ReasonNoStore:
		return "no-store"
	case ReasonPrivate:
		return "private"
	case ReasonMustUnderstand:
		return "must-understand"
	case ReasonAuthorization:
		return "authorization"
	case ReasonSetCookie:
		return "set-cookie"
	case ReasonVaryStar:
		return "vary-star"
	case ReasonStream:
		return "stream"
	case ReasonNoCache:
		return "no-cache"
	case ReasonNoFreshness:
		return "no-freshness"
	case ReasonStale:
		return "stale"
	case ReasonTooLarge:
		return "too-large"
	case ReasonTruncated:
		return "truncated"
	}
	panic("BUG: policy: no such reason")
}

// Reasons lists every Reason in order, ReasonNone first; for metrics, which
// have a label for each.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}
