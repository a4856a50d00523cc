package policy

import (
	"strconv"
	"time"
)

// Fwd is why a request went forward to the origin (RFC 9211 §2.2).
type Fwd uint8

const (
	FwdNone     Fwd = iota // it did not: a hit
	FwdBypass              // the cache was not to handle it
	FwdMethod              // the method must be forwarded
	FwdURIMiss             // nothing was stored for the key
	FwdVaryMiss            // nothing that was stored has the right variant
	FwdMiss                // nothing usable was stored, without saying which of the two
	FwdRequest             // a fresh one was stored, but the request's own fields forbade it
	FwdStale               // a stale one was stored
	FwdPartial             // a part was stored, and another asked for
)

// String is the token of RFC 9211, "" for FwdNone.
func (f Fwd) String() string {
	switch f {
	case FwdNone:
		return ""
	case FwdBypass:
		return "bypass"
	case FwdMethod:
		return "method"
	case FwdURIMiss:
		return "uri-miss"
	case FwdVaryMiss:
		return "vary-miss"
	case FwdMiss:
		return "miss"
	case FwdRequest:
		return "request"
	case FwdStale:
		return "stale"
	case FwdPartial:
		return "partial"
	}
	panic("BUG: policy: no such forward reason")
}

// CacheStatus is one member of the Cache-Status field (RFC 9211 §2): what one
// cache did.
type CacheStatus struct {
	Cache     string // its name, printable ASCII: "levee-fra1"
	Hit       bool   // answered from the store; Fwd is then FwdNone
	Fwd       Fwd
	FwdStatus int // status of the origin's answer; 0: left out
	Stored    bool
	Collapsed bool
	TTL       time.Duration // freshness left, may be negative; counts only with HasTTL
	HasTTL    bool
	Detail    string // such as Reason.String(); "": left out
}

// Append appends the member to dst, as in `levee-fra1; hit; ttl=27` or
// `levee-fra1; fwd=uri-miss; fwd-status=200; stored`. The ttl is rounded down.
// Names and details that are no token become a quoted string, with "?" for what
// such a string cannot hold. It allocates only when dst has no room.
func (s *CacheStatus) Append(dst []byte) []byte {
	dst = appendBareString(dst, s.Cache)
	if s.Hit {
		dst = append(dst, "; hit"...)
	}
	if s.Fwd != FwdNone {
		dst = append(dst, "; fwd="...)
		dst = append(dst, s.Fwd.String()...)
	}
	if s.FwdStatus != 0 {
		dst = append(dst, "; fwd-status="...)
		dst = strconv.AppendInt(dst, int64(s.FwdStatus), 10)
	}
	if s.HasTTL {
		ttl := int64(s.TTL / time.Second)
		if s.TTL < 0 && s.TTL%time.Second != 0 {
			ttl--
		}
		dst = append(dst, "; ttl="...)
		dst = strconv.AppendInt(dst, ttl, 10)
	}
	if s.Stored {
		dst = append(dst, "; stored"...)
	}
	if s.Collapsed {
		dst = append(dst, "; collapsed"...)
	}
	if s.Detail != "" {
		dst = append(dst, "; detail="...)
		dst = appendBareString(dst, s.Detail)
	}
	return dst
}

// appendBareString appends s as a token if it is one (RFC 9651 §3.3.4), else as
// a string (§3.3.3).
func appendBareString(dst []byte, s string) []byte {
	if isStructuredToken(s) {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c >= 0x7f:
			dst = append(dst, '?')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func isStructuredToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		first := c == '*' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !first && (i == 0 || c != ':' && c != '/' && !isTchar(c)) {
			return false
		}
	}
	return s != ""
}
