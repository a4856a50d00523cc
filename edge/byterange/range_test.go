package byterange

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	f := func(header string, size int64, want ...Range) {
		t.Helper()
		got, err := Parse(header, size)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Parse(%q, %d) = %v, %v, want %v", header, size, got, err, want)
		}
	}
	f("bytes=0-4", 10, Range{0, 5})
	f("bytes=0-0", 10, Range{0, 1})
	f("bytes=5-", 10, Range{5, 10})
	f("bytes=-3", 10, Range{7, 10})
	f("bytes=-30", 10, Range{0, 10})
	f("bytes=0-99", 10, Range{0, 10})
	f("bytes=9-9", 10, Range{9, 10})
	f("Bytes=0-4", 10, Range{0, 5})
	f(" bytes= ,0-1 ,\t4-5,", 10, Range{0, 2}, Range{4, 6})
	f("bytes=4-5,0-1", 10, Range{4, 6}, Range{0, 2})
	f("bytes=0-4,3-6", 10, Range{0, 7})
	f("bytes=8-9,2-3,0-1", 10, Range{0, 4}, Range{8, 10})
	f("bytes=0-1,20-", 10, Range{0, 2})
	f("bytes=0-1,-0", 10, Range{0, 2})
	f("bytes=0-1,3-4,6-7", 10, Range{0, 2}, Range{3, 5}, Range{6, 8})
	f("bytes=1-99999999999999999999999", 10, Range{1, 10})
	f("bytes=-99999999999999999999999", 10, Range{0, 10})
	f("bytes=0-"+fmt.Sprint(math.MaxInt64), math.MaxInt64, Range{0, math.MaxInt64})
	f("bytes="+strings.Repeat("0-0,", MaxRanges), 100, Range{0, 1})
}

func TestParseErrors(t *testing.T) {
	f := func(want error, header string, size int64) {
		t.Helper()
		got, err := Parse(header, size)
		if !errors.Is(err, want) || got != nil {
			t.Errorf("Parse(%q, %d) = %v, %v, want %v", header, size, got, err, want)
		}
	}
	f(ErrUnsatisfiable, "bytes=10-", 10)
	f(ErrUnsatisfiable, "bytes=10-20,30-", 10)
	f(ErrUnsatisfiable, "bytes=-0", 10)
	f(ErrUnsatisfiable, "bytes=0-", 0)
	f(ErrUnsatisfiable, "bytes=99999999999999999999999-", 10)
	f(ErrIgnored, "bytes=-5", 0)
	f(ErrIgnored, "", 10)
	f(ErrIgnored, "bytes", 10)
	f(ErrIgnored, "bytes=", 10)
	f(ErrIgnored, "bytes=,", 10)
	f(ErrIgnored, "bytes=-", 10)
	f(ErrIgnored, "bytes=4-2", 10)
	f(ErrIgnored, "bytes=0-1,4-2", 10)
	f(ErrIgnored, "bytes=a-b", 10)
	f(ErrIgnored, "bytes=0x1-2", 10)
	f(ErrIgnored, "bytes=+1-2", 10)
	f(ErrIgnored, "bytes=1 - 2", 10)
	f(ErrIgnored, "bytes =1-2", 10)
	f(ErrIgnored, "bytes=1-2-3", 10)
	f(ErrIgnored, "bytes=--1", 10)
	f(ErrIgnored, "lines=0-1", 10)
	f(ErrIgnored, "bytes=0-1, bytes=3-4", 10)
	f(ErrIgnored, "bytes=0-5,4-9", 10)
	f(ErrIgnored, "bytes=0-,0-", 10)
	f(ErrIgnored, "bytes=0-,0-", math.MaxInt64)
	f(ErrIgnored, "bytes="+strings.Repeat("0-0,", MaxRanges+1), 100)
}

