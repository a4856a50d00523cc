package cachekey

import "strings"

// Path normalises the path of a request target without changing its meaning
// (RFC 3986 §6.2.2): escapes of unreserved characters are decoded, the digits
// of other escapes are upper case, dot segments are removed, also when written
// as %2e. An empty path is "/" (RFC 9110 §4.2.3). %2F, "//", ";" and case are
// kept.
//
// The edge matches rules on this path, keys by it and forwards it, so ok is
// false for what origins are known to read in more than one way:
//   - control bytes, space, non-ASCII bytes, "#", "?", a bad escape, %00;
//   - a raw "\", which no URL may hold and some origins take for "/";
//   - a ".." that shows only once %2F or %5C is decoded or a ";parameter" cut
//     off ("/static/..%2Faccount", "/static/..;/account"): the segment is a name
//     to us and a step up to the origin, which is how cache deception is done;
//   - a path that does not begin with "/".
//
// raw itself is returned, without allocating, when it is normal already.
func Path(raw string) (path string, ok bool) {
	if raw == "" {
		return "/", true
	}
	if raw[0] != '/' {
		return "", false
	}
	normal := true // as far as escapes go
	dots := false  // some segment begins with a dot, perhaps an escaped one
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%':
			if i+2 >= len(raw) {
				return "", false
			}
			v, ok := unhex(raw[i+1], raw[i+2])
			if !ok || v == 0 {
				return "", false
			}
			if isUnreserved(v) || isLowerHex(raw[i+1]) || isLowerHex(raw[i+2]) {
				normal = false
			}
			if v == '.' || v == '/' || v == '\\' {
				dots = true
			}
			i += 2
		case c <= ' ', c >= 0x7f, c == '#', c == '?', c == '\\':
			return "", false
		case c == '.' && raw[i-1] == '/':
			dots = true
		}
	}
	if normal && !dots {
		return raw, true
	}
	path = raw
	if !normal {
		path = unescapeUnreserved(raw)
	}
	if !dots {
		return path, true
	}
	if hidesParent(path) {
		return "", false
	}
	return removeDotSegments(path), true
}

// unescapeUnreserved decodes the escapes of unreserved characters and writes
// the others in upper case. Every escape of s is known to be good.
func unescapeUnreserved(s string) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		v, _ := unhex(s[i+1], s[i+2])
		if isUnreserved(v) {
			b = append(b, v)
		} else {
			b = append(b, '%', digits[v>>4], digits[v&15])
		}
		i += 2
	}
	return string(b)
}

// hidesParent reports whether a segment of a path whose escapes are normal is
// no dot segment, but would be ".." for a reader that decodes %2F and %5C, or
// cuts path parameters off.
func hidesParent(path string) bool {
	for rest := path[1:]; ; {
		seg, after, more := strings.Cut(rest, "/")
		for part, first := seg, true; ; first = false {
			i := encodedSeparator(part)
			name := part
			if i >= 0 {
				name = part[:i]
			}
			base, _, params := strings.Cut(name, ";")
			if base == ".." && (params || i >= 0 || !first) {
				return true
			}
			if i < 0 {
				break
			}
			part = part[i+len("%2F"):]
		}
		if !more {
			return false
		}
		rest = after
	}
}

// encodedSeparator is the index of the first %2F or %5C, or -1.
func encodedSeparator(s string) int {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && (s[i+1:i+3] == "2F" || s[i+1:i+3] == "5C") {
			return i
		}
	}
	return -1
}

// removeDotSegments is RFC 3986 §5.2.4 for a path that begins with "/". It
// returns path itself when there is nothing to remove.
func removeDotSegments(path string) string {
	if !hasDotSegment(path) {
		return path
	}
	out := make([]byte, 0, len(path))
	for rest := path[1:]; ; {
		seg, after, more := strings.Cut(rest, "/")
		switch seg {
		case ".":
			if !more {
				out = append(out, '/')
			}
		case "..":
			for len(out) > 0 && out[len(out)-1] != '/' {
				out = out[:len(out)-1]
			}
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if !more {
				out = append(out, '/')
			}
		default:
			out = append(out, '/')
			out = append(out, seg...)
		}
		if !more {
			return string(out)
		}
		rest = after
	}
}

func hasDotSegment(path string) bool {
	for rest := path[1:]; ; {
		seg, after, more := strings.Cut(rest, "/")
		if seg == "." || seg == ".." {
			return true
		}
		if !more {
			return false
		}
		rest = after
	}
}

// isUnreserved is RFC 3986 §2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func isLowerHex(c byte) bool { return 'a' <= c && c <= 'f' }

func unhex(hi, lo byte) (v byte, ok bool) {
	h, ok1 := hexDigit(hi)
	l, ok2 := hexDigit(lo)
	return h<<4 | l, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
