package balance

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func TestOrder(t *testing.T) {
	f := func(members string, except []int, want string) {
		t.Helper()
		var ms []Member
		for w := range strings.FieldsSeq(members) {
			var m Member
			if rest, ok := strings.CutPrefix(w, "b"); ok {
				m.Backup, w = true, rest
			}
			fmt.Sscan(w, &m.Weight)
			ms = append(ms, m)
		}
		p, err := New(Weighted, ms)
		if err != nil {
			t.Fatal(err)
		}
		var out Set
		for _, i := range except {
			out.Add(i)
		}
		got := ""
		for range len(want) {
			if i, ok := p.Next(&out); ok {
				got += string(rune('a' + i))
			} else {
				got += "-"
			}
		}
		if got != want {
			t.Errorf("%q without %v: %s, want %s", members, except, got, want)
		}
	}
	f("1", nil, "aaa")
	f("0", nil, "aaa") // 0 is 1
	f("1 1 1", nil, "abcabc")
	f("5 1 1", nil, "aabacaaaabacaa")
	f("2 1", nil, "abaaba")
	f("1000 500", nil, "abaaba") // by the divisor
	f("1 1 1", []int{1}, "accacc")
	f("1 b1", nil, "aaaa")
	f("1 b1 b1", []int{0}, "bcbc")
	f("b1 b3", nil, "babbbabb") // only backups
	f("1 b1", []int{0, 1}, "--")
}

func TestRefused(t *testing.T) {
	f := func(want string, members ...Member) {
		t.Helper()
		if _, err := New(RoundRobin, members); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d members: %v, want %q", len(members), err, want)
		}
	}
	f("at least one member")
	f("weight -1", Member{Weight: -1})
	f("member 2: weight 1001", Member{}, Member{Weight: MaxWeight + 1})
	f("257 members", make([]Member, MaxMembers+1)...)
	if _, err := New(RoundRobin, make([]Member, MaxMembers)); err != nil {
		t.Error(err)
	}
	g := func(name string, want Policy, ok bool) {
		t.Helper()
		got, err := Parse(name)
		if got != want || (err == nil) != ok {
			t.Errorf("Parse(%q) = %v, %v", name, got, err)
		}
	}
	g("", RoundRobin, true)
	g("round_robin", RoundRobin, true)
	g("weighted", Weighted, true)
	g("least_connections", 0, false)
}

// TestShares: over a period each member is picked exactly as often as its weight; whatever is left out, nothing left out is
// picked, primaries go before backups, and an answer of false means that nothing is left.
func TestShares(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		ms := make([]Member, 1+rnd.IntN(12))
		total, primaries := 0, 0
		for i := range ms {
			ms[i] = Member{Weight: 1 + rnd.IntN(9), Backup: rnd.IntN(3) == 0}
			if !ms[i].Backup {
				total += ms[i].Weight
				primaries++
			}
		}
		p, err := New(Weighted, ms)
		if err != nil {
			t.Fatal(err)
		}
		if primaries > 0 {
			count := make([]int, len(ms))
			for range 2 * total {
				i, _ := p.Next(new(Set))
				count[i]++
			}
			for i, m := range ms {
				want := 2 * m.Weight
				if m.Backup {
					want = 0
				}
				if count[i] != want {
					t.Errorf("seed %d: member %d picked %d times, want %d", seed, i, count[i], want)
				}
			}
		}
		var out Set
		for n := range ms {
			i, ok := p.Next(&out)
			if !ok || out.Has(i) {
				t.Fatalf("seed %d: pick %d of %d: member %d, %v", seed, n, len(ms), i, ok)
			}
			if backup := n >= primaries; ms[i].Backup != backup {
				t.Errorf("seed %d: pick %d is backup %v with %d primaries", seed, n, ms[i].Backup, primaries)
			}
			out.Add(i)
		}
		if i, ok := p.Next(&out); ok {
			t.Errorf("seed %d: member %d after all are out", seed, i)
		}
	}
}

func TestConcurrent(t *testing.T) {
	p, err := New(Weighted, []Member{{Weight: 3}, {Weight: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	count := [2]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var mine [2]int
			for range 1000 {
				i, _ := p.Next(new(Set))
				mine[i]++
			}
			mu.Lock()
			defer mu.Unlock()
			count[0] += mine[0]
			count[1] += mine[1]
		})
	}
	wg.Wait()
	if count != [2]int{6000, 2000} {
		t.Errorf("picked %v of 8000, want 6000 and 2000", count)
	}
}

func BenchmarkNext(b *testing.B) {
	p, err := New(Weighted, []Member{{Weight: 5}, {Weight: 1}, {Weight: 1}})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		var none Set
		for pb.Next() {
			p.Next(&none)
		}
	})
}
