package byterange

import (
	"errors"
	"math"
	"slices"
	"strings"
)

// MaxRanges is the most ranges that one request may ask for.
const MaxRanges = 16

// The two ways in which a Range field leads to no 206.
var (
	// ErrUnsatisfiable: the set is good, but none of it lies within the
	// representation; answer 416 with AppendUnsatisfied (RFC 9110 §15.5.17).
	ErrUnsatisfiable = errors.New("byterange: the ranges lie beyond the representation")
	// ErrIgnored: the field is malformed, of another unit, or asks for too much;
	// answer as if it were not there (RFC 9110 §14.2).
	ErrIgnored = errors.New("byterange: the Range field is malformed, of another unit, or asks for too much")
)

// Range is the bytes [Off, End) of a representation.
type Range struct{ Off, End int64 }

// Len is the number of bytes; > 0 for what this package gives out.
func (r Range) Len() int64 { return r.End - r.Off }

// Open is one range as asked for, before the size of the representation is
// known. Numbers beyond int64 are capped.
type Open struct {
	First int64 // first position; -1: the last Last bytes
	Last  int64 // last position, inclusive; -1: to the end; if First is -1, the number of bytes
}

// Resolve gives the bytes that o means of a representation of size bytes, ≥ 0,
// or ErrUnsatisfiable, or for a suffix of an empty representation ErrIgnored:
// it is satisfiable, but Content-Range cannot say so.
func (o Open) Resolve(size int64) (Range, error) {
	switch {
	case o.First < 0 && o.Last == 0, o.First >= size:
		return Range{}, ErrUnsatisfiable
	case o.First < 0 && size == 0:
		return Range{}, ErrIgnored
	case o.First < 0:
		return Range{size - min(o.Last, size), size}, nil
	case o.Last < 0 || o.Last >= size:
		return Range{o.First, size}, nil
	}
	return Range{o.First, o.Last + 1}, nil
}

// Parse gives the ranges that the value of a Range field asks for, of a
// representation of size bytes, ≥ 0. They are in the order asked for and do not
// touch; if any did, they are in ascending order and those have become one.
// Members beyond the end are left out. Two Range lines are malformed: give
// their join by ",".
//
// It returns one range or more; ErrUnsatisfiable; or ErrIgnored, also for more
// than MaxRanges members or for more bytes in sum than size.
func Parse(header string, size int64) ([]Range, error) {
	var room [MaxRanges]Open
	set, ok := parseSet(room[:0], header)
	if !ok {
		return nil, ErrIgnored
	}
	ranges := make([]Range, 0, len(set))
	var sum int64
	for _, o := range set {
		r, err := o.Resolve(size)
		switch {
		case err == nil:
			ranges = append(ranges, r)
		case !errors.Is(err, ErrUnsatisfiable):
			return nil, err
		}
		if r.Len() > size-sum {
			return nil, ErrIgnored
		}
		sum += r.Len()
	}
	if len(ranges) == 0 {
		return nil, ErrUnsatisfiable
	}
	return coalesce(ranges), nil
}

// ParseOpen gives the range of a Range field that asks for exactly one, before
// the size is known; ok is false for every other field.
func ParseOpen(header string) (o Open, ok bool) {
	var room [MaxRanges]Open
	set, ok := parseSet(room[:0], header)
	if !ok || len(set) != 1 {
		return Open{}, false
	}
	return set[0], true
}

// parseSet appends the members of `bytes=…` to set (§14.1.1); ok is false if it
// is malformed, of another unit, empty or over MaxRanges.
func parseSet(set []Open, header string) (_ []Open, ok bool) {
	unit, list, ok := strings.Cut(trimOWS(header), "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return nil, false
	}
	for more := true; more; {
		var member string
		member, list, more = strings.Cut(list, ",")
		if member = trimOWS(member); member == "" {
			continue // §5.6.1: empty members of a list are no mistake
		}
		o, ok := parseMember(member)
		if !ok || len(set) == MaxRanges {
			return nil, false
		}
		set = append(set, o)
	}
	return set, len(set) > 0
}

// parseMember parses `a-b`, `a-` or `-n`.
func parseMember(s string) (Open, bool) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return Open{}, false
	}
	o := Open{-1, -1}
	if first != "" {
		if o.First, ok = parseNumber(first); !ok {
			return Open{}, false
		}
		if last == "" {
			return o, true
		}
	}
	if o.Last, ok = parseNumber(last); !ok {
		return Open{}, false
	}
	return o, o.First <= o.Last
}

// parseNumber parses 1*DIGIT, capped at the largest int64 less one, so that one
// can be added.
func parseNumber(s string) (n int64, ok bool) {
	const most = math.MaxInt64 - 1
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if d := int64(c - '0'); n > (most-d)/10 {
			n = most
		} else {
			n = n*10 + d
		}
	}
	return n, s != ""
}

// coalesce makes one of ranges that overlap or touch (§15.3.7.2 permits it).
// Without such it leaves the order as it is: a client may have had a reason.
func coalesce(ranges []Range) []Range {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int {
		switch {
		case a.Off < b.Off:
			return -1
		case a.Off > b.Off:
			return 1
		}
		return 0
	})
	out := sorted[:1]
	for _, r := range sorted[1:] {
		if last := &out[len(out)-1]; r.Off <= last.End {
			last.End = max(last.End, r.End)
		} else {
			out = append(out, r)
		}
	}
	if len(out) == len(ranges) {
		return ranges
	}
	return out
}

func trimOWS(s string) string { return strings.Trim(s, " \t") }
