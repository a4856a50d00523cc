package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
	"sync/atomic"
)

const (
	// ChunkSize is the size in bytes of a body's pieces in RAM: ordinary memory
	// of the garbage collector, never reused. A reader may go on with bytes that
	// the body has let go.
	ChunkSize = 64 << 10
	// windowSize is how far in bytes a body that is not kept whole may be read
	// ahead of its readers.
	windowSize = 1 << 20
)

// Errors of a reader. Any other error is how the body died: the bytes that were
// read are right, and what follows them is not known.
var (
	// ErrPassed: the bytes at this offset have fallen out of the window, or were
	// let go to keep memory within its bound. Fetch the rest as a range, if the
	// body has a validator.
	ErrPassed = errors.New("cache: the body's window has passed this offset")
	// ErrAbandoned: the fill was given up because nobody needed it any longer.
	ErrAbandoned = errors.New("cache: the fill of the body was abandoned")
)

// Body is a growing or finished representation. A flight's body and a hit's
// body are one type: one goroutine fills it, any number of readers follow, woken
// by events. A finished body that was kept whole never changes and is read
// without a lock.
//
// A body that is not kept whole has a window: bytes leave RAM when the readers
// that need them have passed, and the fill waits for these. Which readers it
// waits for says [Reader.Open].
type Body struct {
	// Validator is the strong entity tag of the representation, or "": then it
	// can never be resumed nor put together from parts (RFC 9110 §8.8.1).
	Validator string

	size   int64 // announced length in bytes, -1 = unknown until it is finished
	budget *Budget
	final  atomic.Pointer[[]extent] // all of it, once it is here whole
	length atomic.Int64             // valid with final
	pins   atomic.Int32             // open readers of a body larger than a chunk
	gone   atomic.Bool              // let go while readers read: they get ErrPassed
	shrunk func()                   // see OnShrink; set before the fill begins

	sealed             []extent  // what final points to
	firstExt, firstEnd [1]extent // room for ext and sealed of a body of one chunk

	mu      sync.Mutex
	ext     []extent // sorted by offset, without holes from base to end
	tail    []byte   // free rest of the last chunk
	base    int64    // first offset still held
	end     int64    // first offset not yet here
	whole   bool     // keep every byte
	done    bool
	err     error
	held    int64         // bytes taken from the budget
	readers []*Reader     // of a growing body
	wake    chan struct{} // closed when bytes arrive or the body ends; nil when nobody waits
	room    chan struct{} // closed when a reader has moved or left; nil when the fill does not wait
	charged bool          // the RAM tier pays for it now
	orphan  bool          // nobody will store it: give the bytes back with the last reader
}

type extent struct {
	off int64
	ram []byte
}

// NewBody returns a body to be filled. size is the announced length in bytes or
// -1. With whole every byte is kept, as long as the budget has room; without,
// only a window is.
func NewBody(size int64, validator string, whole bool, budget *Budget) *Body {
	b := &Body{Validator: validator}
	b.init(size, whole, budget)
	return b
}

func (b *Body) init(size int64, whole bool, budget *Budget) {
	b.size, b.whole, b.budget = size, whole, budget
	b.ext = b.firstExt[:0]
}

// Size is the length in bytes of the whole representation, -1 while it is not
// known.
func (b *Body) Size() int64 {
	if b.final.Load() != nil {
		return b.length.Load()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size
}

// Whole reports whether every byte that has arrived is kept: what a body must
// be to be stored.
func (b *Body) Whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.whole && !b.gone.Load()
}

// OnShrink has f called by the fill when a body that was to be kept whole no
// longer is. It is said before the fill begins, and does nothing to a finished
// body, which others may share.
func (b *Body) OnShrink(f func()) {
	if b.final.Load() == nil {
		b.shrunk = f
	}
}

// Joinable reports whether one who comes now can read it from the beginning to
// the end: nothing has left the window, or the rest can be fetched as a range.
func (b *Body) Joinable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.gone.Load() && (b.base == 0 || b.Validator != "")
}

// Progress is the number of bytes that have arrived.
func (b *Body) Progress() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end
}

