// Package collapse makes one fetch of any number of concurrent misses: a
// [Flight] is one fetch with many readers, a [Table] the flights of a node.
//
// Whoever asks first begins the flight and drives it in a goroutine of its own,
// away from its client; everyone else joins. All wait for the head, and get one
// of the numbered outcomes of [Flight.Outcome]; those that may read stream the
// body while it grows.
//
//	Join ──► wait for Head ──► Outcome ──► read the body ──► Leave
//	  │ first                                 ▲
//	  └─► fetch ──► Resolve ──► fill ─────────┘──► store ──► Done
package collapse

import (
	"context"
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"

	"levee/edge/cache"
	"levee/edge/cachekey"
	"levee/edge/policy"
	"levee/purge/journal"
)

// finishAlways is the size in bytes up to which a storable response is fetched
// to its end although nobody reads it any longer; larger ones only when at
// least the table's FinishFraction of them is here.
const finishAlways = 64 << 20

// Head is what a flight knows once the head of the response has arrived.
type Head struct {
	// Stored is the response; its body may still grow. It is set unless Err is,
	// also for a response that may not be stored.
	Stored *cache.Stored
	// Share says whether those who joined may read it.
	Share policy.Share
	// Reason is why it is not stored, ReasonNone if it will be.
	Reason policy.Reason
	Vary   []string // its Vary fields
	Norm   cachekey.Normalise
	// Status is the origin's, 304 where Stored was freshened, 0 without answer.
	Status int
	// Err is why there is no response.
	Err error
}

// Flight is one fetch.
type Flight struct {
	Began journal.Mark // where the journal stood when it began
	// Ctx ends when nobody needs the flight any longer, and with the table.
	Ctx context.Context

	table    *Table
	key      string
	cancel   context.CancelCauseFunc
	resolved chan struct{}
	head     Head // valid once resolved is closed

	mu    sync.Mutex
	users int  // who waits for the head or reads
	over  bool // the fetch has ended
	kept  bool // the response is in the store; valid once over
}

// Table holds the flights by key. The zero value is not usable: see [NewTable].
type Table struct {
	finishFraction float64
	ctx            context.Context
	seed           maphash.Seed
	shards         [64]shard

	flights, waiters atomic.Int64
}

type shard struct {
	mu sync.Mutex
	m  map[string]*Flight
}

// NewTable returns an empty table. ctx ends every flight. finishFraction, 0 to
// 1, is the share of a large response that must have arrived for its fetch to
// outlive its last reader.
func NewTable(ctx context.Context, finishFraction float64) *Table {
	t := &Table{finishFraction: finishFraction, ctx: ctx, seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].m = make(map[string]*Flight)
	}
	return t
}

// Flights is the number of flights under way, Waiters of those who wait for
// the head of one that they did not begin.
func (t *Table) Flights() int64 { return t.flights.Load() }
func (t *Table) Waiters() int64 { return t.waiters.Load() }

func (t *Table) shard(key string) *shard {
	return &t.shards[maphash.String(t.seed, key)%uint64(len(t.shards))]
}

// Join joins the flight of key, or begins one. Its outcomes:
//
//  1. flight, false: somebody else's; wait for its head.
//  2. flight, true: the caller's to drive: it must call Resolve and Done.
//  3. nil: stored reported true, under the lock that every flight must pass
//     after it has stored: look the key up again.
//
// The caller Leaves the flight when it is through with it, also as its driver's
// client; a driver without a client leaves at once.
func (t *Table) Join(key string, now journal.Mark, stored func() bool) (f *Flight, lead bool) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.m[key]; f != nil {
		f.mu.Lock()
		f.users++
		f.mu.Unlock()
		return f, false
	}
	if stored() {
		return nil, false
	}
	f = t.Alone(now)
	f.key = key
	s.m[key] = f
	return f, true
}

// Detach takes a flight out of the table, so that the next Join begins another;
// who has joined stays.
func (f *Flight) Detach() {
	s := f.table.shard(f.key)
	s.mu.Lock()
	if s.m[f.key] == f {
		delete(s.m, f.key)
	}
	s.mu.Unlock()
}

// Resolve tells everyone the head. It is called once.
func (f *Flight) Resolve(h Head) {
	f.head = h
	if h.Stored != nil {
		h.Stored.Body.OnShrink(f.check)
	}
	close(f.resolved)
	f.check()
}

