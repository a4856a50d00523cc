package accesslog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// linger is how long a first line waits for company before it is written: at 50,000 lines a second it turns 50,000
	// writes into 200, and nobody reads a log faster.
	linger = 5 * time.Millisecond
	// eager is the number of pending bytes at which the writer does not linger.
	eager = 64 << 10
	// lineBytes is what the byte bound of a Log reckons for a line. Usual lines have 300 to 600 bytes.
	lineBytes = 1 << 10
	// A writer that fails is tried again after minRetry, then twice as long each time, up to maxRetry.
	minRetry = 50 * time.Millisecond
	maxRetry = time.Second
	// lastTries is how often a failing writer is tried after Close.
	lastTries = 3
)

// Log is a queue of lines and the goroutine that writes them. All methods may be called concurrently.
type Log struct {
	encoders sync.Pool // *[]byte

	mu      sync.Mutex
	pending []byte // whole lines
	lines   int    // in pending
	closed  bool

	maxLines, maxBytes int           // constant
	wake               chan struct{} // one place: pending is no longer empty, or a reopened file or Close waits
	full               chan struct{} // one place: pending has reached eager
	closing            chan struct{}
	done               chan struct{} // closed when the writer has ended

	out    io.Writer // owned by the writer goroutine
	path   string    // of Open, "" when there is nothing to reopen; constant
	opened bool      // Open opened out: it is an *os.File that is ours to close; constant
	next   atomic.Pointer[os.File]

	written, dropped, failures atomic.Uint64
}

// New makes a Log over w with room for capacity lines (at least 1; a line is reckoned as 1 KiB for the bound on bytes). The
// Log is w's only user until Close has returned nil, and does not close it.
func New(w io.Writer, capacity int) *Log {
	l := newLog(capacity)
	l.out = w
	go l.write()
	return l
}

func newLog(capacity int) *Log {
	capacity = max(capacity, 1)
	return &Log{
		encoders: sync.Pool{New: func() any { b := make([]byte, 0, 2*lineBytes); return &b }},
		maxLines: capacity,
		maxBytes: max(capacity*lineBytes, 256<<10), // room for a few of the longest lines at any capacity
		wake:     make(chan struct{}, 1),
		full:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
	}
}

// Put queues the line of r, or drops and counts it: the queue is full, or the Log is closed. It never waits for the file.
func (l *Log) Put(r *Record) {
	line := l.encoders.Get().(*[]byte)
	*line = r.AppendJSON((*line)[:0])
	l.put(*line)
	l.encoders.Put(line)
}

func (l *Log) put(line []byte) {
	l.mu.Lock()
	before := len(l.pending)
	if l.closed || l.lines >= l.maxLines || before+len(line) > l.maxBytes {
		l.mu.Unlock()
		l.dropped.Add(1)
		return
	}
	l.pending = append(l.pending, line...)
	l.lines++
	after := len(l.pending)
	l.mu.Unlock()
	if before == 0 {
		signal(l.wake)
	}
	if before < eager && after >= eager {
		signal(l.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Lines is the number of lines written whole so far.
func (l *Log) Lines() uint64 { return l.written.Load() }

// Dropped is the number of lines that are lost: put while the queue was full, after Close, or left over when the writer
// still failed at Close.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Failures is the number of writes that failed. None of them lost a line: each is tried again.
func (l *Log) Failures() uint64 { return l.failures.Load() }

// Close writes what is queued, closes the file if Open opened one, and ends the goroutine. Later Puts drop. It waits until
// that is done or ctx ends; in the latter case it gives an error with ctx's cause, and the goroutine ends as soon as the
// Write that holds it returns. A second Close waits likewise.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("access log: lines are still unwritten"), context.Cause(ctx))
	}
}

// write is the writer goroutine: swap pending for an empty buffer, write it out, again.
func (l *Log) write() {
	defer close(l.done)
	defer l.closeFile()
	var batch []byte
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
			timer.Reset(linger)
			select {
			case <-timer.C:
			case <-l.full:
			case <-l.closing:
			}
		case <-l.closing:
		}
		l.adopt()
		var n int
		var last bool
		l.mu.Lock()
		batch, l.pending = l.pending, batch[:0]
		n, l.lines = l.lines, 0
		last = l.closed
		l.mu.Unlock()
		if len(batch) > 0 {
			l.flush(batch, n, timer)
		}
		if last {
			return
		}
		if cap(batch) > l.maxBytes/4 && cap(batch) > 4*eager {
			batch = nil // a burst's buffer is not kept
		}
	}
}

// flush writes one batch of n lines, however often it takes. A Write that took a part is continued where it stopped, so
// that no line is written twice.
func (l *Log) flush(batch []byte, n int, timer *time.Timer) {
	wait := minRetry
	for tries := 0; ; {
		k, _ := l.out.Write(batch) // what was not taken is what failed, whatever the error
		whole := bytes.Count(batch[:k], []byte{'\n'})
		l.written.Add(uint64(whole))
		n -= whole
		if batch = batch[k:]; len(batch) == 0 {
			return
		}
		l.failures.Add(1)
		if k > 0 {
			wait = minRetry
		}
		closing := false
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.closing:
			closing = true
		}
		if closing {
			if tries++; tries >= lastTries {
				l.dropped.Add(uint64(n))
				return
			}
			timer.Reset(minRetry)
			<-timer.C
		}
		wait = min(2*wait, maxRetry)
		l.adopt() // the new file may be on a disk that has room
	}
}
