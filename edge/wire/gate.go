// Package wire reads and writes the bytes of connections where net/http is too
// lenient, and later where it is too slow.
//
// A [Gate] stands between an HTTP/1.1 connection and net/http. It reads every
// request head itself, strictly by RFC 9112, follows the framing of the body to
// find the next head, and hands on the very bytes of what is clean. What two
// readers could take for two different things it does not hand on at all
// (request smuggling: net/http accepts a Content-Length beside
// Transfer-Encoding, bare line feeds and folded lines).
package wire

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Refusal is why a head was not handed on.
type Refusal struct {
	Status int
	Why    string
}

// Limits of a Gate.
type Limits struct {
	HeadBytes   int           // of a head with its empty line; beyond: 431
	TargetBytes int           // of a request target; beyond: 414
	Fields      int           // lines of a head; beyond: 431
	HeadTimeout time.Duration // from a head's first byte to its last; 0 = none
}

// Gate is a net.Conn for net/http. In place of a head that it refuses it hands
// on one of its own, which closes the connection after its answer; the server
// finds the reason in Refused. So the answer comes after those of the requests
// before it, and is logged and counted like any other.
type Gate struct {
	net.Conn
	lim     *Limits
	refused atomic.Pointer[Refusal]
	opaque  atomic.Bool

	// The reader's own: net/http reads from one goroutine at a time.
	buf   []byte // read from the connection, not handed on yet
	clean int    // how much of buf may be handed on
	body  body   // of the request whose head was handed on last
	ended error  // after this, nothing more is read

	mu       sync.Mutex // guards what follows, up to answered; kept while writing
	held     *[]byte    // bytes that wait for the end of an answer
	holding  bool
	answered bool // held is the whole answer: what net/http writes is let fall

	deadline atomic.Int64 // for reads, as it is wanted: Unix nanoseconds; 0 = none
	reading  atomic.Bool  // a read of the connection is under way, or about to be
	settling sync.Mutex   // guards settled
	settled  int64        // the deadline that the connection has
	writeSet atomic.Bool  // the connection has a deadline for writes

	headSince time.Time // when the head that is being read began
	blank     bool      // an empty line before it has been left out
}

// substitute is what net/http gets in place of a refused head.
const substitute = "GET / HTTP/1.1\r\nHost: " + SubstituteHost + "\r\nConnection: close\r\n\r\n"

var errChunk = errors.New("wire: the request's chunked body is malformed")

// NewGate puts a gate before c, whose client must not have been read from yet.
func NewGate(c net.Conn, lim *Limits) *Gate { return &Gate{Conn: c, lim: lim} }

// Refused is the reason for which the last head was not handed on, nil as long
// as all were clean.
func (g *Gate) Refused() *Refusal { return g.refused.Load() }

// Opaque lets all further bytes through unread: the connection is not HTTP any
// longer. It is called before the client is told so.
func (g *Gate) Opaque() { g.opaque.Store(true) }

// SetReadDeadline is net.Conn's. net/http sets six deadlines for each request, of
// which a read that waits for the network meets one or none: they are told to
// the connection only when it is read from, or while it is.
func (g *Gate) SetReadDeadline(t time.Time) error {
	g.deadline.Store(nanos(t))
	if !g.reading.Load() {
		return nil // the next read looks; see settle for the race
	}
	return g.settle()
}

// nanos is t as Unix nanoseconds, 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixNano(), 1)
}

// settle tells the connection the deadline that is wanted. A reader stores that
// it reads before it looks at the deadline, and a setter stores the deadline
// before it looks whether someone reads: so one of the two sees the other.
func (g *Gate) settle() error {
	g.settling.Lock()
	defer g.settling.Unlock()
	want := g.deadline.Load()
	if want == g.settled || g.settled > 0 && want > g.settled && want-g.settled < int64(slack) {
		return nil
	}
	g.settled = want
	if want == 0 {
		return g.Conn.SetReadDeadline(time.Time{})
	}
	return g.Conn.SetReadDeadline(time.Unix(0, want))
}

