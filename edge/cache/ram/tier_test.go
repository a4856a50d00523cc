package ram

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

type value struct{ key uint64 }

func hash(k uint64) (h Hash) {
	binary.LittleEndian.PutUint64(h[:], k*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(h[8:], k*0xbf58476d1ce4e5b9+1)
	return h
}

func hashp(k uint64) *Hash { h := hash(k); return &h }

func tier(t testing.TB, bytes int64, onEvict func(*value)) *Tier[*value] {
	t.Helper()
	tr, err := New(Options[*value]{Bytes: bytes, OnEvict: onEvict})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// put stores like edge/cache does: the stable value, then its charge.
func put(t *Tier[*value], k uint64, cost int64) (*value, bool) {
	v := t.GetOrPut(hash(k), func() *value { return &value{key: k} })
	return v, t.Charge(hash(k), v, cost)
}

func TestFoundByTheVeryNextGet(t *testing.T) {
	tr := tier(t, 1<<20, nil)
	for k := range uint64(20_000) { // 20 times what the tier holds
		v, ok := put(tr, k, 1000)
		if !ok {
			t.Fatalf("key %d: its place was taken", k)
		}
		if got, ok := tr.Get(hashp(k)); !ok || got != v {
			t.Fatalf("key %d is not found right after it was stored", k)
		}
		if b := tr.Bytes(); b > 1<<20 {
			t.Fatalf("%d bytes after key %d, the bound is %d", b, k, 1<<20)
		}
	}
}

// The window and ristretto together never lose the count of what is in them,
// whatever grows, shrinks and is evicted at the same time.
func TestBooksBalance(t *testing.T) {
	tr := tier(t, 1<<20, nil)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for range 20_000 {
				k := uint64(rng.IntN(600))
				put(tr, k, int64(rng.IntN(6000)))
				if v, ok := tr.Get(hashp(uint64(rng.IntN(600)))); ok && v == nil {
					t.Error("found nil")
				}
			}
		})
	}
	wg.Wait()
	deadline := time.Now().Add(5 * time.Second)
	for {
		tr.main.Wait()
		var n, window, inMain int64
		seen := map[*value]int{}
		for i := range tr.shards {
			s := &tr.shards[i]
			s.mu.RLock()
			for _, sl := range s.slots {
				n++
				window += sl.cost
				seen[sl.v]++
			}
			s.mu.RUnlock()
		}
		tr.main.IterValues(func(sl *slot[*value]) bool {
			n++
			inMain += sl.mainCost
			seen[sl.v]++
			return false
		})
		ok := n == tr.Len() && window == tr.window.Load() && inMain == tr.inMain.Load()
		for v, c := range seen {
			if c > 1 {
				ok = false
				_ = v
			}
		}
		if ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("values %d, counted %d; window %d, counted %d; ristretto %d, counted %d",
				tr.Len(), n, tr.window.Load(), window, tr.inMain.Load(), inMain)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if b := tr.Bytes(); b > 1<<20 {
		t.Errorf("%d bytes at rest, the bound is %d", b, 1<<20)
	}
}

func TestHotValuesSurviveAScan(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items, and with them ristretto's records of use")
	}
	tr := tier(t, 4<<20, nil)
	hot := uint64(500)
	for range 10 {
		for k := range hot {
			if _, ok := tr.Get(hashp(k)); !ok {
				put(tr, k, 1000)
			}
		}
	}
	for k := hot; k < hot+50_000; k++ { // each seen once
		put(tr, k, 1000)
		if k%5 == 0 {
			tr.Get(hashp(k / 5 % hot))
		}
	}
	tr.main.Wait()
	kept := 0
	for k := range hot {
		if _, ok := tr.Get(hashp(k)); ok {
			kept++
		}
	}
	if kept < int(hot)*8/10 {
		t.Errorf("%d of %d hot values survived a scan of 50,000 cold ones", kept, hot)
	}
}

func TestEvictedValueThatIsChargedAgainComesBack(t *testing.T) {
	tr := tier(t, 1<<20, nil)
	v, _ := put(tr, 1, 1000)
	for k := uint64(10); k < 30_000; k++ {
		put(tr, k, 1000)
	}
	if !tr.Charge(hash(1), v, 1500) {
		t.Fatal("refused although nothing took its place")
	}
	if got, ok := tr.Get(hashp(1)); !ok || got != v {
		t.Fatal("not found")
	}
	if tr.Charge(hash(1), &value{key: 1}, 10) {
		t.Error("another value took the place of one that is there")
	}
}

func TestEvictionIsTold(t *testing.T) {
	var mu sync.Mutex
	gone := map[uint64]bool{}
	tr := tier(t, 1<<20, func(v *value) { mu.Lock(); gone[v.key] = true; mu.Unlock() })
	const n = 5000
	for k := range uint64(n) {
		put(tr, k, 1000)
	}
	for range 100 {
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		told := len(gone)
		mu.Unlock()
		if int64(told)+tr.Len() == n {
			return
		}
	}
	t.Errorf("%d told, %d in the tier, of %d", len(gone), tr.Len(), n)
}

func BenchmarkGet(b *testing.B) {
	tr := tier(b, 64<<20, nil)
	for k := range uint64(10_000) {
		put(tr, k, 1000)
	}
	hs := make([]Hash, 10_000)
	for k := range hs {
		hs[k] = hash(uint64(k))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := tr.Get(&hs[i%len(hs)]); !ok {
			b.Fatal("lost", i)
		}
		i++
	}
}
