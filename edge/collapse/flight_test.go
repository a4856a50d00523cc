package collapse

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"levee/edge/cache"
	"levee/edge/cachekey"
	"levee/edge/policy"
	"levee/purge/journal"
)

func never() bool { return false }

// stored makes a response with an unfilled body of size bytes (-1 unknown).
func stored(size int64, whole bool, budget *cache.Budget) *cache.Stored {
	return &cache.Stored{Status: 200, Subject: &journal.Subject{Key: journal.HashOf(journal.ByKey, "k")}, Body: cache.NewBody(size, "", whole, budget)}
}

func TestJoinersShareOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(t.Context(), 0.5)
		budget := cache.NewBudget(1 << 20)
		j := journal.New()
		var leads, reads int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				f, lead := table.Join("k", j.Now(), never)
				defer f.Leave()
				if lead {
					mu.Lock()
					leads++
					mu.Unlock()
					go func() {
						time.Sleep(time.Second)
						st := stored(4, true, budget)
						f.Resolve(Head{Stored: st, Share: policy.Shared})
						_ = st.Body.Fill(f.Ctx, strings.NewReader("body"), 1<<20, nil)
						st.Body.Charged()
						f.Done(true)
					}()
				}
				if _, err := f.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				if o := f.Outcome(j, nil, j.Now(), lead); o != Read {
					t.Errorf("outcome %d", o)
				}
				mu.Lock()
				reads++
				mu.Unlock()
			})
		}
		synctest.Wait()
		if table.Waiters() != 100 || table.Flights() != 1 {
			t.Errorf("%d wait on %d flights", table.Waiters(), table.Flights())
		}
		wg.Wait()
		synctest.Wait()
		if leads != 1 || reads != 100 || table.Flights() != 0 || table.Waiters() != 0 {
			t.Errorf("%d led, %d read, %d flights and %d waiters left", leads, reads, table.Flights(), table.Waiters())
		}
		if f, lead := table.Join("k", 0, never); !lead {
			t.Error("a flight that is done is joined")
		} else {
			f.Leave()
		}
	})
}

func TestStoredMeanwhile(t *testing.T) {
	table := NewTable(t.Context(), 0.5)
	if f, lead := table.Join("k", 0, func() bool { return true }); f != nil || lead {
		t.Error("a flight was begun for what is stored")
	}
}

func TestOutcomes(t *testing.T) {
	j := journal.New()
	table := NewTable(t.Context(), 0.5)
	budget := cache.NewBudget(1 << 20)
	lang := func(l string) http.Header { return http.Header{"X-Lang": {l}} }
	vary := []string{"X-Lang"}
	f := func(name string, change func(*Head), h http.Header, arrived journal.Mark, lead bool, want Outcome) {
		t.Helper()
		fl, _ := table.Join(name, 0, never)
		hd := Head{Stored: stored(-1, true, budget), Share: policy.Shared}
		change(&hd)
		fl.Resolve(hd)
		if got := fl.Outcome(j, h, arrived, lead); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
		fl.Leave()
		fl.Done(false)
	}
	same := func(*Head) {}
	f("shared", same, nil, 0, false, Read)
	f("private to a follower", func(h *Head) { h.Share = policy.Alone }, nil, 0, false, Private)
	f("private to the leader", func(h *Head) { h.Share = policy.Alone }, nil, 0, true, Read)
	f("failed", func(h *Head) { h.Stored, h.Err = nil, errors.New("x") }, nil, 0, true, Failed)
	varies := func(h *Head) {
		h.Vary = vary
		h.Stored.Variant = string(cachekey.AppendVariant(nil, vary, lang("de"), h.Norm))
	}
	f("its variant", varies, lang("de"), 0, false, Read)
	f("another variant", varies, lang("en"), 0, false, OtherVariant)
	before := j.Now()
	j.Add(journal.Record{By: journal.ByKey, Hash: journal.HashOf(journal.ByKey, "k")})
	f("arrived before the purge", same, nil, before, false, Read)
	f("arrived after the purge", same, nil, j.Now(), false, Purged)
	f("purged, but the leader's own", same, nil, before, true, Read)
}

// When the fetch goes on and when it is given up, as its readers leave.
func TestOutlivesItsReaders(t *testing.T) {
	f := func(name string, reason policy.Reason, size int64, whole bool, fraction float64, here int, want bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			table := NewTable(t.Context(), fraction)
			fl, _ := table.Join("k", 0, never)
			st := stored(size, whole, cache.NewBudget(1<<30))
			fl.Resolve(Head{Stored: st, Share: policy.Shared, Reason: reason})
			src := &steps{give: here, hold: make(chan struct{})}
			done := make(chan error, 1)
			go func() { done <- st.Body.Fill(fl.Ctx, src, 1<<40, nil) }()
			synctest.Wait()
			if fl.Ctx.Err() != nil {
				t.Fatalf("%s: given up while it is read", name)
			}
			fl.Leave()
			synctest.Wait()
			if got := fl.Ctx.Err() == nil; got != want {
				t.Errorf("%s: goes on: %v, want %v (%v)", name, got, want, context.Cause(fl.Ctx))
			}
			close(src.hold)
			<-done
			fl.Done(false)
		})
	}
	f("storable, small", policy.ReasonNone, 1<<20, true, 0.5, 10, true)
	f("storable, length unknown", policy.ReasonNone, -1, true, 0.5, 10, true)
	f("storable, large, little of it here", policy.ReasonNone, 100<<20, true, 0.5, 1<<20, false)
	f("storable, large, enough of it here", policy.ReasonNone, 100<<20, true, 0.01, 2<<20, true)
	f("not storable", policy.ReasonNoStore, 1<<20, true, 0.5, 10, false)
	f("no longer whole", policy.ReasonNone, 1<<20, false, 0.5, 10, false)
}

// steps gives some bytes, then waits.
type steps struct {
	give int
	hold chan struct{}
}

func (s *steps) Read(p []byte) (int, error) {
	if s.give > 0 {
		n := min(len(p), s.give)
		s.give -= n
		return n, nil
	}
	<-s.hold
	return 0, errors.New("the source is gone")
}

func TestLeavingBeforeTheHeadStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(t.Context(), 0.5)
		f, _ := table.Join("k", 0, never)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.Wait(ctx); err == nil {
			t.Error("a client that is gone waits")
		}
		f.Leave()
		if f.Ctx.Err() != nil {
			t.Error("the fetch was given up before anybody knew whether it can be stored")
		}
		st := stored(-1, false, cache.NewBudget(1<<20))
		f.Resolve(Head{Stored: st, Reason: policy.ReasonPrivate})
		if f.Ctx.Err() == nil {
			t.Error("a private response goes on for nobody")
		}
		f.Done(false)
	})
}

// What is not kept lives until its last user has left.
func TestUnkeptBodyWaitsForItsReader(t *testing.T) {
	table := NewTable(t.Context(), 0.5)
	budget := cache.NewBudget(1 << 20)
	f, _ := table.Join("k", 0, never)
	st := stored(4, false, budget)
	f.Resolve(Head{Stored: st, Reason: policy.ReasonNoStore})
	if err := st.Body.Fill(f.Ctx, strings.NewReader("body"), 0, nil); err != nil {
		t.Fatal(err)
	}
	f.Done(false)
	var r cache.Reader
	r.Open(st.Body, 0, false)
	if p, err := r.Next(t.Context()); string(p) != "body" {
		t.Errorf("%q, %v", p, err)
	}
	r.Close()
	f.Leave()
	if budget.Used() != 0 {
		t.Errorf("%d bytes not given back", budget.Used())
	}
}
