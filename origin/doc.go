// Package origin is the way to the servers whose content is cached: a Pool of members behind one http.RoundTripper.
//
// An exchange goes:
//
//	pick a member → connection (idle, or dial and TLS) → send → 1xx, 103 handed on → head → body, watched, to the caller
//	     ↑                    │ failed, never sent              │ failed, no byte came, GET HEAD OPTIONS without body
//	     └────────────────────┴─────────── next member, at most Retries times ──┘
//
// What a Pool adds to the http.Transport underneath: the members and their turns, the Host and path that are sent, HTTP/2
// only where asked, retries that never send twice what may not be sent twice, time limits on every wait (a stalled body
// too), a bound on informational responses, no unasked 101, and errors of a closed Kind (RFC 9209).
//
// What is the caller's: the header fields. Hop-by-hop fields (RFC 9110 §7.6.1) are removed and Via, X-Forwarded-For and
// the like added before RoundTrip; the Pool sends r.Header as it is, except that net/http never gets to add its own
// User-Agent.
//
// Health, breakers, the retry budget and a timed queue for connections belong to a later issue; their places are Picker.Next's
// except set, the end of Pool.try, the loop in RoundTrip and Pool.lane.
package origin
