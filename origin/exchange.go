package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"
)

// maxInformational is how many 1xx responses may come before the response (RFC 9110 §15.2 has no bound; without one a
// member can keep an exchange alive for ever).
const maxInformational = 20

// exchange is one try of one request at one member, from the connection to the end of the body. It is one allocation that
// holds the trace, the watch and both bodies.
//
// Its waits are timed by one timer for the whole of it, not one per wait: each wait notes when it is over in send or recv,
// and the timer, when it fires, looks whether one of them has passed and otherwise sets itself to the next. A read of
// the body so costs two atomic stores and a look at the clock.
type exchange struct {
	pool   *Pool
	r      *http.Request // the caller's
	member *member
	start  time.Time // of RoundTrip
	cancel context.CancelCauseFunc
	timer  atomic.Pointer[time.Timer] // nil when nothing is timed
	trace  httptrace.ClientTrace

	// Instants in nanoseconds since start; 0 = no wait.
	send    atomic.Int64 // until the head is there: the connection, sending, waiting for the response
	recv    atomic.Int64 // a Read of the response's body
	stopped atomic.Bool  // the timer must not be set again

	connected atomic.Bool           // a connection was given to the request: from here on something may have been sent
	answered  atomic.Bool           // a byte of the response came
	headed    atomic.Bool           // the head is there
	over      atomic.Bool           // the total time is over
	fault     atomic.Pointer[Error] // why we ended the exchange, if we did

	informational int // 1xx seen; of net/http's reading goroutine until the head is there

	upload upload
	body   body
}

func newExchange(p *Pool, r *http.Request, m *member, start time.Time) *exchange {
	return &exchange{pool: p, r: r, member: m, start: start}
}

// untraced hides the trace of the context under it. httptrace.WithClientTrace would compose the two by reflection, call
// both, and drop the errors of ours.
type untraced struct{ context.Context }

func (u untraced) Value(key any) any {
	v := u.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// context makes the context of the try: the caller's, cancelled when a wait is over, with our trace in front of theirs.
func (x *exchange) context() context.Context {
	ctx, cancel := context.WithCancelCause(x.r.Context())
	x.cancel = cancel
	if caller := httptrace.ContextClientTrace(ctx); caller != nil {
		x.trace = *caller
		ctx = untraced{ctx}
	}
	gotConn, wrote, first, info := x.trace.GotConn, x.trace.WroteRequest, x.trace.GotFirstResponseByte, x.trace.Got1xxResponse
	x.trace.GotConn = func(c httptrace.GotConnInfo) {
		x.connected.Store(true)
		x.await(&x.send, x.pool.time.firstByte)
		if gotConn != nil {
			gotConn(c)
		}
	}
	if x.r.Body != nil && x.r.Body != http.NoBody { // without one GotConn's instant is as good
		x.trace.WroteRequest = func(w httptrace.WroteRequestInfo) {
			x.upload.writing.Store(false)
			x.await(&x.send, x.pool.time.firstByte)
			if wrote != nil {
				wrote(w)
			}
		}
	}
	x.trace.GotFirstResponseByte = func() {
		x.answered.Store(true)
		if first != nil {
			first()
		}
	}
	x.trace.Got1xxResponse = func(code int, h textproto.MIMEHeader) error {
		x.answered.Store(true) // HTTP/2 may tell of a 1xx before it tells of a first byte
		if x.informational++; x.informational > maxInformational {
			return x.expire(&Error{ProtocolError, x.member.name, fmt.Errorf("more than %d informational responses", maxInformational)})
		}
		if code == http.StatusEarlyHints && info != nil {
			if err := info(code, h); err != nil {
				return x.expire(&Error{InternalError, x.member.name, fmt.Errorf("handing on 103 Early Hints: %w", err)})
			}
		}
		return nil
	}
	return httptrace.WithClientTrace(ctx, &x.trace)
}

// now is nanoseconds since start, never 0.
func (x *exchange) now() int64 { return max(1, int64(time.Since(x.start))) }

// await says that what happens from here on must be over within d; 0 = no bound.
func (x *exchange) await(wait *atomic.Int64, d time.Duration) {
	if d > 0 {
		wait.Store(x.now() + int64(d))
	} else {
		wait.Store(0)
	}
}

// begin starts the watch. The wait for a connection ends with the dialer's own limits, and a little later with this one,
// which also covers a wait for one of MaxConnections.
func (x *exchange) begin() {
	t := &x.pool.time
	var first int64
	if t.connect > 0 && t.tls > 0 {
		d := t.connect + t.tls + 100*time.Millisecond
		x.await(&x.send, d)
		first = int64(d)
	}
	for _, d := range [...]time.Duration{t.firstByte, t.betweenBytes, t.total} {
		if d > 0 && (first == 0 || int64(d) < first) {
			first = int64(d)
		}
	}
	if first > 0 {
		x.timer.Store(time.AfterFunc(time.Duration(first), x.tick))
	}
}

// tick is the timer. It ends the exchange when a wait is over, else it sets itself to the soonest end.
func (x *exchange) tick() {
	now := x.now()
	t := &x.pool.time
	if t.total > 0 && now >= int64(t.total) {
		x.over.Store(true)
		x.expire(&Error{ResponseTimeout, x.member.name, fmt.Errorf("not finished within the total time of %v", t.total)})
		return
	}
	send, recv := x.send.Load(), x.recv.Load()
	if x.headed.Load() {
		send = 0
	}
	switch {
	case recv != 0 && now >= recv:
		x.expire(&Error{ResponseTimeout, x.member.name, fmt.Errorf("no more of the body came for %v", t.betweenBytes)})
		return
	case send != 0 && now >= send:
		x.expire(x.late())
		return
	}
	// A wait that has not begun yet cannot be over sooner than the shortest limit from now. So the timer always stands at or
	// before the end of any wait, and no wait needs to set it.
	next := int64(1<<62 - 1)
	for _, d := range [...]time.Duration{t.firstByte, t.betweenBytes} {
		if d > 0 {
			next = min(next, now+int64(d))
		}
	}
	for _, at := range [...]int64{send, recv, int64(t.total)} {
		if at > 0 {
			next = min(next, at)
		}
	}
	if next == 1<<62-1 || x.stopped.Load() {
		return
	}
	timer := x.timer.Load()
	if timer == nil { // fired before begin had noted it
		time.AfterFunc(time.Millisecond, x.tick)
		return
	}
	timer.Reset(time.Duration(next - now))
	if x.stopped.Load() { // end came in between
		timer.Stop()
	}
}

// late names the wait before the head that is over.
func (x *exchange) late() *Error {
	t := &x.pool.time
	switch {
	case !x.connected.Load() && x.pool.limited:
		return &Error{ConnectionLimit, x.member.name, fmt.Errorf("no connection came free within %v; all of max_connections are in use",
			t.connect+t.tls)}
	case !x.connected.Load():
		return &Error{ConnectionTimeout, x.member.name, fmt.Errorf("no connection within %v", t.connect+t.tls)}
	case x.upload.writing.Load():
		return &Error{WriteTimeout, x.member.name, fmt.Errorf("took nothing of the request's body for %v", t.betweenBytes)}
	}
	return &Error{ResponseTimeout, x.member.name, fmt.Errorf("no response within %v", t.firstByte)}
}

// expire ends the exchange from our side, with e as what RoundTrip or the body gives. HTTP/2 would lose an error that a
// hook of the trace gives, and both protocols one that a context is cancelled with.
func (x *exchange) expire(e *Error) error {
	if x.fault.CompareAndSwap(nil, e) {
		x.cancel(e)
	}
	return e
}

// end stops the timer.
func (x *exchange) end() {
	x.stopped.Store(true)
	if timer := x.timer.Load(); timer != nil {
		timer.Stop()
	}
}

// head goes over from the head to the body.
func (x *exchange) head(resp *http.Response) error {
	x.headed.Store(true)
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		x.end() // the two ends decide how long a tunnel lasts
		resp.Body = &tunnel{resp.Body.(io.ReadWriteCloser), x}
		return nil
	case resp.Body == http.NoBody:
		x.end()
		// The connection is free already; nobody is going to close this body for sure.
		if x.upload.x == nil {
			x.cancel(nil)
		}
		return nil
	}
	x.body.rc, x.body.x = resp.Body, x
	resp.Body = &x.body
	return nil
}

