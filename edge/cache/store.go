package cache

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/zeebo/xxh3"

	"levee/edge/cache/ram"
	"levee/edge/cachekey"
	"levee/edge/policy"
	"levee/purge/journal"
)

// Options of a Store.
type Options struct {
	RAM      int64 // bytes: a hard bound on bodies and headers in RAM with their overhead; at least 16 MiB
	Variants int   // responses kept for one key; at least 1
	Journal  *journal.Journal
}

// Store is the cache of a node. It is safe for use by many goroutines and lives
// as long as the process.
type Store struct {
	Budget  *Budget // of what is in RAM beside the tier
	journal *journal.Journal
	tier    *ram.Tier[*Entry]
	seed    uint64 // secret, so that nobody can choose colliding keys
	cap     int
	count   atomic.Int64 // responses in the tier
}

// Key is a primary cache key on its way through a request: its bytes, owned by
// the request, and their hash.
type Key struct {
	Bytes []byte
	hash  ram.Hash
}

// Entry holds every stored response of one primary key. It is the only thing
// that is ever put into the RAM tier; its content is swapped.
type Entry struct {
	key      string
	mu       sync.Mutex // writers of this key; taken before any lock of the tier
	variants atomic.Pointer[variants]
	counted  atomic.Int64 // of them in the Store's count
}

// variants is one immutable state of an entry.
type variants struct {
	vary   []string // the Vary fields of the newest response; nil without
	norm   cachekey.Normalise
	list   []*Stored // oldest first
	marker marker
	first  [1]*Stored // room for the list of a key with one response
}

// marker is a hit-for-miss marker: until then requests for the key go to the
// origin without waiting for one another.
type marker struct {
	until  time.Time
	reason policy.Reason
}

// Found is the answer of Lookup. Its outcomes:
//
//  1. Stored set, Verdict usable: this response, fresh or stale by its Life.
//  2. Stored set, Verdict soft: this response, stale since Verdict.At.
//  3. Stored nil, VaryMiss: the key is known, this variant is not.
//  4. Stored nil, Purged: a response was there and is hard-purged.
//  5. Stored nil otherwise: nothing is known.
//
// Marker is set beside 3 to 5 while a hit-for-miss marker lives.
type Found struct {
	Stored   *Stored
	Verdict  journal.Verdict
	Vary     []string // what the key's responses vary by, as far as is known
	VaryMiss bool
	Purged   bool
	Marker   policy.Reason // why the last response could not be shared; ReasonNone = no marker
}

// New returns an empty store.
func New(o Options) (*Store, error) {
	s := &Store{journal: o.Journal, seed: rand.Uint64(), cap: o.Variants, Budget: NewBudget(o.RAM / 4)}
	var err error
	s.tier, err = ram.New(ram.Options[*Entry]{Bytes: o.RAM - o.RAM/4, OnEvict: s.evicted})
	return s, err
}

// evicted is told by the tier, under its locks: it must not take the entry's.
func (s *Store) evicted(e *Entry) {
	s.count.Add(-e.counted.Swap(0))
	if v := e.variants.Load(); v != nil {
		for _, st := range v.list {
			st.Body.Evicted()
		}
	}
}

// MaxBody is the largest body in bytes that a store of so much RAM can keep: it
// must fit the budget on its way in. One much larger than a 24th of it pushes
// out many others.
func MaxBody(ram int64) int64 { return ram / 4 }

// Hash sets k's hash from its bytes.
func (s *Store) Hash(k *Key) { k.hash = xxh3.Hash128Seed(k.Bytes, s.seed).Bytes() }

// entry finds the entry of k, if any.
func (s *Store) entry(k *Key) *Entry {
	e, ok := s.tier.Get(&k.hash)
	if !ok || e.key != unsafe.String(unsafe.SliceData(k.Bytes), len(k.Bytes)) {
		return nil
	}
	return e
}

// Lookup finds the response for a request that arrived at a mark, as seen by
// the journal at that mark. It does not look at freshness.
func (s *Store) Lookup(k *Key, h http.Header, arrived journal.Mark, now time.Time) (f Found) {
	e := s.entry(k)
	if e == nil {
		return f
	}
	v := e.variants.Load()
	if v == nil {
		return f
	}
	f.Vary = v.vary
	if !v.marker.until.IsZero() && now.Before(v.marker.until) {
		f.Marker = v.marker.reason
	}
	st := v.match(h)
	if st == nil {
		f.VaryMiss = len(v.list) > 0
		return f
	}
	f.Verdict = st.judge(s.journal, arrived)
	if f.Verdict.Kind == journal.Hard {
		f.Purged = true
		s.Drop(k, st)
		return f
	}
	f.Stored = st
	return f
}

