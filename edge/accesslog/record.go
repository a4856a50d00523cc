package accesslog

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// Record is one answered request. Put reads it before it returns and keeps nothing of it.
//
// Its line is one JSON object with the members in the order of the fields here, named as their comments say. The ones
// marked "if any" are left out when empty or 0.
type Record struct {
	Time         time.Time     // time: when the request arrived; RFC 3339, UTC, milliseconds
	ID           string        // id: of the request, the one that error pages show
	Site         string        // site: its name in the config; "" when no site was found
	Client       netip.Addr    // client: address, without zone; "" when invalid
	Method       string        // method
	Scheme       string        // scheme: http | https
	Host         string        // host
	Path         string        // path: as the client sent it
	Query        string        // query: without "?", if any
	Proto        string        // proto: HTTP/1.1 | HTTP/2.0 | HTTP/3.0
	Status       int           // status
	Outcome      string        // outcome: hit, miss, … (RFC 9211)
	Reason       string        // reason: why it was not stored or not served from cache, if any
	Bytes        int64         // bytes: of the body, to the client
	OriginBytes  int64         // origin_bytes: of the body, from the origin, if any
	OriginStatus int           // origin_status: if any
	Duration     time.Duration // duration_ms: from Time to the last byte; three decimals
	TTFB         time.Duration // ttfb_ms: from Time to the head; three decimals
	Age          time.Duration // age_s: whole seconds, if HasAge
	TTL          time.Duration // ttl_s: whole seconds, negative when stale, if HasTTL
	HasAge       bool
	HasTTL       bool
	TLS          string // tls: 1.2 | 1.3, if any
	Referer      string // referer: if any
	UserAgent    string // user_agent: if any
	Error        string // error: if any
}

// maxField bounds what one field may bring into the log, in bytes: a client chooses most of them. What is cut ends in "…".
const maxField = 8 << 10

// AppendJSON appends the line of r, with its newline. The result is valid UTF-8 and one line, whatever r holds.
func (r *Record) AppendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, r.Time)
	b = append(b, '"')
	b = appendField(b, `,"id":`, r.ID)
	b = appendField(b, `,"site":`, r.Site)
	b = append(b, `,"client":"`...)
	if r.Client.IsValid() {
		b = r.Client.Unmap().WithZone("").AppendTo(b)
	}
	b = append(b, '"')
	b = appendField(b, `,"method":`, r.Method)
	b = appendField(b, `,"scheme":`, r.Scheme)
	b = appendField(b, `,"host":`, r.Host)
	b = appendField(b, `,"path":`, r.Path)
	b = appendAny(b, `,"query":`, r.Query)
	b = appendField(b, `,"proto":`, r.Proto)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = appendField(b, `,"outcome":`, r.Outcome)
	b = appendAny(b, `,"reason":`, r.Reason)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, r.Bytes, 10)
	if r.OriginBytes != 0 {
		b = append(b, `,"origin_bytes":`...)
		b = strconv.AppendInt(b, r.OriginBytes, 10)
	}
	if r.OriginStatus != 0 {
		b = append(b, `,"origin_status":`...)
		b = strconv.AppendInt(b, int64(r.OriginStatus), 10)
	}
	b = append(b, `,"duration_ms":`...)
	b = appendMillis(b, r.Duration)
	b = append(b, `,"ttfb_ms":`...)
	b = appendMillis(b, r.TTFB)
	if r.HasAge {
		b = append(b, `,"age_s":`...)
		b = strconv.AppendInt(b, int64(r.Age/time.Second), 10)
	}
	if r.HasTTL {
		b = append(b, `,"ttl_s":`...)
		b = strconv.AppendInt(b, int64(r.TTL/time.Second), 10)
	}
	b = appendAny(b, `,"tls":`, r.TLS)
	b = appendAny(b, `,"referer":`, r.Referer)
	b = appendAny(b, `,"user_agent":`, r.UserAgent)
	b = appendAny(b, `,"error":`, r.Error)
	return append(b, '}', '\n')
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	return appendString(b, value)
}

func appendAny(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendField(b, name, value)
}

// appendTime writes 2006-01-02T15:04:05.000Z. time.AppendFormat took 117 ns for it, this 53.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		year, month, day = 0, 1, 1 // RFC 3339 has four digits
	}
	hour, minute, second := t.Clock()
	b = appendPadded(b, year, 1000)
	b = append(b, '-')
	b = appendPadded(b, int(month), 10)
	b = append(b, '-')
	b = appendPadded(b, day, 10)
	b = append(b, 'T')
	b = appendPadded(b, hour, 10)
	b = append(b, ':')
	b = appendPadded(b, minute, 10)
	b = append(b, ':')
	b = appendPadded(b, second, 10)
	b = append(b, '.')
	b = appendPadded(b, t.Nanosecond()/1e6, 100)
	return append(b, 'Z')
}

// appendPadded writes n with as many digits as top, a power of ten, has.
func appendPadded(b []byte, n, top int) []byte {
	for ; top > 0; top /= 10 {
		b = append(b, byte('0'+n/top%10))
	}
	return b
}

// appendMillis writes d in milliseconds with three decimals, rounded down: 1234567 ns is 1.234.
func appendMillis(b []byte, d time.Duration) []byte {
	if d < 0 {
		d = 0 // a wall clock that was set back between two instants
	}
	us := int64(d / time.Microsecond)
	b = strconv.AppendInt(b, us/1000, 10)
	b = append(b, '.')
	return appendPadded(b, int(us%1000), 100)
}

const hexDigits = "0123456789abcdef"

// appendString writes s as a JSON string (RFC 8259 §7). What is not UTF-8 becomes U+FFFD; control characters (also DEL
// and C1, which steer terminals) and the line separators U+2028, U+2029 are escaped.
func appendString(b []byte, s string) []byte {
	cut := len(s) > maxField
	if cut {
		s = s[:maxField]
		for i := 0; i < utf8.UTFMax && len(s) > 0; i++ { // not in the middle of a character
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, s[from:i]...)
			b = append(b, `\ufffd`...)
		case r <= 0x9f || r == 0x2028 || r == 0x2029:
			b = append(b, s[from:i]...)
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		default:
			i += n
			continue
		}
		i += n
		from = i
	}
	b = append(b, s[from:]...)
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}
