package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"levee/edge/cachekey"
	"levee/edge/policy"
	"levee/purge/journal"
)

func newStore(t testing.TB, ram int64) (*Store, *journal.Journal) {
	t.Helper()
	j := journal.New()
	s, err := New(Options{RAM: ram, Variants: 3, Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	return s, j
}

func (s *Store) testKey(text string) *Key {
	k := &Key{Bytes: []byte(text)}
	s.Hash(k)
	return k
}

func response(s *Store, key, body string, began journal.Mark) *Stored {
	b := NewBody(int64(len(body)), "", true, s.Budget)
	if err := b.Fill(context.Background(), strings.NewReader(body), 1<<30, nil); err != nil {
		panic(err)
	}
	return &Stored{
		Status: 200, Header: MakeHeader(http.Header{"Content-Type": {"text/plain"}, "Link": {"a", "b"}}, nil), Began: began,
		Subject: &journal.Subject{Key: journal.HashOf(journal.ByKey, key)}, Body: b,
		Life: policy.Lifetime{FreshFor: time.Hour},
	}
}

func text(st *Stored) string {
	if st == nil {
		return "<nothing>"
	}
	p, _ := st.Body.Small()
	return string(p)
}

func TestPutIsFoundAtOnceAndReplaces(t *testing.T) {
	s, j := newStore(t, 16<<20)
	now := time.Now()
	for i := range 2000 {
		key := fmt.Sprint("k", i%50)
		want := fmt.Sprint("body ", i)
		if !s.Put(s.testKey(key), nil, cachekey.Normalise{}, response(s, key, want, j.Now())) {
			t.Fatalf("put %d refused", i)
		}
		if f := s.Lookup(s.testKey(key), nil, j.Now(), now); text(f.Stored) != want {
			t.Fatalf("found %q, want %q", text(f.Stored), want)
		}
	}
	if s.Budget.Used() != 0 {
		t.Errorf("%d bytes on the budget, everything is stored", s.Budget.Used())
	}
}

func TestVariants(t *testing.T) {
	s, j := newStore(t, 16<<20)
	k := s.testKey("k")
	vary := []string{"Accept-Language"}
	h := func(lang string) http.Header { return http.Header{"Accept-Language": {lang}} }
	put := func(lang string) {
		st := response(s, "k", lang, j.Now())
		st.Variant = string(cachekey.AppendVariant(nil, vary, h(lang), cachekey.Normalise{}))
		if !s.Put(k, vary, cachekey.Normalise{}, st) {
			t.Fatal("refused")
		}
	}
	get := func(lang string) Found { return s.Lookup(k, h(lang), j.Now(), time.Now()) }
	put("de")
	put("en")
	if f := get("de"); text(f.Stored) != "de" {
		t.Errorf("de: %q", text(f.Stored))
	}
	if f := get("fr"); f.Stored != nil || !f.VaryMiss || len(f.Vary) != 1 {
		t.Errorf("fr: %+v", f)
	}
	put("fr")
	put("it") // a fourth: the oldest goes
	if f := get("de"); f.Stored != nil {
		t.Error("more variants than the cap")
	}
	if st := s.Stats(); st.Stored != 3 || st.Keys != 1 {
		t.Errorf("%d responses under %d keys", st.Stored, st.Keys)
	}
	if f := get("en"); text(f.Stored) != "en" {
		t.Errorf("en: %q", text(f.Stored))
	}
	// Another Vary field: what the old ones were chosen by says nothing any more.
	s.Put(k, nil, cachekey.Normalise{}, response(s, "k", "plain", j.Now()))
	if f := get("en"); text(f.Stored) != "plain" {
		t.Errorf("after the Vary changed: %q", text(f.Stored))
	}
}

func TestPurge(t *testing.T) {
	s, j := newStore(t, 16<<20)
	k := s.testKey("k")
	hash := journal.HashOf(journal.ByKey, "k")
	put := func(body string, began journal.Mark) bool {
		return s.Put(k, nil, cachekey.Normalise{}, response(s, "k", body, began))
	}
	put("one", j.Now())
	before := j.Now()
	j.Add(journal.Record{By: journal.ByKey, Hash: hash, Soft: true, At: time.Unix(5, 0)})
	if f := s.Lookup(k, nil, before, time.Now()); f.Stored == nil || f.Verdict.Kind != journal.Usable {
		t.Errorf("a request from before the purge: %+v", f)
	}
	if f := s.Lookup(k, nil, j.Now(), time.Now()); f.Stored == nil || f.Verdict.Kind != journal.Soft {
		t.Errorf("soft: %+v", f)
	}
	began := j.Now()
	j.Add(journal.Record{By: journal.ByKey, Hash: hash})
	if f := s.Lookup(k, nil, j.Now(), time.Now()); f.Stored != nil || !f.Purged {
		t.Errorf("hard: %+v", f)
	}
	put("late", began) // a fetch that began before the purge ends after it
	if f := s.Lookup(k, nil, j.Now(), time.Now()); f.Stored != nil {
		t.Error("a response fetched before the purge is served after it")
	}
	put("new", j.Now())
	if put("older", began) {
		t.Error("a response replaced one with a later mark")
	}
	if f := s.Lookup(k, nil, j.Now(), time.Now()); text(f.Stored) != "new" {
		t.Errorf("found %q", text(f.Stored))
	}
}

func TestMarkerNeverStopsStoring(t *testing.T) {
	s, j := newStore(t, 16<<20)
	k := s.testKey("k")
	now := time.Now()
	s.MarkMiss(k, now.Add(time.Minute), policy.ReasonPrivate)
	if f := s.Lookup(k, nil, j.Now(), now); f.Marker != policy.ReasonPrivate {
		t.Errorf("marker %v", f.Marker)
	}
	if f := s.Lookup(k, nil, j.Now(), now.Add(2*time.Minute)); f.Marker != policy.ReasonNone {
		t.Errorf("marker %v after its end", f.Marker)
	}
	s.Put(k, nil, cachekey.Normalise{}, response(s, "k", "x", j.Now()))
	if f := s.Lookup(k, nil, j.Now(), now); f.Marker != policy.ReasonNone || text(f.Stored) != "x" {
		t.Errorf("after a storable answer: %+v", f)
	}
}

func TestFreshenSharesTheBody(t *testing.T) {
	s, j := newStore(t, 16<<20)
	k := s.testKey("k")
	old := response(s, "k", "body", j.Now())
	s.Put(k, nil, cachekey.Normalise{}, old)
	fresh := &Stored{Status: 200, Body: old.Body, Subject: old.Subject, Life: policy.Lifetime{FreshFor: time.Minute}}
	if !s.Freshen(k, old, fresh) {
		t.Fatal("refused")
	}
	if f := s.Lookup(k, nil, j.Now(), time.Now()); f.Stored != fresh || text(f.Stored) != "body" {
		t.Errorf("%+v", f)
	}
	if s.Freshen(k, old, fresh) {
		t.Error("freshened what is no longer there")
	}
}

// What the store says it holds is what it holds: distinct responses of three
// times its size pass through, and the heap grows by no more than the bound.
func TestBoundOnRealBytes(t *testing.T) {
	const ram = 32 << 20
	s, j := newStore(t, ram)
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	start := heap()
	rng := rand.New(rand.NewPCG(3, 4))
	passed, worst := 0, int64(0)
	for i := 0; passed < 3*ram; i++ {
		key := fmt.Sprint("https://www.example.com/some/path/", i)
		size := 200 + rng.IntN(3000)
		if i%50 == 0 {
			size = rng.IntN(ram / 24)
		}
		body := strings.Repeat("x", size)
		passed += size
		st := response(s, key, body, j.Now())
		st.Block()
		s.Put(s.testKey(key), nil, cachekey.Normalise{}, st)
		if i%2000 == 1999 {
			worst = max(worst, heap()-start)
		}
	}
	worst = max(worst, heap()-start)
	t.Logf("heap grew by %.1f MiB at worst, cache.ram is %d MiB, charged %.1f MiB in %d keys", float64(worst)/(1<<20), ram>>20, float64(s.Stats().Bytes)/(1<<20), s.Stats().Keys)
	if worst > ram {
		t.Errorf("the heap grew by %d bytes, the bound is %d", worst, ram)
	}
	if st := s.Stats(); st.Stored < st.Keys*9/10 || st.Stored > st.Keys {
		t.Errorf("%d responses are counted under %d keys, of which each has one", st.Stored, st.Keys)
	}
	if got := s.Stats().Bytes; got < ram/2 {
		t.Errorf("only %d bytes are in use", got)
	}
}

func TestConcurrentWritersAndReaders(t *testing.T) {
	s, j := newStore(t, 16<<20)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := range 2000 {
				key := fmt.Sprint("k", rng.IntN(300))
				k := s.testKey(key)
				switch rng.IntN(4) {
				case 0:
					st := response(s, key, key+strings.Repeat(" filler", rng.IntN(20000)), j.Now())
					if !s.Put(k, nil, cachekey.Normalise{}, st) {
						st.Body.Orphan()
					}
				case 1:
					if i%50 == 0 {
						j.Add(journal.Record{By: journal.ByKey, Hash: journal.HashOf(journal.ByKey, key)})
					}
				default:
					f := s.Lookup(k, nil, j.Now(), time.Now())
					if f.Stored == nil {
						continue
					}
					got, err := read(f.Stored.Body, 0, false)
					if err != nil && err != ErrPassed || err == nil && !strings.HasPrefix(string(got), key) {
						t.Errorf("key %s: read %.20q, %v", key, got, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if used := s.Budget.Used(); used != 0 {
		t.Errorf("%d bytes of the budget are taken while nobody reads", used)
	}
}

func BenchmarkLookup(b *testing.B) {
	s, j := newStore(b, 64<<20)
	k := s.testKey("https://www.example.com/")
	s.Put(k, nil, cachekey.Normalise{}, response(s, "k", "body", j.Now()))
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if f := s.Lookup(k, nil, j.Now(), now); f.Stored == nil {
			b.Fatal("lost")
		}
	}
}
