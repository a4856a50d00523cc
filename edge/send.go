package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"levee/edge/byterange"
	"levee/edge/cache"
	"levee/edge/collapse"
	"levee/edge/policy"
)

// send answers with a stored response: f is the flight that brings it, nil for
// a hit. The client's conditionals and ranges are evaluated against it here
// (RFC 9110 §13.2, §14.2).
func (x *Exchange) send(st *cache.Stored, f *collapse.Flight, now time.Time) {
	h := x.w.Header()
	h["Content-Type"] = nil // where the origin states none, net/http must not guess one
	if f != nil && x.outcome != Revalidated {
		// Most of what is fetched is not asked for again: it gets its block with
		// its first hit.
		for name, value := range st.Header.All() {
			h[name] = append(h[name], value)
		}
	} else {
		b := st.Block()
		for i, name := range b.Names {
			h[name] = b.Values[i]
		}
	}
	if x.setAge(st, f, now) {
		h["Age"] = x.one(0, strconv.AppendInt(x.buf[:0], int64(x.age/time.Second), 10))
	}

	size := st.Body.Size()
	if x.conditional(st) {
		delete(h, "Content-Encoding")
		delete(h, "Content-Type")
		x.head(http.StatusNotModified, -1)
		return
	}
	if size < 0 || st.Status != http.StatusOK {
		x.sendWhole(st, size)
		return
	}
	if _, told := h["Accept-Ranges"]; !told {
		h["Accept-Ranges"] = acceptRanges
	}
	if lines := x.r.Header["Range"]; len(lines) > 0 && x.r.Method == http.MethodGet && x.ifRange(st) {
		field := strings.Join(lines, ",")
		if f != nil && x.rangeElsewhere(st, field, size) {
			return
		}
		ranges, err := byterange.Parse(field, size)
		switch {
		case errors.Is(err, byterange.ErrUnsatisfiable):
			delete(h, "Content-Encoding")
			h["Content-Range"] = []string{string(byterange.AppendUnsatisfied(nil, size))}
			x.fail(http.StatusRequestedRangeNotSatisfiable, "", "the range lies beyond the "+strconv.FormatInt(size, 10)+" bytes of it")
			return
		case err == nil:
			x.sendRanges(st, ranges, size)
			return
		}
	}
	x.sendWhole(st, size)
}

// setAge notes the age and the freshness left, and reports whether the answer
// states the age: what comes from the origin just now has none worth telling.
func (x *Exchange) setAge(st *cache.Stored, f *collapse.Flight, now time.Time) bool {
	if f == nil || x.outcome == Revalidated || !st.Life.Response.IsZero() && st.Life.InitialAge >= time.Second {
		x.age, x.ttl, x.hasAge = max(0, st.Life.Age(now)), st.Life.TTL(now), true
		return true
	}
	if x.stored {
		x.ttl, x.hasAge = st.Life.TTL(now), true
	}
	return false
}

var (
	acceptRanges = []string{"bytes"}
	noStore      = []string{"no-store"}
)

// one makes a field's line without allocating the slice: x holds it until the
// answer is written.
func (x *Exchange) one(i int, value []byte) []string {
	if x.r.ProtoMajor == 3 { // http3 writes the head after the handler has returned and x is another request's
		return []string{string(value)}
	}
	x.small[i] = string(value)
	return x.small[i : i+1 : i+1]
}

// conditional reports whether the client's validators are answered by 304.
func (x *Exchange) conditional(st *cache.Stored) bool {
	h := x.r.Header
	if st.Status != http.StatusOK || len(h["If-None-Match"]) == 0 && len(h["If-Modified-Since"]) == 0 {
		return false
	}
	return policy.NotModified(h, st.ETag, st.LastModified, st.Date)
}

func (x *Exchange) ifRange(st *cache.Stored) bool {
	lines := x.r.Header["If-Range"]
	return len(lines) == 0 || len(lines) == 1 && byterange.IfRange(lines[0], st.ETag, st.LastModified, st.Date)
}