// Small returns a finished body of at most one chunk as one slice, for callers
// that write it in one go; ok is false for every other body. The bytes are
// shared and must not be changed.
func (b *Body) Small() (p []byte, ok bool) {
	ext := b.final.Load()
	if ext == nil {
		return nil, false
	}
	switch len(*ext) {
	case 0:
		return nil, true
	case 1:
		return (*ext)[0].ram, true
	}
	return nil, false
}

// Fill reads src to its end into the body and finishes it. It returns nil, or
// how the body died: the error of src, a length other than the announced one,
// or ctx's. limit bounds the bytes that are kept whole: a body of unknown length
// that grows beyond it goes on with a window.
//
// ended, which may be nil, is called with the result before any reader learns of
// the end: who has got a whole response finds it stored, and who has been cut
// off finds nothing of it.
func (b *Body) Fill(ctx context.Context, src io.Reader, limit int64, ended func(error)) error {
	last, err := b.fill(ctx, src, limit)
	b.finish(last, err, ended)
	return err
}

// fill returns the number of bytes that have been read and not committed: the
// last ones of an announced length, held back until the source has ended.
func (b *Body) fill(ctx context.Context, src io.Reader, limit int64) (last int, err error) {
	var beyond [1]byte
	for {
		buf := beyond[:]
		if b.size < 0 || b.end+int64(last) < b.size { // end is ours alone to change
			if buf, err = b.space(ctx, limit); err != nil {
				return 0, err
			}
		}
		n, err := src.Read(buf)
		switch end := b.end + int64(last+n); {
		case n > 0 && b.size >= 0 && end > b.size:
			return 0, fmt.Errorf("the body is longer than the %d bytes announced", b.size)
		case n > 0 && end == b.size:
			last = n
		case n > 0:
			b.commit(n)
		}
		switch {
		case err == io.EOF && b.size >= 0 && b.end+int64(last) < b.size:
			return 0, fmt.Errorf("the body ended after %d of %d bytes: %w", b.end, b.size, io.ErrUnexpectedEOF)
		case err == io.EOF:
			return last, nil
		case err != nil:
			return 0, err
		}
	}
}

// space returns free memory to read into, waiting while the window is full.
func (b *Body) space(ctx context.Context, limit int64) ([]byte, error) {
	b.mu.Lock()
	for {
		if b.whole && b.end > limit {
			b.shrink()
		}
		if len(b.tail) > 0 {
			tail := b.tail
			b.mu.Unlock()
			return tail, nil
		}
		n := b.nextChunk()
		if !b.whole {
			b.slide()
		}
		switch inWindow := b.whole || b.end-b.base < windowSize; {
		case inWindow && b.budget.Take(n):
			b.held += n
			return b.grow(n), nil
		case b.whole:
			b.shrink() // no room to keep it; it still streams
			continue
		case b.base == b.end:
			// Without any room one chunk of each body still moves.
			b.budget.Force(n)
			b.held += n
			return b.grow(n), nil
		}
		room := make(chan struct{})
		b.room = room
		b.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		b.mu.Lock()
	}
}

// shrink goes on with a window. mu is held, and let go for the callback.
func (b *Body) shrink() {
	b.whole = false
	if b.shrunk != nil {
		b.mu.Unlock()
		b.shrunk()
		b.mu.Lock()
	}
}

// nextChunk is the size of the next chunk: exact where the length is known,
// else growing, so that a small response costs little.
func (b *Body) nextChunk() int64 {
	if b.size >= 0 {
		return min(ChunkSize, b.size-b.end)
	}
	switch {
	case b.end < 4<<10:
		return 4 << 10
	case b.end < 32<<10:
		return 16 << 10
	}
	return ChunkSize
}

// grow appends a chunk and unlocks. The caller has booked its bytes.
func (b *Body) grow(n int64) []byte {
	chunk := make([]byte, n)
	b.ext = append(b.ext, extent{b.end, chunk[:0]})
	b.tail = chunk
	b.mu.Unlock()
	return chunk
}

// slide lets go of the chunks that no reader needs. mu is held.
func (b *Body) slide() {
	need := b.needed()
	n := 0
	for n < len(b.ext) && b.ext[n].off+int64(len(b.ext[n].ram)) <= need {
		c := int64(cap(b.ext[n].ram))
		b.held -= c
		b.budget.Give(c)
		b.base = b.ext[n].off + int64(len(b.ext[n].ram))
		n++
	}
	if n > 0 {
		b.ext = append([]extent(nil), b.ext[n:]...)
		b.firstExt = [1]extent{}
	}
}

