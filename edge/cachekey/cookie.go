package cachekey

import (
	"net/http"
	"strings"
)

// EachCookie calls f with the name and value of each cookie of a request, in
// order over all Cookie lines, until f returns false. Values are as sent, with
// their quotes if they have any (RFC 6265 §5.4 gives quotes no meaning); a pair
// without "=" has the whole as its value and an empty name, as browsers do. It
// does not allocate.
func EachCookie(h http.Header, f func(name, value string) bool) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			pair = trimOWS(pair)
			if pair == "" {
				continue
			}
			name, value, ok := strings.Cut(pair, "=")
			if !ok {
				name, value = "", pair
			}
			if !f(trimOWS(name), trimOWS(value)) {
				return
			}
		}
	}
}

// trimOWS trims optional white space (RFC 9110 §5.6.3).
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
