// Package ram is the RAM tier: a window of what was stored last in front of a
// ristretto cache.
//
// ristretto is fast and has a good admission policy (TinyLFU), but it is no
// source of truth: a Set is applied later by one worker, is dropped in a burst,
// and of two Sets of a new key the older value can win. The tier therefore
// Sets each value once, and only after it has left the window:
//
//	Charge ──► window (strong, FIFO, found by the very next Get)
//	             │ pushed out by newer ones
//	             ▼
//	           settling (still found) ──► ristretto admits or rejects ──► out of the window
//
// The window is also what W-TinyLFU asks for: new values get a little time to
// collect the hits by which ristretto will judge them. A value that grows goes
// back to the window, so ristretto never sees an update (whose cost it would
// let overshoot).
//
// Values are pointers to things that change inside; the tier never copies them.
package ram

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2"
)

// Hash is the 128-bit hash of a key under a secret seed. The caller compares
// full keys on what it finds.
type Hash [16]byte

const (
	nshards = 256
	// overhead is what ristretto's maps, the window's map and the slot keep
	// beside a value (172 B measured in ristretto's maps alone).
	overhead = 256
	// Of the bytes one part in windowShare is the window's, one in slackShare is
	// for what ristretto has been given but has not made room for yet and for
	// the one value by which the window may overflow, the rest is ristretto's.
	windowShare = 8
	slackShare  = 8
)

// Options of a tier.
type Options[V any] struct {
	Bytes   int64   // bound on the sum of costs, window included, at least 1 MiB; a cost above a 16th of it may overshoot for a moment
	Objects int64   // expected number of values, for the frequency sketch; 0 = Bytes / 8 KiB
	OnEvict func(V) // v has left the tier; must neither block nor call the tier; may be nil
}

// Tier is safe for use by many goroutines. It is never closed: ristretto
// panics on a Set that races with Close, and the process that owns the tier
// ends with it.
type Tier[V comparable] struct {
	main    *ristretto.Cache[string, *slot[V]]
	onEvict func(V)
	shards  [nshards]shard[V]
	kick    chan struct{}

	// mu guards the order of the window. Lock order: mu, then a shard's.
	mu        sync.Mutex
	windowMax int64
	slackMax  int64
	unsettled int64  // bytes of settling
	fifo      []Hash // oldest first, from head on
	head      int
	settling  []*slot[V]

	window atomic.Int64 // bytes charged to slots in the window
	inMain atomic.Int64 // bytes charged to slots in ristretto
	count  atomic.Int64 // values in the tier
	drops  atomic.Int64 // values that ristretto refused or dropped
}

type shard[V comparable] struct {
	mu    sync.RWMutex
	slots map[Hash]*slot[V] // the window, and what settles
	_     [64]byte          // a line of the CPU's cache for each shard's lock
}

// slot is a value with its books. v and hash never change; the shard's mutex
// guards the rest but inMain, which is taken by compare-and-swap by whoever
// books the value out of ristretto: its worker, or Charge.
type slot[V comparable] struct {
	hash     Hash
	v        V
	cost     int64 // charged to the window; 0 while it is not
	mainCost int64 // charged to ristretto; set before inMain is
	inMain   atomic.Bool
	queued   bool // in fifo
	settling bool // Set was called, ristretto's answer is awaited
}

// New starts a tier.
func New[V comparable](o Options[V]) (*Tier[V], error) {
	objects := o.Objects
	if objects == 0 {
		objects = o.Bytes / (8 << 10)
	}
	t := &Tier[V]{onEvict: o.OnEvict, windowMax: o.Bytes / windowShare, slackMax: o.Bytes / slackShare / 2, kick: make(chan struct{}, 1)}
	if t.onEvict == nil {
		t.onEvict = func(V) {}
	}
	for i := range t.shards {
		t.shards[i].slots = make(map[Hash]*slot[V])
	}
	leave := func(it *ristretto.Item[*slot[V]]) {
		// The value is nil where a Del overtook the eviction.
		if it.Value != nil && t.bookOut(it.Value) {
			t.count.Add(-1)
			t.onEvict(it.Value.v)
		}
	}
	var err error
	t.main, err = ristretto.NewCache(&ristretto.Config[string, *slot[V]]{
		NumCounters:        min(max(10*objects, 1<<14), 10<<20),
		MaxCost:            o.Bytes - o.Bytes/windowShare - o.Bytes/slackShare,
		BufferItems:        64,
		IgnoreInternalCost: true,
		KeyToHash:          split,
		OnEvict:            leave,
		OnReject: func(it *ristretto.Item[*slot[V]]) {
			t.drops.Add(1)
			leave(it)
		},
	})
	if err != nil {
		return nil, err
	}
	go t.settle()
	return t, nil
}

