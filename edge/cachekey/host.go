package cachekey

import (
	"net/netip"
	"strings"
)

// maxHost is the longest host name, in bytes (RFC 1035 §2.3.4, without the
// final dot).
const maxHost = 253

// Host normalises the value of a Host field or of :authority: lower case, port
// and one trailing dot stripped, IP literals in their one canonical form, IPv6
// in brackets. It returns ok false for anything else than
// `name-or-address [":" port]`: user info, spaces, control and non-ASCII bytes,
// "/", an empty name or label, a label over 63 or a name over 253 bytes, a port
// that is no number up to 65535, an IPv6 zone, a name that ends in a number
// without being an IPv4 address ("127.1", "0x7f.1": some resolvers take these
// for addresses).
//
// Names are letters, digits, "-" and "_" (used in practice, though not by
// RFC 1123). IDNA A-labels ("xn--…") pass as the ASCII they are, since a key
// and a site are matched by equality only; U-labels are refused, since RFC 9110
// allows no such byte here.
//
// A host that is normal already is returned without allocating.
func Host(raw string) (host string, ok bool) {
	if strings.HasPrefix(raw, "[") {
		return hostIPv6(raw)
	}
	name := raw
	if i := strings.IndexByte(raw, ':'); i >= 0 {
		if !isPort(raw[i+1:]) {
			return "", false
		}
		name = raw[:i]
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxHost {
		return "", false
	}
	label, upper := 0, false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = 0
			continue
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
		if label++; label > 63 {
			return "", false
		}
	}
	if label == 0 {
		return "", false
	}
	if upper {
		name = strings.ToLower(name)
	}
	if endsInNumber(name) {
		a, err := netip.ParseAddr(name)
		return name, err == nil && a.Is4()
	}
	return name, true
}

// hostIPv6 normalises `"[" IPv6 "]" [":" port]`.
func hostIPv6(raw string) (string, bool) {
	end := strings.IndexByte(raw, ']')
	if end < 0 {
		return "", false
	}
	if rest := raw[end+1:]; rest != "" && (rest[0] != ':' || !isPort(rest[1:])) {
		return "", false
	}
	a, err := netip.ParseAddr(raw[1:end])
	if err != nil || !a.Is6() || a.Zone() != "" {
		return "", false
	}
	var buf [64]byte
	b := append(buf[:0], '[')
	b = append(a.AppendTo(b), ']')
	if raw[:end+1] == string(b) {
		return raw[:end+1], true
	}
	return string(b), true
}

// isPort reports whether s is a port; an empty one is the default port
// (RFC 3986 §3.2.3).
func isPort(s string) bool {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		if n = n*10 + int(s[i]-'0'); n > 65535 {
			return false
		}
	}
	return true
}

// endsInNumber is the test of the WHATWG URL standard for "this wants to be an
// IPv4 address": the last label is all digits, or 0x and hexadecimal digits.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	digits, hex := last, false
	if strings.HasPrefix(last, "0x") {
		digits, hex = last[2:], true
	}
	for i := range len(digits) {
		c := digits[i]
		if !('0' <= c && c <= '9' || hex && 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}
