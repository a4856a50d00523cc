package byterange

import (
	"strconv"
	"strings"
)

// AppendContentRange appends the Content-Range of a 206, `bytes 0-9/100`, to
// dst (RFC 9110 §14.4). r is not empty; size -1 is unknown and printed as "*".
func AppendContentRange(dst []byte, r Range, size int64) []byte {
	dst = append(dst, "bytes "...)
	dst = strconv.AppendInt(dst, r.Off, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, r.End-1, 10)
	dst = append(dst, '/')
	if size < 0 {
		return append(dst, '*')
	}
	return strconv.AppendInt(dst, size, 10)
}

// AppendUnsatisfied appends the Content-Range of a 416, `bytes */100`, to dst.
func AppendUnsatisfied(dst []byte, size int64) []byte {
	dst = append(dst, "bytes */"...)
	return strconv.AppendInt(dst, size, 10)
}

// ParseContentRange parses the Content-Range of a 206; size is -1 if it is "*".
// ok is false for all that is malformed or contradicts itself (a last position
// before the first, or not below the size), for other units, for numbers beyond
// int64, and for the `bytes */100` of a 416: such a 206 may not be used.
func ParseContentRange(s string) (r Range, size int64, ok bool) {
	unit, rest, ok := strings.Cut(trimOWS(s), " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return Range{}, 0, false
	}
	positions, total, ok := strings.Cut(rest, "/")
	if !ok {
		return Range{}, 0, false
	}
	first, last, ok := strings.Cut(positions, "-")
	if !ok {
		return Range{}, 0, false
	}
	off, ok1 := parseExact(first)
	end, ok2 := parseExact(last)
	size, ok3 := int64(-1), true
	if total != "*" {
		size, ok3 = parseExact(total)
		ok3 = ok3 && end < size
	}
	if !ok1 || !ok2 || !ok3 || end < off {
		return Range{}, 0, false
	}
	return Range{off, end + 1}, size, true
}

// parseExact parses 1*DIGIT that can be incremented within int64; a capped
// number would be another place.
func parseExact(s string) (int64, bool) {
	n, ok := parseNumber(s)
	if ok && n >= 1<<62 {
		return 0, false
	}
	return n, ok
}
