package edge

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"sync"
	"time"

	"levee/config"
)

// pace holds a body to the least rate that limits.body_rate asks for: so many
// bytes a second on average once limits.body_grace is over, not counting the
// time in which the other side of the edge was waited for.
type pace struct {
	start time.Time
	idle  time.Duration
	until time.Time // the deadline in force; zero = none
}

// next is the deadline for another n bytes after done ones; ok is false when
// the one in force still does, or there is no rate to hold.
func (p *pace) next(lim *config.Limits, done int64, n int) (t time.Time, ok bool) {
	if lim.BodyRate <= 0 {
		return t, false
	}
	if p.start.IsZero() {
		p.start = time.Now()
	}
	grace := time.Duration(lim.BodyGrace)
	t = p.start.Add(p.idle + grace + time.Duration(float64(done+int64(n))/float64(lim.BodyRate)*float64(time.Second)))
	if !t.After(p.until) {
		return t, false
	}
	// Setting a deadline costs more than precision is worth: the client is given
	// a little, so that not every piece needs one of its own.
	p.until = t.Add(min(time.Second, grace/8))
	return p.until, true
}

// deadline sets the write deadline for n bytes of an answer. The small answers
// of HTTP/1.1 go without: their write either fits the socket's buffer, or hangs
// and is found by the Server's watch over its connections.
func (p *pace) deadline(x *Exchange, n int) {
	if x.r.ProtoMajor == 1 && x.sent == 0 && n <= 16<<10 && p.idle == 0 {
		return
	}
	if t, ok := p.next(&x.state.limits, x.sent, n); ok {
		_ = http.NewResponseController(x.w).SetWriteDeadline(t)
	}
}

// pause comes before a wait for more to send. HTTP/2 in net/http resets a stream
// at its deadline whether a write waits or not, so a stream of events that was
// quiet for a while would be cut: it has no deadline while it waits.
func (p *pace) pause(x *Exchange) {
	if x.r.ProtoMajor == 2 && !p.until.IsZero() {
		p.until = time.Time{}
		_ = http.NewResponseController(x.w).SetWriteDeadline(time.Time{})
	}
}

// flush sends what is buffered, before the edge waits for more.
func (x *Exchange) flush() {
	x.pace.deadline(x, 0)
	err := http.NewResponseController(x.w).Flush()
	if err == nil && x.conn != nil && x.conn.gate != nil {
		err = x.conn.gate.Release()
	}
	if err != nil {
		x.cut(err)
	}
}

// upload is a request's body on its way to the origin, within the limits on
// size and rate. The origin's connection may read on when the request is over
// (it was answered early), so upload shares nothing with the Exchange.
type upload struct {
	body   io.ReadCloser
	limits *config.Limits
	timers bool // HTTP/2: a deadline acts also while nobody reads

	// Owned by who reads.
	read   int64
	pace   pace
	rested time.Time // when the last Read returned: since then the origin is waited for
	err    error     // sticky

	trailer http.Header   // the announced names; the values come at the body's end
	from    *http.Request // HTTP/3, whose server puts another map in the place of the first; else nil

	mu sync.Mutex
	w  http.ResponseWriter // for deadlines; nil once the request is over
}

// upload makes the body of the request to the origin, nil without one. Its
// finish must be called before the request ends.
func (x *Exchange) upload() *upload {
	if !x.hasBody() || x.r.Body == nil {
		return nil
	}
	u := &upload{body: x.r.Body, limits: &x.state.limits, timers: x.r.ProtoMajor == 2, trailer: x.r.Trailer, w: x.w}
	if x.r.ProtoMajor == 3 && len(x.r.Trailer) > 0 {
		u.from, u.trailer = x.r, maps.Clone(x.r.Trailer)
	}
	return u
}

// announced are the trailers that will follow the body.
func (u *upload) announced() http.Header {
	if u == nil {
		return nil
	}
	return u.trailer
}

// reader is u as a request's body: a nil pointer must not look like one.
func (u *upload) reader() io.ReadCloser {
	if u == nil {
		return nil
	}
	return u
}

// finish lets go of the request.
func (u *upload) finish() {
	if u != nil {
		u.mu.Lock()
		u.w = nil
		u.mu.Unlock()
	}
}

// errTooLarge is a request body beyond limits.body_bytes whose length was not
// announced.
type errTooLarge struct{}

func (errTooLarge) Error() string { return "the request's body is larger than limits.body_bytes" }

// errTooSlow is a request body that came slower than limits.body_rate.
type errTooSlow struct{}

func (errTooSlow) Error() string { return "the request's body came slower than limits.body_rate" }

func (u *upload) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if !u.rested.IsZero() {
		u.pace.idle += time.Since(u.rested)
	}
	limit := int64(u.limits.BodyBytes)
	if limit > 0 && int64(len(p)) > limit-u.read+1 {
		p = p[:limit-u.read+1] // one byte beyond shows that there is more
	}
	if t, ok := u.pace.next(u.limits, u.read, 0); ok {
		u.deadline(t)
	}
	n, err := u.body.Read(p)
	u.rested = time.Now()
	u.read += int64(n)
	if u.timers && !u.pace.until.IsZero() {
		u.pace.until = time.Time{}
		u.deadline(time.Time{})
	}
	switch {
	case limit > 0 && u.read > limit:
		n, u.err = 0, errTooLarge{}
	case errors.Is(err, os.ErrDeadlineExceeded):
		u.err = errTooSlow{}
	default:
		u.err = err
	}
	if u.err == io.EOF && u.from != nil {
		for name := range u.trailer {
			u.trailer[name] = u.from.Trailer[name]
		}
	}
	return n, u.err
}

func (u *upload) deadline(t time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.w != nil {
		_ = http.NewResponseController(u.w).SetReadDeadline(t)
	}
}

func (u *upload) Close() error { return u.body.Close() }