func TestParseOpen(t *testing.T) {
	f := func(header string, want Open) {
		t.Helper()
		if got, ok := ParseOpen(header); !ok || got != want {
			t.Errorf("ParseOpen(%q) = %+v, %v, want %+v", header, got, ok, want)
		}
	}
	f("bytes=3-7", Open{3, 7})
	f("bytes=3-", Open{3, -1})
	f("bytes=-7", Open{-1, 7})
	f("bytes=-0", Open{-1, 0})
	for _, header := range []string{"", "bytes=", "bytes=0-1,3-4", "bytes=2-1", "x=0-1"} {
		if got, ok := ParseOpen(header); ok {
			t.Errorf("ParseOpen(%q) = %+v, want none", header, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ParseOpen("bytes=3-7") }); n != 0 {
		t.Errorf("ParseOpen costs %v allocations, want 0", n)
	}
}

func TestContentRange(t *testing.T) {
	f := func(r Range, size int64, want string) {
		t.Helper()
		got := string(AppendContentRange(nil, r, size))
		if got != want {
			t.Errorf("%+v of %d: %s, want %s", r, size, got, want)
		}
		if back, n, ok := ParseContentRange(got); !ok || back != r || n != size {
			t.Errorf("%s reads back as %+v of %d, %v", got, back, n, ok)
		}
	}
	f(Range{0, 10}, 100, "bytes 0-9/100")
	f(Range{99, 100}, 100, "bytes 99-99/100")
	f(Range{0, 1}, -1, "bytes 0-0/*")
	if got := string(AppendUnsatisfied(nil, 100)); got != "bytes */100" {
		t.Error(got)
	}
	for _, s := range []string{
		"", "bytes", "bytes */100", "bytes 0-9", "bytes 0-/9", "bytes -9/10", "bytes 9-0/10", "bytes 0-10/10", "bytes 0-9/",
		"bytes 0-9/x", "bytes=0-9/10", "lines 0-9/10", "bytes 0-9/ 10", "bytes  0-9/10", "bytes 0-99999999999999999999/*",
		"bytes 0-9/99999999999999999999", "bytes +0-9/10", "bytes 0-9/-1", "bytes 0-9/10, bytes 0-9/10",
	} {
		if r, size, ok := ParseContentRange(s); ok {
			t.Errorf("ParseContentRange(%q) = %+v of %d, want it refused", s, r, size)
		}
	}
}

// FuzzParse holds Parse to its promise: within the size, apart from each other,
// no more bytes than there are, and exactly the bytes asked for.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"bytes=0-4,3-6", "bytes=-5, 1-", "bytes=99999999999999999999-", "bytes=0-0,2-2,4-4,0-"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		ranges, err := Parse(header, size)
		if (err == nil) != (len(ranges) > 0) || len(ranges) > MaxRanges {
			t.Fatalf("%v, %v", ranges, err)
		}
		sorted := slices.SortedFunc(slices.Values(ranges), func(a, b Range) int {
			if a.Off < b.Off {
				return -1
			}
			return 1
		})
		end := int64(-1)
		for _, r := range sorted {
			if r.Off <= end || r.Off < 0 || r.Len() <= 0 || r.End > size {
				t.Fatalf("Parse(%q, %d) = %v", header, size, ranges)
			}
			end = r.End
		}
		if o, ok := ParseOpen(header); ok {
			r, oerr := o.Resolve(size)
			if !errors.Is(err, oerr) || err == nil && (len(ranges) != 1 || ranges[0] != r) {
				t.Fatalf("%q of %d: Parse gives %v, %v, ParseOpen %v, %v", header, size, ranges, err, r, oerr)
			}
		}
		if err != nil || size > 64 {
			return
		}
		var room [MaxRanges]Open
		set, _ := parseSet(room[:0], header)
		for i := range size {
			asked, given := false, false
			for _, o := range set {
				r, err := o.Resolve(size)
				asked = asked || err == nil && r.Off <= i && i < r.End
			}
			for _, r := range ranges {
				given = given || r.Off <= i && i < r.End
			}
			if asked != given {
				t.Fatalf("Parse(%q, %d) = %v: byte %d asked for %v, given %v", header, size, ranges, i, asked, given)
			}
		}
	})
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 5-5/*", "bytes */7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, size, ok := ParseContentRange(s)
		if !ok {
			return
		}
		if r.Off < 0 || r.Len() <= 0 || size >= 0 && r.End > size || size < -1 {
			t.Fatalf("%q: %+v of %d", s, r, size)
		}
		if r2, size2, ok := ParseContentRange(string(AppendContentRange(nil, r, size))); !ok || r2 != r || size2 != size {
			t.Fatalf("%q does not read back", s)
		}
	})
}
