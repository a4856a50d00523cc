package cache

import "sync/atomic"

// Budget bounds the bytes of bodies that are in RAM but not charged to the RAM
// tier: what flights have read and not stored yet, and what slow readers still
// read of responses that the tier has let go. Together with the tier's bound
// it makes `cache.ram` a bound on real bytes.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Take takes n bytes and reports whether there was room for them.
func (b *Budget) Take(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

// Force takes n bytes, room or not, and reports whether there was room.
func (b *Budget) Force(n int64) bool { return b.used.Add(n) <= b.limit }

// Give gives n bytes back.
func (b *Budget) Give(n int64) {
	if b.used.Add(-n) < 0 {
		panic("BUG: cache: more given back to the budget than was taken")
	}
}

// Used is the number of bytes taken.
func (b *Budget) Used() int64 { return b.used.Load() }
