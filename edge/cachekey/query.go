package cachekey

import (
	"slices"
	"strings"
)

// Query says which query parameters of a site count. The zero Query changes
// nothing. Immutable once in use.
type Query struct {
	Keep []string // names or globs (Glob) that stay; nil: all stay; empty but not nil: none stays
	Drop []string // names or globs that go; applied after Keep
	Sort bool     // sort by name; parameters of one name stay in order
}

// ValidQuery reports whether raw may be the query of a request target: no
// control byte, space, non-ASCII byte or "#". Everything else passes, also bad
// escapes and what RFC 3986 §3.4 would have escaped, since browsers send it.
func ValidQuery(raw string) bool {
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// Apply filters and sorts a raw query (without "?"). The result is what is
// keyed and what the origin gets, so a parameter that is not in the key can
// change no response. Values, empty values, multiplicity and the spelling of
// what stays are kept; empty pieces ("a=1&&b=2") go as soon as there is
// anything to do, since they carry no parameter. Names are compared with their
// escapes decoded, as the origin will read them.
//
// raw itself is returned, without allocating, when nothing changes.
func (q *Query) Apply(raw string) string {
	if raw == "" || q.Keep == nil && len(q.Drop) == 0 && !q.Sort {
		return raw
	}
	same, prev, first := true, "", true
	eachPiece(raw, func(piece string) bool {
		name := rawName(piece)
		same = piece != "" && q.stays(name) && (!q.Sort || first || compareNames(prev, name) <= 0)
		prev, first = name, false
		return same
	})
	if same {
		return raw
	}
	pieces := make([]string, 0, 1+strings.Count(raw, "&"))
	eachPiece(raw, func(piece string) bool {
		if piece != "" && q.stays(rawName(piece)) {
			pieces = append(pieces, piece)
		}
		return true
	})
	if q.Sort {
		slices.SortStableFunc(pieces, func(a, b string) int {
			return compareNames(rawName(a), rawName(b))
		})
	}
	return strings.Join(pieces, "&")
}

// stays reports whether a parameter of this raw name is kept.
func (q *Query) stays(rawName string) bool {
	if q.Keep == nil && len(q.Drop) == 0 {
		return true
	}
	name := decodeParam(rawName)
	return (q.Keep == nil || matchesAny(q.Keep, name)) && !matchesAny(q.Drop, name)
}

func matchesAny(globs []string, name string) bool {
	for _, g := range globs {
		if Glob(g, name) {
			return true
		}
	}
	return false
}

// EachParam calls f with each parameter of a raw query in order, names and
// values decoded as forms are ("+" is a space, a bad escape stays as it is),
// until f returns false. It allocates only for what has escapes.
func EachParam(query string, f func(name, value string) bool) {
	eachPiece(query, func(piece string) bool {
		if piece == "" {
			return true
		}
		name, value, _ := strings.Cut(piece, "=")
		return f(decodeParam(name), decodeParam(value))
	})
}

// eachPiece calls f with what stands between the "&"s until f returns false.
func eachPiece(query string, f func(piece string) bool) {
	for more := query != ""; more; {
		var piece string
		piece, query, more = strings.Cut(query, "&")
		if !f(piece) {
			return
		}
	}
}

func rawName(piece string) string {
	name, _, _ := strings.Cut(piece, "=")
	return name
}

// decodeParam decodes "%XX" and "+"; s itself when it has neither.
func decodeParam(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for s != "" {
		c, n := paramByte(s)
		b = append(b, c)
		s = s[n:]
	}
	return string(b)
}

// compareNames orders raw names by their decoded bytes, so that two spellings
// of one name stay in the order in which the origin would see them.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		x, n := paramByte(a)
		y, m := paramByte(b)
		if x != y {
			return int(x) - int(y)
		}
		a, b = a[n:], b[m:]
	}
	return len(a) - len(b)
}

// paramByte is the first decoded byte of s, which is not empty, and the number
// of raw bytes that it takes.
func paramByte(s string) (c byte, n int) {
	switch {
	case s[0] == '+':
		return ' ', 1
	case s[0] == '%' && len(s) > 2:
		if v, ok := unhex(s[1], s[2]); ok {
			return v, 3
		}
	}
	return s[0], 1
}