// str views a hash as the string that ristretto wants for a key; it keeps only
// what split makes of it.
func str(h *Hash) string { return unsafe.String(&h[0], len(h)) }

func split(k string) (a, b uint64) {
	for i := range 8 {
		a |= uint64(k[i]) << (8 * i)
		b |= uint64(k[8+i]) << (8 * i)
	}
	return a, b
}

func (t *Tier[V]) shard(h *Hash) *shard[V] { return &t.shards[h[15]] }

// Bytes is the sum of what the values in the tier cost.
func (t *Tier[V]) Bytes() int64 { return t.window.Load() + t.inMain.Load() }

// Len is the number of values in the tier.
func (t *Tier[V]) Len() int64 { return t.count.Load() }

// Drops counts the values that ristretto did not take.
func (t *Tier[V]) Drops() int64 { return t.drops.Load() }

// Get finds a value. It counts as a use for ristretto's admission whether or
// not the value is there yet. h is a pointer because ristretto makes it escape:
// a caller that keeps its hash on the heap pays nothing.
func (t *Tier[V]) Get(h *Hash) (v V, ok bool) {
	if sl, found := t.main.Get(str(h)); found {
		return sl.v, true
	}
	s := t.shard(h)
	s.mu.RLock()
	sl := s.slots[*h]
	s.mu.RUnlock()
	if sl == nil {
		// Between the two looks it may have moved on into ristretto.
		if sl, ok = t.main.Get(str(h)); !ok {
			return v, false
		}
	}
	return sl.v, true
}

// peek looks into ristretto without counting a use, which would make values
// that are only ever written look wanted.
func (t *Tier[V]) peek(h *Hash) (*slot[V], bool) {
	if _, ok := t.main.GetTTL(str(h)); !ok {
		return nil, false
	}
	return t.main.Get(str(h))
}

// GetOrPut returns the value of h, or puts the one that mk makes, under the
// lock of the key's shard: a key has one value. It costs the overhead until it
// is charged.
func (t *Tier[V]) GetOrPut(h Hash, mk func() V) V {
	s := t.shard(&h)
	s.mu.Lock()
	if sl := s.slots[h]; sl != nil {
		s.mu.Unlock()
		return sl.v
	}
	if sl, ok := t.peek(&h); ok {
		s.mu.Unlock()
		return sl.v
	}
	sl := &slot[V]{hash: h, v: mk()}
	t.enter(s, sl, overhead)
	s.mu.Unlock()
	t.queue(h)
	return sl.v
}

// Charge says what v now costs in bytes, without the tier's own overhead, and
// makes sure that v is in the tier. It reports false when another value has
// taken v's place meanwhile: v is not in the tier then.
func (t *Tier[V]) Charge(h Hash, v V, cost int64) bool {
	cost += overhead
	s := t.shard(&h)
	s.mu.Lock()
	sl := s.slots[h]
	if sl == nil {
		in, ok := t.peek(&h)
		switch {
		case ok && in.v != v:
			s.mu.Unlock()
			return false
		case ok && cost <= in.mainCost:
			s.mu.Unlock()
			return true // shrunk, or the same: the old charge stands
		case ok:
			// It grew: back to the window. Del calls neither OnEvict nor OnReject.
			t.main.Del(str(&h))
			if t.bookOut(in) {
				t.count.Add(-1)
			}
		}
		t.enter(s, &slot[V]{hash: h, v: v}, cost)
	} else if sl.v != v {
		s.mu.Unlock()
		return false
	} else {
		t.window.Add(cost - sl.cost)
		sl.cost = cost
		if sl.settling || sl.queued { // it has its place in the order
			s.mu.Unlock()
			t.queue(Hash{})
			return true
		}
		sl.queued = true
	}
	s.mu.Unlock()
	t.queue(h)
	return true
}