// needed is the offset before which nothing has to be held: where the slowest
// reader is that cannot fetch the rest by itself; without such a one where the
// fastest is; without readers the beginning, for who comes.
func (b *Body) needed() int64 {
	slowest, fastest := int64(-1), int64(0)
	for _, r := range b.readers {
		fastest = max(fastest, r.pos)
		if !r.resumable && (slowest < 0 || r.pos < slowest) {
			slowest = r.pos
		}
	}
	if slowest >= 0 {
		return slowest
	}
	return fastest
}

// commit publishes n bytes of the last space.
func (b *Body) commit(n int) {
	b.mu.Lock()
	b.publish(n)
	b.mu.Unlock()
}

// publish lets readers see n bytes more. mu is held.
func (b *Body) publish(n int) {
	if n > 0 {
		if len(b.ext) > 0 { // else let go already: evicted as soon as it was stored
			last := &b.ext[len(b.ext)-1]
			last.ram = last.ram[:len(last.ram)+n]
		}
		b.tail = b.tail[n:]
		b.end += int64(n)
	}
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

// finish ends the fill, with the last bytes of a body that ended well. Only one
// that was kept whole becomes final.
func (b *Body) finish(last int, err error, ended func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	whole := err == nil && b.whole
	var ext *[]extent
	if whole {
		ext = b.seal(last)
	}
	if ended != nil {
		b.mu.Unlock()
		ended(err)
		b.mu.Lock()
	}
	if whole && !b.gone.Load() {
		// Not before ended: who opens a final body reads it to its end, and its
		// next request has to find it stored.
		b.final.Store(ext)
	}
	b.publish(last)
	b.done, b.err = true, err
	if err == nil {
		b.size = b.end
	}
	b.tail = nil
	b.shrunk = nil // a stored body must not hold on to its flight
}

// seal makes the body ready to be stored and returns what will be final: the
// readers that follow the fill see its last bytes later.
func (b *Body) seal(last int) *[]extent {
	b.trim(last)
	ext := &b.sealed
	if len(b.ext) > 1 {
		ext = new([]extent) // apart, so that it can be let go under its readers
	}
	*ext = append(b.firstEnd[:0], b.ext...)
	if last > 0 {
		e := &(*ext)[len(b.ext)-1]
		e.ram = e.ram[:len(e.ram)+last]
	}
	b.size = b.end + int64(last) // what the store charges for
	b.length.Store(b.size)
	b.pins.Add(int32(len(b.readers)))
	for _, r := range b.readers {
		r.pinned = true
	}
	return ext
}

// trim gives the unused end of the last chunk back, beyond last bytes to come,
// where that is worth a copy.
func (b *Body) trim(last int) {
	if len(b.ext) == 0 {
		return
	}
	e := &b.ext[len(b.ext)-1]
	used := len(e.ram) + last
	spare := cap(e.ram) - used
	if used == 0 {
		b.ext = b.ext[:len(b.ext)-1]
	} else if spare < 512 || spare < cap(e.ram)/8 {
		return
	} else {
		e.ram = append(make([]byte, 0, used), e.ram[:used]...)[:len(e.ram)]
		b.tail = e.ram[len(e.ram):used]
	}
	b.held -= int64(spare)
	b.budget.Give(int64(spare))
}

// Charged tells the body that the RAM tier pays for its bytes from now on.
func (b *Body) Charged() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charged, b.orphan = true, false
	if b.held > 0 {
		b.budget.Give(b.held)
		b.held = 0
	}
}

// Orphan tells the body that nobody stores it: its bytes are given back when
// its last reader closes.
func (b *Body) Orphan() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orphan = true
	b.giveBack()
}

func (b *Body) giveBack() {
	if (b.orphan || b.gone.Load()) && b.done && len(b.readers) == 0 && b.pins.Load() == 0 && b.held > 0 {
		b.budget.Give(b.held)
		b.held = 0
		// The bytes stay with the body: a small one may be all here, and its fetch
		// over, before the request that asked for it opens its reader.
	}
}

