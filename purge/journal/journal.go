// Package journal holds what has been made unusable, and when: one local,
// strictly growing order of every purge and of every invalidation by an
// unsafe method (RFC 9111 §4.4).
//
// A place in that order is a [Mark]. A fetch has the mark at which it began, a
// request the mark at which it arrived; [Journal.Judge] answers whether
// anything between the two selects a response. Adding a record is O(1)
// whatever the number of stored responses, and a response that was judged once
// needs one comparison until the next record is added.
//
// The journal is a leaf: cache, flights and purge API all use it, it uses none
// of them.
package journal

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"
)

// Mark is a place in this node's journal. Marks only grow; zero is the place
// before the first record.
type Mark uint64

// Hash names one thing that a record can select. See [HashOf].
type Hash [16]byte

// Selector says by what a record selects responses.
type Selector uint8

// The selectors. ByPrefix is a string prefix of host + path; All selects every
// response of every site.
const (
	ByKey Selector = iota + 1
	ByPrefix
	ByHost
	ByTag
	BySite
	All
)

// HashOf gives the hash of text under a selector. Tags are names within a
// site, so theirs wants the site's name before them: HashOf(ByTag, site, tag).
// Two texts that collide purge too much, never too little, so the hash needs
// no secret.
func HashOf(sel Selector, parts ...string) Hash {
	if len(parts) == 1 && len(parts[0]) <= 240 {
		var buf [241]byte // the common case without a hasher on the heap
		buf[0] = byte(sel)
		n := 1 + copy(buf[1:], parts[0])
		return xxh3.Hash128(buf[:n]).Bytes()
	}
	h := xxh3.New()
	_, _ = h.Write([]byte{byte(sel)})
	for i, p := range parts {
		if i > 0 {
			_, _ = h.Write([]byte{0})
		}
		_, _ = h.WriteString(p)
	}
	return h.Sum128().Bytes()
}

// Subject is what a purge can select one response by. It is made once per
// stored response and never changed.
type Subject struct {
	Site Hash
	Key  Hash
	Host Hash
	// Text is host + path, unescaped further by nobody: any of its string
	// prefixes may have been purged. Hashing it at the lengths that the journal
	// really holds replaces a list of hashes made ahead for every length.
	Text string
	Tags []Hash
}

// Kind is what the journal says of a response.
type Kind uint8

// The kinds, from good to bad.
const (
	Usable Kind = iota // nothing selects it
	Soft               // stale since Verdict.At; may be served within its stale windows while it is validated
	Hard               // never again, and not to be validated with its own validators
)

// Verdict is the answer of Judge. At is when the record was added (soft only).
type Verdict struct {
	Kind Kind
	At   time.Time
}

// Record is one entry of the journal.
type Record struct {
	By   Selector
	Hash Hash // ignored for All
	// PrefixLen is the length in bytes of the purged prefix (ByPrefix only).
	PrefixLen int
	Soft      bool
	At        time.Time
}

// Limits of what is kept in memory. Beyond maxEvents the floor is raised: the
// older half of the records is forgotten, and whatever was fetched before them
// counts as hard-purged.
const (
	maxEvents  = 1 << 18
	maxHistory = 8 // events remembered for one hash; older ones fold into one
)

type event struct {
	mark Mark
	soft bool
	at   time.Time
}

// history is the events of one hash, oldest first. folded, when not zero, is
// the newest of the events that were forgotten to keep the list short: a fetch
// that began before it is judged as if a hard record stood there.
type history struct {
	folded Mark
	events []event
}

// Journal is safe for use by many goroutines.
type Journal struct {
	now atomic.Uint64

	mu      sync.RWMutex // guards what follows
	floor   Mark         // everything that began before it is hard-purged
	byHash  map[Hash]*history
	lengths []int // distinct lengths of purged prefixes, ascending
	count   int   // events in byHash
}

// New returns an empty journal.
func New() *Journal {
	return &Journal{byHash: make(map[Hash]*history)}
}

// Now is the newest mark: one atomic load.
func (j *Journal) Now() Mark { return Mark(j.now.Load()) }

// Add appends records as one step, in their order, and returns the mark of the
// last. A request that arrives after Add has returned is judged by them.
func (j *Journal) Add(recs ...Record) Mark {
	j.mu.Lock()
	defer j.mu.Unlock()
	mark := Mark(j.now.Load())
	for _, r := range recs {
		mark++
		h := r.Hash
		if r.By == All {
			h = HashOf(All, "")
		}
		if r.By == ByPrefix {
			if i, found := slices.BinarySearch(j.lengths, r.PrefixLen); !found {
				j.lengths = slices.Insert(j.lengths, i, r.PrefixLen)
			}
		}
		hist := j.byHash[h]
		if hist == nil {
			hist = new(history)
			j.byHash[h] = hist
		}
		if len(hist.events) == maxHistory {
			hist.folded = hist.events[0].mark
			hist.events = slices.Delete(hist.events, 0, 1)
			j.count--
		}
		hist.events = append(hist.events, event{mark, r.Soft, r.At})
		j.count++
	}
	if j.count > maxEvents {
		j.raiseFloor(mark - maxEvents/2)
	}
	// Published last: a reader that sees the mark finds the records.
	j.now.Store(uint64(mark))
	return mark
}

// raiseFloor forgets every event up to mark.
func (j *Journal) raiseFloor(mark Mark) {
	j.floor = mark
	j.count = 0
	for h, hist := range j.byHash {
		hist.events = slices.DeleteFunc(hist.events, func(e event) bool { return e.mark <= mark })
		if hist.folded <= mark {
			hist.folded = 0
		}
		if len(hist.events) == 0 && hist.folded == 0 {
			delete(j.byHash, h)
		}
		j.count += len(hist.events)
	}
}

// Judge says whether a record after began and up to arrived selects s. It is
// the reader's arrival that bounds it, so that a request from before a purge
// is not robbed by it. With arrived <= began nothing can.
func (j *Journal) Judge(s *Subject, began, arrived Mark) Verdict {
	if arrived <= began {
		return Verdict{}
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if began < j.floor {
		return Verdict{Kind: Hard}
	}
	var v Verdict
	if len(j.byHash) == 0 {
		return v
	}
	j.worst(&v, s.Key, began, arrived)
	j.worst(&v, s.Host, began, arrived)
	j.worst(&v, s.Site, began, arrived)
	j.worst(&v, HashOf(All, ""), began, arrived)
	for _, tag := range s.Tags {
		j.worst(&v, tag, began, arrived)
	}
	for _, n := range j.lengths {
		if n > len(s.Text) || v.Kind == Hard {
			break
		}
		j.worst(&v, HashOf(ByPrefix, s.Text[:n]), began, arrived)
	}
	return v
}

// worst raises v by the events of one hash: hard over soft over usable, and of
// soft ones the earliest, from which the response counts as stale.
func (j *Journal) worst(v *Verdict, h Hash, began, arrived Mark) {
	hist := j.byHash[h]
	if hist == nil || v.Kind == Hard {
		return
	}
	if hist.folded > began {
		v.Kind = Hard
		return
	}
	for _, e := range hist.events {
		switch {
		case e.mark <= began || e.mark > arrived:
		case !e.soft:
			*v = Verdict{Kind: Hard}
			return
		case v.Kind == Usable || e.at.Before(v.At):
			*v = Verdict{Kind: Soft, At: e.at}
		}
	}
}
