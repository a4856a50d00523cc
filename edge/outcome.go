package edge

import "levee/edge/policy"

// Outcome is what became of a request, decided once. It is the log's "outcome"
// and the metric's label.
type Outcome uint8

// The outcomes.
const (
	Refused     Outcome = iota // answered by us with 4xx or 508: nothing was looked up
	Redirected                 // a rule, or the site's way from http to https
	Hit                        // from the cache, fresh
	Stale                      // from the cache, stale, as the stale windows allow
	Revalidated                // from the cache, after the origin said that it is still good
	Miss                       // fetched by this request
	Collapsed                  // fetched by another request, which this one joined
	Pass                       // fetched for this request alone, past the cache
	Tunnel                     // an upgraded connection
	Failed                     // no answer could be had: 502, 503, 504, or 500 for a fault of ours
	noutcomes
)

var outcomeNames = [noutcomes]string{"refused", "redirected", "hit", "stale", "revalidated", "miss", "collapsed", "pass", "tunnel", "failed"}

func (o Outcome) String() string { return outcomeNames[o] }

// cacheStatus renders the decision as a member of Cache-Status (RFC 9211).
func (x *Exchange) cacheStatus(dst []byte) []byte {
	cs := policy.CacheStatus{Cache: x.h.cacheName, Fwd: x.fwd, Detail: x.reason.String()}
	switch x.outcome {
	case Hit:
		cs.Hit, cs.Fwd = true, policy.FwdNone
	case Stale:
		cs.Detail = "stale-" + x.staleUse.String()
		if x.staleUse == policy.WhileRevalidate {
			cs.Hit, cs.Fwd = true, policy.FwdNone
		} else { // the origin was asked
			cs.FwdStatus = x.originStatus
		}
	case Revalidated, Miss, Collapsed, Pass:
		cs.FwdStatus = x.originStatus
		cs.Collapsed = x.outcome == Collapsed
		cs.Stored = x.stored
	}
	if x.hasAge {
		cs.TTL, cs.HasTTL = x.ttl, true
	}
	return cs.Append(dst)
}
