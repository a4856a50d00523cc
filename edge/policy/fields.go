package policy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// ParseVary parses the Vary lines of a response (RFC 9110 §12.5.5): canonical
// names, sorted, each once, nil if there are none. star is set by a "*"
// anywhere, and also by a member that is no field name: what a response varies
// by must be known to reuse it.
func ParseVary(lines []string) (fields []string, star bool) {
	for _, line := range lines {
		for more := true; more; {
			var name string
			name, line, more = strings.Cut(line, ",")
			if name = trimOWS(name); name == "" {
				continue
			}
			if name == "*" || !isToken(name) {
				return nil, true
			}
			fields = append(fields, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields), false
}

// HopByHop deletes, in place and for either direction, the fields that belong
// to one connection: those that Connection lists and those that always do
// (RFC 9110 §7.6.1, RFC 9111 §3.1). TE and Upgrade go too: who forwards an
// upgrade or gRPC puts its own.
//
// Fields that every recipient needs are kept even if listed, as §7.6.1 forbids
// to list them: a client could else take our loop guard off, and a response
// lose the word that makes it private.
func HopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for more := true; more; {
			var name string
			name, line, more = strings.Cut(line, ",")
			if name = textproto.CanonicalMIMEHeaderKey(trimOWS(name)); !isEndToEnd(name) {
				delete(h, name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

var hopByHop = [...]string{
	"Connection", "Http2-Settings", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// isHopByHop is for a canonical name.
func isHopByHop(name string) bool {
	return slices.Contains(hopByHop[:], name)
}

// connectionLists reports whether Connection makes a canonical name hop-by-hop.
func connectionLists(lines []string, name string) bool {
	for _, line := range lines {
		for more := true; more; {
			var member string
			member, line, more = strings.Cut(line, ",")
			if strings.EqualFold(trimOWS(member), name) {
				return !isEndToEnd(name)
			}
		}
	}
	return false
}

// isEndToEnd are the fields that Connection cannot make hop-by-hop.
func isEndToEnd(name string) bool {
	switch name {
	case "Age", "Authorization", "Cache-Control", "Cdn-Cache-Control", "Cdn-Loop",
		"Content-Encoding", "Content-Length", "Content-Range", "Content-Type",
		"Cookie", "Date", "Etag", "Expires", "Host", "Last-Modified", "Set-Cookie",
		"Vary", "Via":
		return true
	}
	return false
}

// InvalidatesOn reports whether an exchange with the origin invalidates what is
// stored for its URI (RFC 9111 §4.4): the method is not known to be safe and
// the answer is no error (2xx or 3xx).
func InvalidatesOn(method string, status int) bool {
	if status < 200 || status > 399 {
		return false
	}
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "REPORT", "SEARCH":
		return false // the safe ones of the IANA registry
	}
	return true
}