// match finds the response whose variant h selects (RFC 9111 §4.1), passing by
// one whose body was let go under a reader.
func (v *variants) match(h http.Header) *Stored {
	if len(v.vary) == 0 {
		if n := len(v.list); n > 0 && v.list[n-1].Body.final.Load() != nil {
			return v.list[n-1]
		}
		return nil
	}
	var buf [256]byte
	want := cachekey.AppendVariant(buf[:0], v.vary, h, v.norm)
	for _, st := range v.list {
		if st.Variant == string(want) && st.Body.final.Load() != nil {
			return st
		}
	}
	return nil
}

// Put stores st, whose Variant was made with vary and norm, in the place of the
// response of the same variant. It reports false, and stores nothing, when what
// is there began at a later mark (DESIGN section 5, P2), when the body is not
// whole, or when another key has the same hash.
func (s *Store) Put(k *Key, vary []string, norm cachekey.Normalise, st *Stored) bool {
	if !st.Body.Whole() {
		return false
	}
	return s.change(k, true, func(old variants) (variants, bool) {
		now := variants{vary: vary, norm: norm}
		if slices.Equal(old.vary, vary) && old.norm == norm {
			for _, o := range old.list {
				if o.Variant != st.Variant {
					now.list = append(now.list, o)
				} else if o.Began > st.Began {
					return old, false
				}
			}
			if over := len(now.list) - s.cap + 1; over > 0 {
				now.list = slices.Delete(now.list, 0, over)
			}
		}
		now.list = append(now.list, st)
		return now, true
	})
}

// Freshen puts the freshened response in the place of old, whose body it
// shares. It reports false when old is no longer there.
func (s *Store) Freshen(k *Key, old, fresh *Stored) bool {
	return s.change(k, false, func(v variants) (variants, bool) {
		i := slices.Index(v.list, old)
		if i < 0 {
			return v, false
		}
		v.list = slices.Clone(v.list)
		v.list[i] = fresh
		v.marker = marker{}
		return v, true
	})
}

// Drop takes st out of the store, if it is still there.
func (s *Store) Drop(k *Key, st *Stored) {
	s.change(k, false, func(v variants) (variants, bool) {
		i := slices.Index(v.list, st)
		if i < 0 {
			return v, false
		}
		v.list = slices.Delete(slices.Clone(v.list), i, i+1)
		return v, true
	})
}

// MarkMiss sets the hit-for-miss marker of a key. It stops nothing from being
// stored, and the next Put takes it away.
func (s *Store) MarkMiss(k *Key, until time.Time, why policy.Reason) {
	s.change(k, true, func(v variants) (variants, bool) {
		v.marker = marker{until, why}
		return v, true
	})
}

// change swaps the content of k's entry for what f makes of it; f reports
// whether it changed anything. With create the entry is made if it is missing.
func (s *Store) change(k *Key, create bool, f func(variants) (variants, bool)) bool {
	for range 8 { // each turn another writer was faster in replacing the entry
		e := s.entry(k)
		if e == nil && !create {
			return false
		}
		if e == nil {
			e = s.tier.GetOrPut(k.hash, func() *Entry { return &Entry{key: string(k.Bytes)} })
			if e.key != string(k.Bytes) {
				return false // two keys with one hash: the first keeps its place
			}
		}
		e.mu.Lock()
		var old variants
		if v := e.variants.Load(); v != nil {
			old = *v
		}
		next, changed := f(old)
		if !changed {
			e.mu.Unlock()
			return false
		}
		now := &next
		now.list = slices.DeleteFunc(now.list, func(st *Stored) bool { return !st.Body.Whole() })
		if len(now.list) == 1 {
			now.first[0] = now.list[0]
			now.list = now.first[:]
		} else {
			now.first[0] = nil
		}
		e.variants.Store(now)
		cost := int64(160 + len(e.key))
		for _, st := range now.list {
			cost += st.cost()
		}
		ok := s.tier.Charge(k.hash, e, cost)
		if ok {
			n := int64(len(now.list))
			s.count.Add(n - e.counted.Swap(n))
		}
		e.mu.Unlock()
		if !ok {
			continue
		}
		for _, st := range old.list {
			if !slices.ContainsFunc(now.list, func(n *Stored) bool { return n.Body == st.Body }) {
				st.Body.Evicted()
			}
		}
		for _, st := range now.list {
			st.Body.Charged() // also those of an entry that was evicted and is back
		}
		return true
	}
	return false
}

// Stats are the figures of the RAM tier.
type Stats struct {
	Bytes    int64 // charged
	Keys     int64
	Stored   int64 // responses: the variants of all keys; one that is evicted while it is stored may be counted wrong
	Transit  int64 // bytes on the budget beside the tier
	Rejected int64 // entries that the admission refused
}

// Stats reads the figures.
func (s *Store) Stats() Stats {
	return Stats{Bytes: s.tier.Bytes(), Keys: s.tier.Len(), Stored: s.count.Load(), Transit: s.Budget.Used(), Rejected: s.tier.Drops()}
}