// rangeElsewhere asks the origin for a range of what is not kept whole, rather
// than reading up to it through a window.
func (x *Exchange) rangeElsewhere(st *cache.Stored, field string, size int64) bool {
	if st.Body.Whole() {
		return false
	}
	if o, ok := byterange.ParseOpen(field); ok {
		if r, err := o.Resolve(size); err == nil && r.Off <= st.Body.Progress()+cache.ChunkSize {
			return false
		}
	}
	clear(x.w.Header())
	x.hasAge, x.stored = false, false
	x.pass()
	return true
}

// sendWhole sends all of it; size is -1 when it is not known yet.
func (x *Exchange) sendWhole(st *cache.Stored, size int64) {
	if size > 3<<10 && size <= inlineBody && x.conn != nil && x.conn.gate != nil {
		x.conn.gate.Hold() // until the connection is idle: see Server.newHTTP
	}
	x.head(st.Status, size)
	if x.r.Method == http.MethodHead || size == 0 || !bodyAllowed(st.Status) {
		return
	}
	if p, ok := st.Body.Small(); ok {
		x.write(p)
		return
	}
	x.copy(st, 0, size)
}

// bodyAllowed reports whether a status can have content (RFC 9110 §6.4.1).
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified && status >= 200
}

func (x *Exchange) sendRanges(st *cache.Stored, ranges []byterange.Range, size int64) {
	h := x.w.Header()
	if len(ranges) == 1 {
		r := ranges[0]
		h["Content-Range"] = []string{string(byterange.AppendContentRange(nil, r, size))}
		x.head(http.StatusPartialContent, r.Len())
		x.copy(st, r.Off, r.End)
		return
	}
	var random [16]byte
	copy(random[:], x.requestID())
	m := byterange.NewMultipart(random, h.Get("Content-Type"), size, ranges)
	h["Content-Type"] = []string{m.ContentType}
	x.head(http.StatusPartialContent, m.Length)
	for _, seg := range m.Segments {
		if seg.Literal != nil {
			x.write(seg.Literal)
		} else {
			x.copy(st, seg.Range.Off, seg.Range.End)
		}
	}
}

// head writes the head: the fields that every answer has, the rules' changes,
// and the length of the body, -1 when it is not known or there is none.
func (x *Exchange) head(status int, length int64) {
	h := x.w.Header()
	if length >= 0 && bodyAllowed(status) {
		h["Content-Length"] = x.one(1, strconv.AppendInt(x.buf[:0], length, 10))
	}
	line := x.cacheStatus(x.buf[:0])
	if upstream := h["Cache-Status"]; len(upstream) > 0 {
		h["Cache-Status"] = append(upstream[:len(upstream):len(upstream)], string(line)) // one entry per tier, ours last
	} else {
		h["Cache-Status"] = x.one(2, line)
	}
	if via := h["Via"]; len(via) > 0 {
		h["Via"] = after(via, x.h.viaLine)
	} else {
		h["Via"] = x.h.viaLine
	}
	if x.site != nil {
		if !x.site.forwardTags {
			delete(h, "Surrogate-Key")
			delete(h, "Cache-Tag")
		}
		if x.site.altSvc && x.scheme == "https" && x.r.ProtoMajor < 3 {
			if line := x.h.altSvc.Load(); line != nil {
				h["Alt-Svc"] = *line
			}
		}
		if x.site.serverTiming {
			h.Add("Server-Timing", "cdn-cache;desc="+x.outcome.String()+", edge;dur="+strconv.FormatFloat(float64(time.Since(x.arrived).Microseconds())/1000, 'f', 3, 64))
		}
		x.actions.Response.Apply(h)
		if x.own {
			h["Cache-Control"] = noStore // whatever a rule says: it means the origin's answers
		}
	}
	x.started, x.status = true, status
	x.ttfb = time.Since(x.arrived)
	x.w.WriteHeader(status)
}