// body is a response's body under watch.
type body struct {
	rc  io.ReadCloser
	x   *exchange
	err error // sticky, of Read's goroutine
}

// Read is io.Reader's. A wait for bytes that lasts longer than BetweenBytes ends the exchange with an *Error of
// ResponseTimeout. Time in which nobody reads does not count.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	x := b.x
	x.await(&x.recv, x.pool.time.betweenBytes)
	n, err := b.rc.Read(p)
	x.recv.Store(0)
	if err == nil {
		return n, nil
	}
	x.end()
	if err != io.EOF {
		err = x.failure(err, bodyKind)
	}
	b.err = err
	return n, err
}

// Close is io.Closer's. It may be called while a Read waits, which then ends.
func (b *body) Close() error {
	b.x.end()
	err := b.rc.Close()
	b.x.cancel(nil)
	return err
}

// tunnel is the body of a 101: both ways of the connection.
type tunnel struct {
	io.ReadWriteCloser
	x *exchange
}

// Close closes the connection.
func (t *tunnel) Close() error {
	err := t.ReadWriteCloser.Close()
	t.x.cancel(nil)
	return err
}

// upload is the request's body on its way. It tells time in which the member does not take bytes, which is watched, from
// time in which the client does not send any, which is the caller's to watch; and a failure of the client's from one of the
// member's.
type upload struct {
	x       *exchange // nil: the request has no body
	read    atomic.Bool
	closed  atomic.Bool
	writing atomic.Bool // net/http holds bytes that it has not written yet
	err     atomic.Pointer[error]
}

func (u *upload) Read(p []byte) (int, error) {
	u.read.Store(true)
	u.writing.Store(false)
	u.x.send.Store(0)
	n, err := u.x.r.Body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		u.err.Store(&err)
	}
	u.writing.Store(true)
	u.x.await(&u.x.send, u.x.pool.time.betweenBytes)
	return n, err
}

// Close closes the client's body, unless the next try may need it: net/http also closes the body of a request that was never
// sent.
func (u *upload) Close() error {
	if !u.x.connected.Load() && !u.read.Load() {
		return nil
	}
	return u.close()
}

// close closes the client's body, once.
func (u *upload) close() error {
	if u.x == nil || u.closed.Swap(true) {
		return nil
	}
	return u.x.r.Body.Close()
}

func (u *upload) touched() bool { return u.read.Load() }

func (u *upload) failed() error {
	if err := u.err.Load(); err != nil {
		return *err
	}
	return nil
}
