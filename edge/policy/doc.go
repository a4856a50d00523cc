// Package policy decides, by RFC 9111 and its companions (RFC 5861 stale
// windows, RFC 8246 immutable, RFC 9211 Cache-Status, RFC 9213 targeted
// fields), what a shared cache may store, how long that is fresh, when it may
// be used stale, and what to ask and answer conditionally.
//
// Everything is a pure function of headers and instants: no I/O, no clock, no
// state; safe for concurrent use. Headers are http.Header maps with canonical
// names. Instants and ages are time.Time and time.Duration; seconds exist only
// in header fields. What a hit needs (Lifetime, NotModified, CacheStatus) does
// not allocate.
//
// Where this departs from the letter, or chooses where the RFCs leave it open:
//
//   - Never stored unless the site says so by name (Terms): responses with
//     Set-Cookie, answers to requests with Authorization beyond RFC 9111 §3.5,
//     and the statuses that the request's own shape provokes (400, 405, 413,
//     414, 431, 501; also 428, 429, 511 by RFC 6585), which an attacker could
//     else plant for everyone.
//   - A Date less than one second old adds no age: it is truncated to the
//     second, and would cost a lifetime of one second half its length.
//   - An invalid lifetime ("max-age=abc") is a lifetime of zero, never a
//     missing one (RFC 9111 §4.2.1 allows both). Of duplicates the first counts.
//   - s-maxage implies proxy-revalidate (RFC 9111 §5.2.2.10), so neither the
//     site's stale windows nor our default one apply. A stale window that the
//     response itself states beside s-maxage counts, since whoever writes both
//     means it; beside must-revalidate, proxy-revalidate or no-cache it does not.
//   - A response that states no window may be used for DefaultUnreachable when
//     its origin cannot be reached (RFC 9111 §4.2.4), but never in place of an
//     answer, not even of a 5xx. Neither this nor the site's windows count for a
//     lifetime of zero: that may be a page for one user, stored to be validated.
//   - private="…" and no-cache="…" name fields that are not stored; without
//     quotes the argument is not believed and the directive is the plain one.
//   - must-understand lifts no-store for the statuses in RFC 9110 §15.
//   - Request directives (no-cache, max-age, Pragma) are not looked at: they
//     would let any client bypass the cache.
package policy