// slack is by how much a deadline may come early: one that was just set for the
// request before need not be set again.
const slack = 100 * time.Millisecond

// read reads from the connection under the deadline that is wanted.
func (g *Gate) read(p []byte) (int, error) {
	g.reading.Store(true)
	defer g.reading.Store(false)
	if want := g.deadline.Load(); want > 0 && want < time.Now().UnixNano() {
		return 0, os.ErrDeadlineExceeded
	}
	if err := g.settle(); err != nil {
		return 0, err
	}
	return g.Conn.Read(p)
}

// SetDeadline is net.Conn's.
func (g *Gate) SetDeadline(t time.Time) error {
	return errors.Join(g.SetReadDeadline(t), g.SetWriteDeadline(t))
}

// SetWriteDeadline is net.Conn's. To clear what is not set costs nothing: net/http
// does it after each request.
func (g *Gate) SetWriteDeadline(t time.Time) error {
	set := !t.IsZero()
	if !set && !g.writeSet.Load() {
		return nil
	}
	g.writeSet.Store(set)
	return g.Conn.SetWriteDeadline(t)
}

var heldBuffers = sync.Pool{New: func() any { b := make([]byte, 0, HoldMost); return &b }}

// Hold has the writes of one answer wait for each other: net/http's buffer has 4
// KiB, and what is a little larger would take two system calls. Release ends it;
// so does everything that ends the answer or the connection, and an answer that
// is larger than expected.
func (g *Gate) Hold() {
	g.mu.Lock()
	g.holding = true
	g.mu.Unlock()
}

// HoldMost is the largest answer in bytes that is held.
const HoldMost = 32 << 10

// Answer has what f appends be the whole answer to the request that is being
// served. The handler must then return without having touched its ResponseWriter:
// the empty answer that net/http writes for it is let fall, and Release sends
// ours. It must be as persistent as net/http's: only for requests that leave the
// connection open. f may append up to HoldMost bytes.
func (g *Gate) Answer(f func(b []byte) []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = heldBuffers.Get().(*[]byte)
	}
	*g.held = f(*g.held)
	g.holding, g.answered = true, true
}

// Release sends what is held.
func (g *Gate) Release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.release()
}

func (g *Gate) release() error {
	g.holding, g.answered = false, false
	if g.held == nil {
		return nil
	}
	b := g.held
	g.held = nil
	_, err := g.Conn.Write(*b)
	*b = (*b)[:0]
	heldBuffers.Put(b)
	return err
}

// Write sends p, or keeps it until Release.
func (g *Gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answered {
		return len(p), nil
	}
	if g.holding {
		if g.held == nil {
			g.held = heldBuffers.Get().(*[]byte)
		}
		if len(*g.held)+len(p) <= HoldMost {
			*g.held = append(*g.held, p...)
			return len(p), nil
		}
		if err := g.release(); err != nil {
			return 0, err
		}
	}
	return g.Conn.Write(p)
}

// closeTime is how long a Close waits for a client to take what is held.
const closeTime = time.Second

// Close sends what is held and closes. It does not wait for a write that is
// under way, which it ends.
func (g *Gate) Close() error {
	if g.mu.TryLock() {
		if g.held != nil {
			_ = g.SetWriteDeadline(time.Now().Add(closeTime))
			_ = g.release() // the connection ends either way
		}
		g.mu.Unlock()
	}
	return g.Conn.Close()
}

