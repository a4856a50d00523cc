package wire

import (
	"bytes"
	"net/http"
	"strings"
)

// body is the framing of a request's body (RFC 9112 §6).
type body struct {
	length  int64 // bytes still to come
	chunked bool
	chunks  chunks
}

func (b *body) open() bool { return b.length > 0 || b.chunked }

// tchar is the bytes of a token (RFC 9110 §5.6.2).
var tchar = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0 && c < 0x80
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tchar[c] {
			return false
		}
	}
	return len(b) > 0
}

func bad(why string) *Refusal { return &Refusal{http.StatusBadRequest, why} }

// checkHead reads a whole head, from the request line to the empty line, and
// returns the framing of the body that follows.
func checkHead(head []byte, lim *Limits) (b body, r *Refusal) {
	if len(head) > lim.HeadBytes {
		return b, &Refusal{http.StatusRequestHeaderFieldsTooLarge, "the request's head is larger than limits.header_bytes"}
	}
	end := bytes.Index(head, crlf)
	target, http10, r := checkRequestLine(head[:end], lim)
	if r != nil {
		return b, r
	}
	var host []byte
	hosts, lengths, codings, fields := 0, 0, 0, 0
	for rest := head[end+2:]; len(rest) > 2; {
		end := bytes.Index(rest, crlf)
		name, value, r := checkField(rest[:end])
		if r != nil {
			return b, r
		}
		rest = rest[end+2:]
		if fields++; fields > lim.Fields {
			return b, &Refusal{http.StatusRequestHeaderFieldsTooLarge, "the request has more fields than limits.header_count"}
		}
		switch {
		case len(name) == 4 && equalFold(name, "host"):
			hosts++
			host = value
		case len(name) == 14 && equalFold(name, "content-length"):
			if lengths++; lengths > 1 {
				return b, bad("more than one Content-Length")
			}
			n, ok := decimal(value)
			if !ok {
				return b, bad("the Content-Length is not a number")
			}
			b.length = n
		case len(name) == 17 && equalFold(name, "transfer-encoding"):
			if codings++; codings > 1 {
				return b, bad("more than one Transfer-Encoding")
			}
			if !equalFold(value, "chunked") {
				return b, &Refusal{http.StatusNotImplemented, "a Transfer-Encoding other than chunked"}
			}
			b.chunked = true
		}
	}
	switch {
	case hosts > 1:
		return b, bad("more than one Host")
	case hosts == 0 && !http10:
		return b, bad("no Host")
	case b.chunked && http10:
		return b, bad("a Transfer-Encoding in HTTP/1.0")
	case b.chunked && lengths > 0:
		// RFC 9112 §6.3 allows an intermediary to take the chunks and must then
		// close; the one before us may have taken the length.
		return b, bad("a Content-Length beside a Transfer-Encoding")
	}
	if authority, absolute := authorityOf(target); absolute && hosts == 1 && !equalFold(authority, string(host)) {
		return b, bad("the target names another host than Host does")
	}
	return b, nil
}

var crlf = []byte("\r\n")

func checkRequestLine(line []byte, lim *Limits) (target []byte, http10 bool, r *Refusal) {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || !isToken(method) {
		return nil, false, bad("the request line does not begin with a method and one space")
	}
	target, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok || len(target) == 0 {
		return nil, false, bad("the request line is not METHOD TARGET VERSION with one space between each")
	}
	if len(target) > lim.TargetBytes {
		return nil, false, &Refusal{http.StatusRequestURITooLong, "the request target is longer than limits.url_bytes"}
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return nil, false, bad("the request target has a byte that must be escaped")
		}
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		http10 = true
	default:
		if bytes.HasPrefix(version, []byte("HTTP/")) && len(version) == 8 && version[6] == '.' {
			return nil, false, &Refusal{http.StatusHTTPVersionNotSupported, "only HTTP/1.1 and HTTP/1.0 are spoken here"}
		}
		return nil, false, bad("the request line does not end with a version of HTTP")
	}
	return target, http10, nil
}

// checkField reads one line of a head (RFC 9112 §5).
func checkField(line []byte) (name, value []byte, r *Refusal) {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return nil, nil, bad("a folded line (RFC 9112 section 5.2)")
	}
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil, nil, bad("a line of the head has no colon")
	}
	name = line[:i]
	if !isToken(name) {
		return nil, nil, bad("a field name has a byte that is not of a token, or a space before its colon")
	}
	value = trim(line[i+1:])
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, bad("a field value has a control byte or a bare line end")
		}
	}
	return name, value, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares ASCII without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		d := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if 'A' <= d && d <= 'Z' {
			d += 'a' - 'A'
		}
		if c != d {
			return false
		}
	}
	return true
}

// decimal is 1*DIGIT of at most 18 digits: what fits every reader's integer.
func decimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// authorityOf is the authority of an absolute-form target (RFC 9112 §3.2.2).
func authorityOf(target []byte) (authority []byte, absolute bool) {
	if len(target) == 0 || target[0] == '/' {
		return nil, false
	}
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) > len(scheme) && equalFold(target[:len(scheme)], scheme) {
			rest := target[len(scheme):]
			if i := bytes.IndexAny(rest, "/?"); i >= 0 {
				rest = rest[:i]
			}
			return rest, true
		}
	}
	return nil, false
}
