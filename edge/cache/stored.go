package cache

import (
	"sync/atomic"
	"time"

	"levee/edge/policy"
	"levee/purge/journal"
)

// Stored is a stored response (RFC 9111 §3), immutable but for two words that
// only ever become truer. Who makes one gives everything that it points to away.
type Stored struct {
	Status  int
	Header  Header
	Life    policy.Lifetime
	Began   journal.Mark // where the journal stood when its fetch began; over freshenings the larger
	Subject *journal.Subject
	Variant string // the key of its variant among its entry's, "" without Vary
	Body    *Body

	// Validators, as they stand in Header, for evaluating conditionals.
	ETag, LastModified string
	Date               time.Time // zero if the response had none

	judged atomic.Uint64          // usable up to this mark
	block  atomic.Pointer[Block]  // made at the first hit
	lines  atomic.Pointer[[]byte] // the same for HTTP/1.1

	// A response brings its own body and subject in one allocation: the garbage
	// collector's time goes by the number of things that a full cache holds.
	ownBody    Body
	ownSubject journal.Subject
}

// NewStored returns a response with a subject and a body of its own, which is
// to be filled; for size, whole and budget see [NewBody].
func NewStored(subject journal.Subject, size int64, whole bool, budget *Budget) *Stored {
	st := &Stored{ownSubject: subject}
	st.Subject, st.Body = &st.ownSubject, &st.ownBody
	st.Body.init(size, whole, budget)
	return st
}

// Freshened returns a response that has old's body (RFC 9111 §4.3.4).
func Freshened(old *Stored, subject journal.Subject) *Stored {
	st := &Stored{ownSubject: subject, Body: old.Body}
	st.Subject = &st.ownSubject
	return st
}

// Block returns the header prepared for net/http.
func (s *Stored) Block() *Block {
	if b := s.block.Load(); b != nil {
		return b
	}
	b := s.Header.block()
	s.block.Store(b)
	return b
}

// Lines returns what make made of the header at the first call: the lines of a
// head of HTTP/1.1, for all hits. Nobody may change them.
func (s *Stored) Lines(make func(h *Header) []byte) []byte {
	if b := s.lines.Load(); b != nil {
		return *b
	}
	b := make(&s.Header)
	s.lines.Store(&b)
	return b
}

// cost is what the RAM tier charges, in bytes: the real size of everything that
// only this response holds.
func (s *Stored) cost() int64 {
	const fixed = 800 // Stored with its body and subject, what holds it, and the allocations' rounding, measured
	n := int64(fixed + len(s.Header.text) + len(s.Variant))
	if s.Body != &s.ownBody {
		n += fixed // that of the response whose body it shares
	}
	n += s.Header.blockCost()
	if s.Subject != nil {
		n += int64(len(s.Subject.Text) + 16*len(s.Subject.Tags))
	}
	body := s.Body.Size()
	return n + body + body/ChunkSize*32
}

// judge asks the journal about s for a request that arrived at a mark. A hit
// since whose last judgement nothing was added costs one comparison.
func (s *Stored) judge(j *journal.Journal, arrived journal.Mark) journal.Verdict {
	known := s.judged.Load()
	if journal.Mark(known) >= arrived {
		return journal.Verdict{}
	}
	v := j.Judge(s.Subject, s.Began, arrived)
	if v.Kind == journal.Usable {
		// Lost to a judgement for a later arrival: that one is as true.
		s.judged.CompareAndSwap(known, uint64(arrived))
	}
	return v
}