// Fail ends a flight whose driver has met a fault, wherever it was.
func (f *Flight) Fail(err error) {
	select {
	case <-f.resolved:
	default:
		f.Resolve(Head{Err: err})
	}
	f.mu.Lock()
	over := f.over
	f.mu.Unlock()
	if !over {
		f.Done(false)
	}
}

// Done ends the flight: its response is in the store (kept), or will not be.
// What is not kept lives until the last user has left, who may still be about
// to open it.
func (f *Flight) Done(kept bool) {
	f.Detach()
	f.mu.Lock()
	f.over, f.kept = true, kept
	f.release()
	f.mu.Unlock()
	f.cancel(context.Canceled)
	f.table.flights.Add(-1)
}

// Leave ends the caller's interest, after it has closed its reader.
func (f *Flight) Leave() {
	f.mu.Lock()
	f.users--
	if f.users < 0 {
		panic("BUG: collapse: a flight was left more often than it was joined")
	}
	f.release()
	f.mu.Unlock()
	f.check()
}

// release gives the memory of a response that nobody keeps back. mu is held.
func (f *Flight) release() {
	if f.over && !f.kept && f.users == 0 && f.head.Stored != nil {
		f.head.Stored.Body.Orphan()
	}
}

// check gives the fetch up when nobody reads it and it is not worth finishing:
// a response that cannot be stored, or little of a large one. Before the head
// that is not known, and the fetch goes on.
func (f *Flight) check() {
	select {
	case <-f.resolved:
	default:
		return
	}
	f.mu.Lock()
	idle := f.users == 0 && !f.over
	f.mu.Unlock()
	if !idle || f.head.Stored == nil {
		return
	}
	body := f.head.Stored.Body
	if f.head.Reason == policy.ReasonNone && body.Whole() {
		size, here := body.Size(), body.Progress()
		if max(size, here) <= finishAlways || size > 0 && float64(here) >= f.table.finishFraction*float64(size) {
			return
		}
	}
	f.cancel(cache.ErrAbandoned)
}

// Wait waits for the head.
func (f *Flight) Wait(ctx context.Context) (*Head, error) {
	select {
	case <-f.resolved:
		return &f.head, nil
	default:
	}
	f.table.waiters.Add(1)
	defer f.table.waiters.Add(-1)
	select {
	case <-f.resolved:
		return &f.head, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Outcome is what one who joined gets.
type Outcome uint8

// The outcomes at the head, numbered as in DESIGN section 4.
const (
	Read         Outcome = iota + 1 // read Head.Stored
	Purged                          // purged since the reader arrived: all of these start one new flight
	OtherVariant                    // the response is another variant's: the flight of the reader's own
	Private                         // not shareable: alone, in parallel
	Failed                          // no response: stale-if-error, or the error
)

// Outcome decides for a reader with header h that arrived at a mark. The head
// must be known. The one that drives the flight reads what it fetched, whatever
// it is, unless that was purged after its own arrival.
func (f *Flight) Outcome(j *journal.Journal, h http.Header, arrived journal.Mark, lead bool) Outcome {
	hd := &f.head
	switch {
	case hd.Err != nil:
		return Failed
	case lead:
		return Read
	case hd.Share != policy.Shared:
		return Private
	case len(hd.Vary) > 0 && VariantOf(hd, h) != hd.Stored.Variant:
		return OtherVariant
	case j.Judge(hd.Stored.Subject, f.Began, arrived).Kind != journal.Usable:
		return Purged
	case !hd.Stored.Body.Joinable():
		return Private
	}
	return Read
}

// VariantOf is the key of the variant that h selects among responses like hd's.
func VariantOf(hd *Head, h http.Header) string {
	return string(cachekey.AppendVariant(nil, hd.Vary, h, hd.Norm))
}

// Alone begins a flight that nobody can join, at mark now. The caller drives it
// and leaves it as with Join.
func (t *Table) Alone(now journal.Mark) *Flight {
	f := &Flight{Began: now, table: t, resolved: make(chan struct{}), users: 1}
	f.Ctx, f.cancel = context.WithCancelCause(t.ctx)
	t.flights.Add(1)
	return f
}