// Evicted tells a finished body that the RAM tier has let it go. Readers of a
// large body still hold it: its bytes go on the budget, and where that has no
// room the body lets its bytes go, whoever reads.
func (b *Body) Evicted() {
	if b.budget == nil || b.pins.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.charged || b.held > 0 || b.pins.Load() == 0 {
		return
	}
	b.charged = false
	if n := b.length.Load(); b.budget.Take(n) {
		b.held = n
		b.orphan = true
		return
	}
	b.gone.Store(true)
	b.whole = false
	b.final.Store(nil)
	b.ext, b.firstExt = nil, [1]extent{}
	b.base = b.end
}

// Reader reads a body from an offset on. The zero value is closed; a Reader is
// used by one goroutine and must be closed.
type Reader struct {
	b         *Body
	pos       int64 // the fill may let go of what lies before; guarded by b.mu while the body grows
	next      int64 // after the bytes that were handed out last
	resumable bool
	listed    bool // in b.readers
	pinned    bool // counted in b.pins
}

// Open begins to read b at off. A resumable reader can fetch the rest by itself
// when it falls behind (by a range of the same strong validator), so a fill
// with a window does not wait for it while another reader goes on.
func (r *Reader) Open(b *Body, off int64, resumable bool) {
	*r = Reader{b: b, pos: off, next: off, resumable: resumable}
	if b.final.Load() != nil {
		if b.length.Load() > ChunkSize {
			r.pinned = true
			b.pins.Add(1)
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done && b.final.Load() != nil {
		r.pinned = true
		b.pins.Add(1)
		return
	}
	if b.done && b.orphan && b.held == 0 {
		for _, e := range b.ext { // given back already: booked again for as long as it is read
			b.held += int64(cap(e.ram))
		}
		b.budget.Force(b.held)
	}
	r.listed = true
	b.readers = append(b.readers, r)
}

// Ready reports whether Next would return at once.
func (r *Reader) Ready() bool {
	b := r.b
	if !r.listed {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done || b.end > r.next || r.next < b.base
}

// Next returns the bytes that follow, without copying them: they are shared and
// must not be changed. It waits while the fill is behind. At the end of a whole
// body it returns io.EOF; see the errors above for the rest.
func (r *Reader) Next(ctx context.Context) ([]byte, error) {
	b := r.b
	if ext := b.final.Load(); ext != nil && !r.listed {
		if r.next >= b.length.Load() {
			return nil, io.EOF
		}
		p := find(*ext, r.next)
		r.next += int64(len(p))
		return p, nil
	}
	b.mu.Lock()
	for {
		if r.pos != r.next { // what was handed out has been used
			r.pos = r.next
			b.moved()
		}
		switch {
		case r.next < b.base || b.gone.Load():
			b.mu.Unlock()
			return nil, ErrPassed
		case r.next < b.end:
			p := find(b.ext, r.next)
			r.next += int64(len(p))
			b.mu.Unlock()
			return p, nil
		case b.done && b.err != nil:
			err := b.err
			b.mu.Unlock()
			return nil, err
		case b.done:
			b.mu.Unlock()
			return nil, io.EOF
		}
		if b.wake == nil {
			b.wake = make(chan struct{})
		}
		wake := b.wake
		b.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		b.mu.Lock()
	}
}

// moved lets a fill that waits for room look again. mu is held.
func (b *Body) moved() {
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

// find returns the bytes from off to the end of their extent. off is held.
func find(ext []extent, off int64) []byte {
	i := 0
	if len(ext) > 1 {
		i = sort.Search(len(ext), func(i int) bool { return ext[i].off > off }) - 1
	}
	return ext[i].ram[off-ext[i].off:]
}

// Close ends the reading. It is safe on a closed Reader.
func (r *Reader) Close() {
	b := r.b
	if b == nil {
		return
	}
	r.b = nil
	if !r.listed {
		if r.pinned && b.pins.Add(-1) == 0 && b.budget != nil {
			b.mu.Lock()
			b.giveBack()
			b.mu.Unlock()
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.readers {
		if o == r {
			b.readers = append(b.readers[:i], b.readers[i+1:]...)
			break
		}
	}
	if r.pinned {
		b.pins.Add(-1)
	}
	b.moved()
	b.giveBack()
}

// Readers is the number of readers that follow the fill.
func (b *Body) Readers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.readers)
}