// CloseWrite sends what is held and ends the sending side, where the connection
// below can.
func (g *Gate) CloseWrite() error {
	if err := g.Release(); err != nil {
		return err
	}
	if c, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SubstituteHost is the Host of the request that stands for a refused one.
const SubstituteHost = "refused.invalid"

// Read hands on clean bytes. A body whose length is announced goes straight to
// p; heads and chunked bodies pass through the gate's buffer.
func (g *Gate) Read(p []byte) (int, error) {
	for {
		switch {
		case g.opaque.Load():
			if len(g.buf) > 0 {
				return g.handOn(p, len(g.buf)), nil
			}
			return g.read(p)
		case g.clean > 0:
			return g.handOn(p, g.clean), nil
		case g.ended != nil:
			return 0, g.ended
		case g.body.length > 0 && len(g.buf) == 0:
			n, err := g.read(p[:min(int64(len(p)), g.body.length)])
			g.body.length -= int64(n)
			return n, err
		}
		if g.advance() {
			continue
		}
		if err := g.fill(); err != nil {
			return 0, err
		}
	}
}

func (g *Gate) handOn(p []byte, n int) int {
	n = copy(p, g.buf[:n])
	g.clean = max(0, g.clean-n)
	if n == len(g.buf) {
		g.buf = g.buf[:0]
	} else {
		g.buf = g.buf[:copy(g.buf, g.buf[n:])]
	}
	return n
}

// fill reads more from the connection. While a head has begun and is not
// complete the time for it runs, whatever deadline net/http has set: that one
// waits for the first bytes that we hand on.
func (g *Gate) fill() error {
	if len(g.buf) > 0 && !g.body.open() && g.lim.HeadTimeout > 0 {
		if g.headSince.IsZero() {
			g.headSince = time.Now()
		}
		until := nanos(g.headSince.Add(g.lim.HeadTimeout))
		if set := g.deadline.Load(); set == 0 || until < set {
			// Should net/http set another meanwhile, that one stays.
			if g.deadline.CompareAndSwap(set, until) {
				defer g.deadline.CompareAndSwap(until, set)
			}
		}
	}
	if cap(g.buf)-len(g.buf) < 512 {
		g.buf = append(make([]byte, 0, max(4096, 2*cap(g.buf))), g.buf...)
	}
	n, err := g.read(g.buf[len(g.buf):cap(g.buf)])
	g.buf = g.buf[:len(g.buf)+n]
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// advance finds clean bytes in the buffer. It reports false when it needs more.
func (g *Gate) advance() bool {
	if g.body.length > 0 {
		g.clean = int(min(g.body.length, int64(len(g.buf))))
		g.body.length -= int64(g.clean)
		return g.clean > 0
	}
	if g.body.chunked {
		n, done, ok := g.body.chunks.scan(g.buf, g.lim.HeadBytes)
		if !ok {
			g.ended = errChunk
			return true
		}
		g.clean = n
		g.body.chunked = !done
		return n > 0
	}
	// One empty line before a head is left out (RFC 9112 §2.2).
	if !g.blank && bytes.HasPrefix(g.buf, crlf) {
		g.buf = g.buf[:copy(g.buf, g.buf[2:])]
		g.blank = true
	}
	end := bytes.Index(g.buf, []byte("\r\n\r\n"))
	if end < 0 {
		if r := g.partial(); r != nil {
			g.refuse(r)
			return true
		}
		return false
	}
	g.headSince, g.blank = time.Time{}, false
	next, r := checkHead(g.buf[:end+4], g.lim)
	if r != nil {
		g.refuse(r)
		return true
	}
	g.body = next
	g.clean = end + 4
	return true
}

// partial refuses a head that cannot become a good one: too large, or with a
// line that has no carriage return, for whose end we would wait in vain.
func (g *Gate) partial() *Refusal {
	for i, c := range g.buf {
		if c == '\n' && (i == 0 || g.buf[i-1] != '\r') {
			return &Refusal{http.StatusBadRequest, "a line of the head ends without a carriage return"}
		}
	}
	if len(g.buf) <= g.lim.HeadBytes {
		return nil
	}
	if bytes.IndexByte(g.buf, '\n') < 0 || bytes.IndexByte(g.buf, '\n') > g.lim.TargetBytes+64 {
		return &Refusal{http.StatusRequestURITooLong, "the request line is too long"}
	}
	return &Refusal{http.StatusRequestHeaderFieldsTooLarge, "the request's head is larger than limits.header_bytes"}
}

func (g *Gate) refuse(r *Refusal) {
	g.refused.Store(r)
	g.buf = append(g.buf[:0], substitute...)
	g.clean = len(g.buf)
	g.ended = net.ErrClosed
}
