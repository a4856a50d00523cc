package edge

import (
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"levee/edge/cache"
	"levee/edge/collapse"
	"levee/edge/wire"
)

// sendPrepared is send for small answers of HTTP/1.1, in bytes: a hit has the
// lines of its head from the first hit, and only what changes is written anew.
// The answer has the fields and values that send gives. It reports false, and
// has done nothing, where more than that is asked for.
func (x *Exchange) sendPrepared(st *cache.Stored, f *collapse.Flight, now time.Time) bool {
	r := x.r
	if x.conn == nil || x.conn.gate == nil || r.ProtoMinor != 1 || r.Close || x.h.draining.Load() || st.Status != http.StatusOK ||
		x.actions.Response.Len() > 0 || x.site.serverTiming || x.site.forwardTags {
		return false
	}
	for _, name := range [...]string{"If-None-Match", "If-Modified-Since", "Range", "Expect"} {
		if len(r.Header[name]) > 0 {
			return false
		}
	}
	body, ok := st.Body.Small()
	if !ok {
		return false
	}
	var lines []byte
	if f == nil {
		lines = st.Lines(lines1)
	} else {
		lines = lines1(&st.Header) // most are not asked for again
	}
	if lines == nil || len(lines)+len(body) > wire.HoldMost-1<<10 {
		return false
	}
	aged := x.setAge(st, f, now)
	x.conn.gate.Answer(func(b []byte) []byte {
		b = append(b, "HTTP/1.1 200 OK\r\n"...)
		b = append(b, lines...)
		if aged {
			b = append(b, "Age: "...)
			b = strconv.AppendInt(b, int64(x.age/time.Second), 10)
			b = append(b, "\r\n"...)
		}
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\nCache-Status: "...)
		b = x.cacheStatus(b)
		b = append(b, "\r\nVia: "...)
		b = append(b, x.h.viaLine[0]...)
		if x.site.altSvc && x.scheme == "https" {
			if line := x.h.altSvc.Load(); line != nil {
				b = append(b, "\r\nAlt-Svc: "...)
				b = append(b, (*line)[0]...)
			}
		}
		b = append(b, "\r\n\r\n"...)
		if r.Method != http.MethodHead {
			b = append(b, body...)
		}
		return b
	})
	x.started, x.status = true, http.StatusOK
	x.ttfb = time.Since(x.arrived)
	if r.Method != http.MethodHead {
		x.sent = int64(len(body))
	}
	return true
}

// lines1 makes the lines of a stored header for HTTP/1.1, without the fields that
// each hit has its own of. It returns nil where one of these came from the
// origin, to which ours must be added, and for what must not be written as it
// is: net/http knows how to make it harmless.
func lines1(h *cache.Header) []byte {
	b := []byte{}
	ranges := false
	for name, value := range h.All() {
		switch name {
		case "Cache-Status", "Via", "Alt-Svc", "Server-Timing":
			return nil
		case "Surrogate-Key", "Cache-Tag":
			continue
		case "Accept-Ranges":
			ranges = true
		}
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, "\r\n"...)
	}
	if !ranges {
		b = append(b, "Accept-Ranges: bytes\r\n"...)
	}
	return b
}