// write sends bytes of the body. A client that is gone or too slow ends the
// request here.
func (x *Exchange) write(p []byte) {
	x.pace.deadline(x, len(p))
	n, err := x.w.Write(p)
	x.sent += int64(n)
	if err != nil {
		x.cut(err)
	}
}

// cut ends the answer with a protocol error: the connection of HTTP/1.1 is
// closed before the body is complete, a stream of HTTP/2 or 3 is reset. So no
// client takes what it has for the whole.
func (x *Exchange) cut(err error) {
	x.err = err
	panic(http.ErrAbortHandler)
}

// copy sends the bytes [off, end) of a body, end -1 for up to its end, as they
// arrive.
func (x *Exchange) copy(st *cache.Stored, off, end int64) {
	var r cache.Reader
	r.Open(st.Body, off, st.Body.Validator != "")
	defer r.Close()
	ctx := x.r.Context()
	for end < 0 || off < end {
		var waiting time.Time
		if !r.Ready() {
			if x.sent > 0 || end < 0 || end-off > inlineBody { // a small body comes with its head
				x.flush()
			}
			x.pace.pause(x)
			waiting = time.Now()
		}
		p, err := r.Next(ctx)
		if !waiting.IsZero() {
			x.pace.idle += time.Since(waiting)
		}
		if err != nil {
			x.ended(st, off, end, err)
			return
		}
		if end >= 0 && int64(len(p)) > end-off {
			p = p[:end-off]
		}
		x.write(p)
		off += int64(len(p))
	}
}

// ended deals with the end of a body at off: its own end, a window that has
// moved on, or the death of its fetch.
func (x *Exchange) ended(st *cache.Stored, off, end int64, err error) {
	switch {
	case err == io.EOF && (end < 0 || off == end):
		x.pace.deadline(x, 0) // for what the server still buffers
	case errors.Is(err, cache.ErrPassed) && st.Body.Validator != "":
		x.resume(st, off, end)
	case clientGone(x.r.Context(), err):
		x.gone(err)
	default:
		x.cut(err)
	}
}

// gone ends a request whose client has left.
func (x *Exchange) gone(err error) {
	if !x.started {
		x.outcome, x.status = Failed, statusClientGone
	}
	x.cut(err)
}

// statusClientGone is what the log shows for a client that left before it had
// an answer: nginx's 499, never sent.
const statusClientGone = 499

// resume fetches [off, end) of a body that we no longer hold from the origin,
// tied by its strong validator (RFC 9110 §13.1.5).
func (x *Exchange) resume(st *cache.Stored, off, end int64) {
	if end < 0 {
		end = st.Body.Size()
	}
	h := x.forwardHeader()
	for _, name := range [...]string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		delete(h, name)
	}
	if enc, ok := x.r.Header["Accept-Encoding"]; ok {
		h["Accept-Encoding"] = enc
	}
	last := ""
	if end >= 0 {
		last = strconv.FormatInt(end-1, 10)
	}
	h["Range"] = []string{"bytes=" + strconv.FormatInt(off, 10) + "-" + last}
	h["If-Range"] = []string{st.Body.Validator}
	req := x.originRequest(x.r.Context(), http.MethodGet, h, nil)
	resp, err := x.pool().RoundTrip(req)
	if err != nil {
		x.cut(err)
	}
	defer resp.Body.Close()
	got, size, ok := byterange.ParseContentRange(resp.Header.Get("Content-Range"))
	if resp.StatusCode != http.StatusPartialContent || !ok || got.Off != off || end >= 0 && (got.End != end || size >= 0 && size < end) ||
		strongETag(resp.Header) != st.Body.Validator {
		x.cut(errors.New("the response changed at the origin while it was being sent"))
	}
	x.stream(resp.Body, got.Len())
}

// originRequest makes a request to the origin for what the client asked for.
func (x *Exchange) originRequest(ctx context.Context, method string, h http.Header, body io.ReadCloser) *http.Request {
	req := &http.Request{
		Method: method, Host: x.host, Header: h, Body: body,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	req.URL = new(url.URL)
	x.originURL(req.URL)
	return req.WithContext(ctx)
}
