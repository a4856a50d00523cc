package edge

import (
	"io"
	"net/http"
	"time"
)

// pace holds a body to the least rate that limits.body_rate asks for: so many
// bytes a second on average once limits.body_grace is over, not counting the
// time in which the other side of the edge was waited for.
type pace struct {
	start time.Time
	idle  time.Duration
	until time.Time // the deadline in force
}

// next is the deadline for another n bytes after done ones; ok is false when
// the one in force still does, or there is no rate to hold.
func (p *pace) next(x *Exchange, done int64, n int) (t time.Time, ok bool) {
	lim := &x.state.limits
	if lim.BodyRate <= 0 {
		return t, false
	}
	if p.start.IsZero() {
		p.start = time.Now()
	}
	t = p.start.Add(p.idle + time.Duration(lim.BodyGrace) + time.Duration(float64(done+int64(n))/float64(lim.BodyRate)*float64(time.Second)))
	if t.Sub(p.until) < time.Second {
		return t, false // a deadline costs more than a second's precision is worth
	}
	p.until = t
	return t, true
}

// deadline sets the write deadline for n bytes of an answer. The small answers
// of HTTP/1.1 go without: their write either fits the socket's buffer, or hangs
// and is found by the Server's watch over its connections.
func (p *pace) deadline(x *Exchange, n int) {
	if x.r.ProtoMajor == 1 && x.sent == 0 && n <= 16<<10 && p.idle == 0 {
		return
	}
	if t, ok := p.next(x, x.sent, n); ok {
		_ = http.NewResponseController(x.w).SetWriteDeadline(t)
	}
}

// flush sends what is buffered, before the edge waits for more.
func (x *Exchange) flush() {
	x.pace.deadline(x, 0)
	if err := http.NewResponseController(x.w).Flush(); err != nil {
		x.cut(err)
	}
}

// upload is a request's body on its way to the origin, within the limits on
// size and rate.
type upload struct {
	x    *Exchange
	body io.ReadCloser
	read int64
	pace pace
}

// errTooLarge is a request body beyond limits.body_bytes whose length was not
// announced.
type errTooLarge struct{}

func (errTooLarge) Error() string { return "the request's body is larger than limits.body_bytes" }

func (u *upload) Read(p []byte) (int, error) {
	max := int64(u.x.state.limits.BodyBytes)
	if max > 0 && int64(len(p)) > max-u.read+1 {
		p = p[:max-u.read+1] // one byte beyond shows that there is more
	}
	if t, ok := u.pace.next(u.x, u.read, 0); ok {
		_ = http.NewResponseController(u.x.w).SetReadDeadline(t)
	}
	n, err := u.body.Read(p)
	u.read += int64(n)
	if max > 0 && u.read > max {
		return 0, errTooLarge{}
	}
	return n, err
}

func (u *upload) Close() error { return u.body.Close() }
