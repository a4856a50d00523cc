package cachekey

import "strings"

// Glob reports whether s as a whole matches pattern: `*` is any run of bytes,
// including "/" and the empty one, `?` is one byte, everything else itself.
//
// The pieces between the stars are looked for from left to right, and the first
// place where one fits is kept: what stands further left can never spoil a
// match. So nothing is tried twice and the time is at most
// len(s) × the longest piece, whatever the number of stars. It does not
// allocate.
func Glob(pattern, s string) bool {
	star := strings.IndexByte(pattern, '*')
	if star < 0 {
		return len(pattern) == len(s) && fits(pattern, s)
	}
	if len(s) < star || !fits(pattern[:star], s) {
		return false
	}
	s, pattern = s[star:], pattern[star+1:]
	for {
		star = strings.IndexByte(pattern, '*')
		if star < 0 {
			return len(s) >= len(pattern) && fits(pattern, s[len(s)-len(pattern):])
		}
		at := find(pattern[:star], s)
		if at < 0 {
			return false
		}
		s, pattern = s[at+star:], pattern[star+1:]
	}
}

// fits reports whether s begins with piece, which has no star; s is at least as
// long.
func fits(piece, s string) bool {
	for i := range len(piece) {
		if piece[i] != s[i] && piece[i] != '?' {
			return false
		}
	}
	return true
}

// find is the first place in s where piece, which has no star, fits; or -1.
func find(piece, s string) int {
	if strings.IndexByte(piece, '?') < 0 {
		return strings.Index(s, piece)
	}
	for i := 0; i+len(piece) <= len(s); i++ {
		if fits(piece, s[i:]) {
			return i
		}
	}
	return -1
}
