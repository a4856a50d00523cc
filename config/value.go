package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, never negative in a valid Config. As text it is a
// whole number, alone (bytes) or with one of the units B, KiB, MiB, GiB, TiB, PiB.
type Size int64

// The units of Size; each is 1024 times the one before it.
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
	PiB
)

// sizeUnits lists the units, the largest first, so that the first that divides
// a size is the one to print.
var sizeUnits = [...]struct {
	name string
	size Size
}{{"PiB", PiB}, {"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

// ParseSize reads a size as a config writes it: "64MiB", "512", "0". It refuses
// signs, fractions and the decimal units (kB, MB), which name other numbers.
func ParseSize(s string) (Size, error) {
	digits := len(s)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			digits = i
			break
		}
	}
	number, unit := s[:digits], s[digits:]
	if strings.HasPrefix(s, "-") {
		return 0, errors.New("is negative")
	}
	if number == "" {
		return 0, errors.New("is not a size")
	}
	scale := Size(0)
	if unit == "" {
		scale = 1
	}
	for _, u := range sizeUnits {
		if u.name == unit {
			scale = u.size
		}
	}
	if scale == 0 {
		return 0, errors.New("is not a size: the units are B, KiB, MiB, GiB, TiB and PiB")
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/int64(scale) {
		return 0, errors.New("is more than any size can be")
	}
	return Size(n) * scale, nil
}

// String is the shortest exact text of s, which ParseSize reads back.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if s%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText is String as bytes.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSize; the text stands in the error.
func (s *Size) UnmarshalText(text []byte) error {
	v, err := ParseSize(string(text))
	if err != nil {
		return fmt.Errorf("%q %w", text, err)
	}
	*s = v
	return nil
}

// Duration is a span of time, never negative in a valid Config. As text it is
// what time.ParseDuration reads, and days: "30s", "1h30m", "7d", "1d12h", "0s".
type Duration time.Duration

const day = 24 * time.Hour

// ParseDuration reads a duration as a config writes it. A number without a unit
// is refused, but for "0"; so is a sign.
func ParseDuration(s string) (Duration, error) {
	if strings.HasPrefix(s, "-") {
		return 0, errors.New("is negative")
	}
	if s != "" && strings.Trim(s, "0123456789.") == "" && strings.Trim(s, "0") != "" {
		return 0, errors.New("has no unit")
	}
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		days, rest = "", s
	}
	var total time.Duration
	if ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil {
			return 0, errors.New("is not a duration")
		}
		if n > uint64(math.MaxInt64/day) {
			return 0, errors.New("is more than any duration can be")
		}
		total = time.Duration(n) * day
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || strings.ContainsAny(rest, "+-") {
			return 0, errors.New("is not a duration")
		}
		if total > math.MaxInt64-d {
			return 0, errors.New("is more than any duration can be")
		}
		total += d
	} else if !ok {
		return 0, errors.New("is not a duration")
	}
	return Duration(total), nil
}

// String is an exact text of d, which ParseDuration reads back: in the largest
// single unit that divides d, up to days from two of them on ("24h", "7d").
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t == 0:
		return "0s"
	case t%day == 0 && t >= 2*day:
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	for _, u := range [...]struct {
		name string
		unit time.Duration
	}{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		// 60s stays 60s and 90m stays 90m: the smaller unit is what people write below two of the larger.
		if t%u.unit == 0 && (t >= 2*u.unit || u.unit <= time.Second) {
			return strconv.FormatInt(int64(t/u.unit), 10) + u.name
		}
	}
	return t.String()
}

// MarshalText is String as bytes.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDuration; the text stands in the error.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q %w", text, err)
	}
	*d = v
	return nil
}

// DurationOrOff is a duration or the word off.
type DurationOrOff struct {
	Duration Duration // 0 when Off
	Off      bool
}

// String is off, or the duration.
func (d DurationOrOff) String() string {
	if d.Off {
		return "off"
	}
	return d.Duration.String()
}