// enter puts a slot into the window. The shard's mutex is held.
func (t *Tier[V]) enter(s *shard[V], sl *slot[V], cost int64) {
	sl.cost, sl.queued = cost, true
	s.slots[sl.hash] = sl
	t.window.Add(cost)
	t.count.Add(1)
}

// queue appends h to the window's order, unless it is zero, and pushes out
// what is too much.
func (t *Tier[V]) queue(h Hash) {
	t.mu.Lock()
	if h != (Hash{}) {
		t.fifo = append(t.fifo, h)
	}
	for t.window.Load() > t.windowMax && t.head < len(t.fifo) {
		oldest := t.fifo[t.head]
		t.head++
		t.pushOut(oldest)
		if t.unsettled > t.slackMax {
			t.main.Wait() // let its worker make room before it gets more
			t.unsettled = 0
		}
	}
	if t.head > 1024 && t.head > len(t.fifo)/2 {
		t.fifo = t.fifo[:copy(t.fifo, t.fifo[t.head:])]
		t.head = 0
	}
	t.mu.Unlock()
}

// pushOut hands a slot over to ristretto. mu is held.
func (t *Tier[V]) pushOut(h Hash) {
	s := t.shard(&h)
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.slots[h]
	if sl == nil || !sl.queued {
		return
	}
	t.window.Add(-sl.cost)
	t.inMain.Add(sl.cost)
	sl.mainCost, sl.cost = sl.cost, 0
	sl.queued, sl.settling = false, true
	sl.inMain.Store(true)
	if t.main.Set(str(&h), sl, sl.mainCost) {
		t.settling = append(t.settling, sl)
		t.unsettled += sl.mainCost
		select {
		case t.kick <- struct{}{}:
		default:
		}
		return
	}
	// Its buffer is full (32,768 Sets): the value is gone, hot ones come back.
	delete(s.slots, h)
	t.drops.Add(1)
	if t.bookOut(sl) {
		t.count.Add(-1)
		t.onEvict(sl.v)
	}
}

// bookOut takes a slot's cost off ristretto's account, once.
func (t *Tier[V]) bookOut(sl *slot[V]) bool {
	if !sl.inMain.CompareAndSwap(true, false) {
		return false
	}
	t.inMain.Add(-sl.mainCost)
	return true
}

// settle takes slots out of the window's map once ristretto has applied their
// Sets; one that grew meanwhile leaves ristretto and stays.
func (t *Tier[V]) settle() {
	for range t.kick {
		t.mu.Lock()
		batch := t.settling
		t.settling, t.unsettled = nil, 0
		t.mu.Unlock()
		t.main.Wait()
		for _, sl := range batch {
			s := t.shard(&sl.hash)
			s.mu.Lock()
			sl.settling = false
			if sl.cost == 0 {
				delete(s.slots, sl.hash)
				s.mu.Unlock()
				continue
			}
			// It was charged anew. Where ristretto has rejected it, OnReject
			// took it off the count; here it goes on in the window.
			t.main.Del(str(&sl.hash))
			if !t.bookOut(sl) {
				t.count.Add(1)
			}
			sl.queued = true
			s.mu.Unlock()
			t.queue(sl.hash)
		}
	}
}

// Each calls f for values of the tier until f reports false. Values that come
// or go meanwhile may be left out.
func (t *Tier[V]) Each(f func(V) bool) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		vs := make([]V, 0, len(s.slots))
		for _, sl := range s.slots {
			vs = append(vs, sl.v)
		}
		s.mu.RUnlock()
		for _, v := range vs {
			if !f(v) {
				return
			}
		}
	}
	t.main.IterValues(func(sl *slot[V]) bool { return !f(sl.v) })
}
