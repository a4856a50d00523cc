// Package balance chooses, among the members of an origin pool, the one that a request tries next.
//
// A Picker is pure: it knows indexes and weights, no sockets, no clock and no health. Whoever asks says which members are
// out of the question (already tried; later also sick or open-circuited), and the Picker answers with the next one of the
// others. Backups are chosen only when no primary is left.
package balance

import (
	"fmt"
	"sync/atomic"
)

// Bounds of a pool. The schedule of a Picker has at most MaxMembers*MaxWeight places of two bytes.
const (
	MaxMembers = 256
	MaxWeight  = 1000
)

// Policy is the way in which members take turns.
type Policy uint8

const (
	// RoundRobin and Weighted take the members in turn, each as often as its weight says, and spread as evenly as weights
	// allow (smooth weighted round robin: weights 5, 1, 1 give a a b a c a a, never a a a a a b c). With equal weights that
	// is plain rotation. They are two names for one thing because a weight that somebody wrote down is never ignored.
	RoundRobin Policy = iota
	Weighted
)

// Parse gives the policy of a name in the config: "round_robin" (also ""), "weighted".
func Parse(name string) (Policy, error) {
	switch name {
	case "", "round_robin":
		return RoundRobin, nil
	case "weighted":
		return Weighted, nil
	}
	return 0, fmt.Errorf("balance %q is not known; use round_robin or weighted", name)
}

// Member is what a Picker knows of one member of a pool.
type Member struct {
	Weight int // 1 to MaxWeight; 0 counts as 1
	Backup bool
}

// Set holds members by index. Its zero value is empty; it is a value: an assignment copies it.
type Set [MaxMembers / 64]uint64

// Add puts member i, 0 ≤ i < MaxMembers, into the set.
func (s *Set) Add(i int) { s[i>>6] |= 1 << (i & 63) }

// Has reports whether member i, 0 ≤ i < MaxMembers, is in the set.
func (s *Set) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// Picker is a rotation over the members of one pool. All methods may be called concurrently; a pick takes no lock.
type Picker struct {
	primary, backup rotation
}

// rotation is a schedule made once, through which an atomic counter walks. Making it once is what keeps a pick free of
// locks: the classic form of the smooth algorithm changes the current weight of every member at every pick.
type rotation struct {
	order []uint16 // one period: each member as often as its weight
	next  atomic.Uint64
}

// New makes a Picker. It fails when there is no member, more than MaxMembers, or a weight out of range.
func New(_ Policy, members []Member) (*Picker, error) {
	if len(members) == 0 {
		return nil, fmt.Errorf("a pool needs at least one member")
	}
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("%d members, at most %d are allowed", len(members), MaxMembers)
	}
	for i, m := range members {
		if m.Weight < 0 || m.Weight > MaxWeight {
			return nil, fmt.Errorf("member %d: weight %d, must be 1 to %d", i+1, m.Weight, MaxWeight)
		}
	}
	p := new(Picker)
	p.primary.order = schedule(members, false)
	p.backup.order = schedule(members, true)
	return p, nil
}

// Next picks a member that is not in except. Outcomes:
//  1. a primary's index, true;
//  2. a backup's index, true: every primary is in except, or there is none;
//  3. 0, false: every member is in except.
//
// A call that must skip members takes the one that follows in the schedule, so that the share of a member that is out
// falls to those which stand behind it, and over a period of uneven weights to several.
func (p *Picker) Next(except *Set) (int, bool) {
	if i, ok := p.primary.pick(except); ok {
		return i, true
	}
	return p.backup.pick(except)
}

func (r *rotation) pick(except *Set) (int, bool) {
	n := uint64(len(r.order))
	if n == 0 {
		return 0, false
	}
	at := (r.next.Add(1) - 1) % n
	for range n {
		if i := int(r.order[at]); !except.Has(i) {
			return i, true
		}
		if at++; at == n {
			at = 0
		}
	}
	return 0, false
}

// schedule runs the smooth weighted round robin for one period: each step raises every member by its weight, takes the
// highest and lowers it by the total.
func schedule(members []Member, backup bool) []uint16 {
	var total, divisor int
	weight := make([]int, len(members)) // 0: not of this group
	for i, m := range members {
		if m.Backup != backup {
			continue
		}
		weight[i] = max(m.Weight, 1)
		divisor = gcd(divisor, weight[i])
	}
	if divisor == 0 {
		return nil
	}
	for i := range weight {
		weight[i] /= divisor
		total += weight[i]
	}
	order := make([]uint16, 0, total)
	current := make([]int, len(members))
	for range total {
		best := -1
		for i, w := range weight {
			if w == 0 {
				continue
			}
			current[i] += w
			if best < 0 || current[i] > current[best] {
				best = i
			}
		}
		current[best] -= total
		order = append(order, uint16(best))
	}
	return order
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
