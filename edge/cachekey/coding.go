package cachekey

import "strings"

// Codings is the set of content codings that a request accepts, of those that
// Levee knows.
type Codings uint8

// The codings that Levee knows.
const (
	Gzip Codings = 1 << iota
	Brotli
	Zstd
	Identity
)

// AcceptEncoding reads the Accept-Encoding lines of a request (RFC 9110
// §12.5.3). Weights above 0 all count alike: which of the accepted codings is
// best is the server's choice; a malformed weight refuses. No line, or none that is readable, accepts
// Identity only, so nobody is sent a coding that was not asked for. It does not
// allocate.
func AcceptEncoding(lines []string) Codings {
	var named, accepted Codings
	star, starAccepted := false, false
	for _, line := range lines {
		for more := true; more; {
			var member string
			member, line, more = strings.Cut(line, ",")
			name, weight := weighted(trimOWS(member))
			if name == "*" {
				star, starAccepted = true, weight > 0
				continue
			}
			c := codingByName(name)
			named |= c
			if weight > 0 {
				accepted |= c
			} else {
				accepted &^= c
			}
		}
	}
	switch {
	case star && starAccepted:
		accepted |= allCodings &^ named
	case !star && named&Identity == 0:
		accepted |= Identity
	}
	return accepted
}

const allCodings = Gzip | Brotli | Zstd | Identity

func codingByName(name string) Codings {
	switch {
	case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
		return Gzip
	case strings.EqualFold(name, "br"):
		return Brotli
	case strings.EqualFold(name, "zstd"):
		return Zstd
	case strings.EqualFold(name, "identity"):
		return Identity
	}
	return 0
}

// String is the Accept-Encoding value to send to the origin for the set, one
// for each set; it does not allocate. The empty set refuses everything:
// "identity;q=0".
func (c Codings) String() string {
	switch c & allCodings {
	case Identity:
		return "identity"
	case Identity | Gzip:
		return "gzip"
	case Identity | Brotli:
		return "br"
	case Identity | Zstd:
		return "zstd"
	case Identity | Gzip | Brotli:
		return "gzip, br"
	case Identity | Gzip | Zstd:
		return "gzip, zstd"
	case Identity | Brotli | Zstd:
		return "br, zstd"
	case Identity | Gzip | Brotli | Zstd:
		return "gzip, br, zstd"
	case Gzip:
		return "gzip, identity;q=0"
	case Brotli:
		return "br, identity;q=0"
	case Zstd:
		return "zstd, identity;q=0"
	case Gzip | Brotli:
		return "gzip, br, identity;q=0"
	case Gzip | Zstd:
		return "gzip, zstd, identity;q=0"
	case Brotli | Zstd:
		return "br, zstd, identity;q=0"
	case Gzip | Brotli | Zstd:
		return "gzip, br, zstd, identity;q=0"
	}
	return "identity;q=0"
}

// weighted takes `name;q=0.5` apart; the weight in thousandths, 1000 where
// there is none, -1 if it is malformed. A parameter that is no weight belongs
// to the name.
func weighted(member string) (name string, weight int) {
	i := strings.LastIndexByte(member, ';')
	if i < 0 {
		return member, 1000
	}
	p := trimOWS(member[i+1:])
	if len(p) < 2 || p[0]|0x20 != 'q' || p[1] != '=' {
		return member, 1000
	}
	name, q := trimOWS(member[:i]), p[2:]
	if q == "" || len(q) > 5 || q[0] != '0' && q[0] != '1' || len(q) > 1 && q[1] != '.' {
		return name, -1
	}
	weight = int(q[0]-'0') * 1000
	for j, unit := 2, 100; j < len(q); j, unit = j+1, unit/10 {
		if q[j] < '0' || q[j] > '9' {
			return name, -1
		}
		weight += int(q[j]-'0') * unit
	}
	if weight > 1000 {
		return name, -1
	}
	return name, weight
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// compareFold orders strings by their bytes without regard to ASCII case.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := lowerByte(a[i]), lowerByte(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}
