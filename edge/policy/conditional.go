package policy

import (
	"net/http"
	"slices"
	"time"
)

// Conditional gives the validators to send with a request that validates a
// stored response (RFC 9111 §4.3.1): If-None-Match and If-Modified-Since, each
// "" if there is none to send. Weak entity tags count too. What is no entity
// tag or no date is not sent: it could match by accident.
func Conditional(h http.Header) (inm, ims string) {
	if lines := h["Etag"]; len(lines) > 0 {
		if tag := trimOWS(lines[0]); isEntityTag(tag) {
			inm = tag
		}
	}
	if lines := h["Last-Modified"]; len(lines) == 1 {
		date := trimOWS(lines[0])
		// The instant does not matter, only whether it is one, so neither does
		// the century.
		if _, ok := ParseDate(date, time.Time{}); ok {
			ims = date
		}
	}
	return inm, ims
}

// NotModified reports whether the client's own If-None-Match or, only without
// it, If-Modified-Since is to be answered by 304 from a response whose ETag and
// Last-Modified are given ("" if it has none) (RFC 9110 §13.2.2, RFC 9111
// §4.3.2). Entity tags are compared weakly, `*` matches every response. Without
// Last-Modified, date counts in its stead: the Date of the response, or when it
// was received. An If-Modified-Since that is no date, or stands twice, is
// ignored.
//
// It is for GET and HEAD and for a response that would be a 200. If-Match and
// If-Unmodified-Since are not looked at: they are for the origin to evaluate
// (RFC 9111 §4.3.2), so a request with one of them goes to the origin.
func NotModified(reqHeader http.Header, etag, lastModified string, date time.Time) bool {
	if inm := reqHeader["If-None-Match"]; len(inm) > 0 {
		return matchesWeakly(inm, etag)
	}
	if len(reqHeader["If-Modified-Since"]) == 0 {
		return false
	}
	since, ok := singleDate(reqHeader["If-Modified-Since"], date)
	if !ok {
		return false
	}
	modified := date
	if lastModified != "" {
		if modified, ok = ParseDate(lastModified, date); !ok {
			return false
		}
	}
	return !modified.IsZero() && !modified.After(since)
}

// Freshen gives the header of a stored response after a 304 has validated it
// (RFC 9111 §3.2): every field of the 304 replaces the stored lines of its
// name; what the 304 does not mention is kept. Left out are those that describe
// the stored content or the 304's own message: Content-Length, Content-Encoding,
// Content-Range and all that is hop-by-hop. Age and Date are the 304's: if it
// lacks them they go, since the old ones tell of the old exchange (put a Date
// of the time of receipt, RFC 9110 §6.6.1).
//
// The result is a new map that shares lines, which nobody may change, with both
// arguments. Decide anew with it: the 304 may have brought a Set-Cookie or a
// private.
func Freshen(old, new304 http.Header) http.Header {
	merged := make(http.Header, len(old)+4)
	for name, lines := range old {
		if name != "Age" && name != "Date" {
			merged[name] = slices.Clip(lines)
		}
	}
	for name, lines := range new304 {
		switch name {
		case "Content-Length", "Content-Encoding", "Content-Range":
			continue
		}
		if !isHopByHop(name) && !connectionLists(new304["Connection"], name) {
			merged[name] = slices.Clip(lines)
		}
	}
	return merged
}
