package journal

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func subject(site, host, path string, tags ...string) *Subject {
	s := &Subject{Site: HashOf(BySite, site), Key: HashOf(ByKey, host+path), Host: HashOf(ByHost, host), Text: host + path}
	for _, t := range tags {
		s.Tags = append(s.Tags, HashOf(ByTag, site, t))
	}
	return s
}

func prefix(p string, soft bool) Record {
	return Record{By: ByPrefix, Hash: HashOf(ByPrefix, p), PrefixLen: len(p), Soft: soft}
}

func TestEverySelectorSelects(t *testing.T) {
	s := subject("www", "a.test", "/img/cat.png", "cats", "img")
	f := func(name string, r Record, want Kind) {
		t.Helper()
		j := New()
		m := j.Add(r)
		if got := j.Judge(s, 0, m).Kind; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if got := j.Judge(s, m, j.Now()).Kind; got != Usable {
			t.Errorf("%s: a fetch that began after it is judged %v", name, got)
		}
		if got := j.Judge(s, 0, m-1).Kind; got != Usable {
			t.Errorf("%s: a request from before it is judged %v", name, got)
		}
	}
	f("key", Record{By: ByKey, Hash: s.Key}, Hard)
	f("soft key", Record{By: ByKey, Hash: s.Key, Soft: true}, Soft)
	f("host", Record{By: ByHost, Hash: HashOf(ByHost, "a.test")}, Hard)
	f("other host", Record{By: ByHost, Hash: HashOf(ByHost, "b.test")}, Usable)
	f("site", Record{By: BySite, Hash: HashOf(BySite, "www")}, Hard)
	f("all", Record{By: All}, Hard)
	f("tag", Record{By: ByTag, Hash: HashOf(ByTag, "www", "cats")}, Hard)
	f("same tag of another site", Record{By: ByTag, Hash: HashOf(ByTag, "shop", "cats")}, Usable)
	f("prefix", prefix("a.test/img/", false), Hard)
	f("prefix within a segment", prefix("a.test/img/ca", true), Soft)
	f("prefix of the host only", prefix("a.t", false), Hard)
	f("prefix longer than it", prefix("a.test/img/cat.png2", false), Usable)
	f("other prefix of the same length", prefix("a.test/imx/", false), Usable)
}

func TestHardOutweighsSoftAndEarliestSoftCounts(t *testing.T) {
	s := subject("www", "a.test", "/")
	t0 := time.Unix(1000, 0)
	j := New()
	j.Add(Record{By: ByKey, Hash: s.Key, Soft: true, At: t0.Add(time.Minute)})
	j.Add(Record{By: ByHost, Hash: s.Host, Soft: true, At: t0})
	if v := j.Judge(s, 0, j.Now()); v.Kind != Soft || !v.At.Equal(t0) {
		t.Fatalf("got %v, want soft since %v", v, t0)
	}
	j.Add(Record{By: BySite, Hash: s.Site})
	if v := j.Judge(s, 0, j.Now()); v.Kind != Hard {
		t.Fatalf("got %v, want hard", v)
	}
}

// A model that keeps every record in a list, against the maps, the folding and
// the floor: the journal may judge worse than the model, never better.
func TestNeverBetterThanTheModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	j := New()
	type rec struct {
		mark Mark
		r    Record
	}
	var all []rec
	subjects := make([]*Subject, 20)
	for i := range subjects {
		subjects[i] = subject("www", fmt.Sprintf("h%d", i%3), fmt.Sprintf("/p%d/x", i), fmt.Sprint("t", i%4))
	}
	selects := func(r Record, s *Subject) bool {
		switch r.By {
		case ByKey:
			return r.Hash == s.Key
		case ByHost:
			return r.Hash == s.Host
		case ByTag:
			return r.Hash == s.Tags[0]
		default:
			return r.PrefixLen <= len(s.Text) && HashOf(ByPrefix, s.Text[:r.PrefixLen]) == r.Hash
		}
	}
	worse, total := 0, 0
	for range 3000 {
		s := subjects[rng.IntN(len(subjects))]
		r := []Record{{By: ByKey, Hash: s.Key}, {By: ByHost, Hash: s.Host}, {By: ByTag, Hash: s.Tags[0]}, prefix(s.Text[:rng.IntN(len(s.Text))+1], false)}[rng.IntN(4)]
		r.Soft = rng.IntN(2) == 0
		all = append(all, rec{j.Add(r), r})

		s = subjects[rng.IntN(len(subjects))]
		began := Mark(max(0, len(all)-rng.IntN(12)))
		arrived := began + Mark(rng.IntN(6))
		want := Usable
		for _, e := range all[began:min(len(all), int(arrived))] {
			if selects(e.r, s) {
				if !e.r.Soft {
					want = Hard
				} else {
					want = max(want, Soft)
				}
			}
		}
		got := j.Judge(s, began, arrived).Kind
		if got < want {
			t.Fatalf("judged %v, the model says %v", got, want)
		}
		total++
		if got > want {
			worse++
		}
	}
	if worse > total/20 {
		t.Errorf("judged worse than the model in %d of %d: folding costs too much", worse, total)
	}
}

func TestFloorPurgesWhatIsOlder(t *testing.T) {
	j := New()
	for i := range maxEvents + 1 {
		j.Add(Record{By: ByKey, Hash: HashOf(ByKey, fmt.Sprint(i))})
	}
	s := subject("www", "a.test", "/")
	if v := j.Judge(s, 1, j.Now()); v.Kind != Hard {
		t.Errorf("fetched before the floor: %v, want hard", v)
	}
	if v := j.Judge(s, j.Now()-1, j.Now()); v.Kind != Usable {
		t.Errorf("fetched after the floor: %v, want usable", v)
	}
	if j.count > maxEvents {
		t.Errorf("%d events kept", j.count)
	}
}

func TestConcurrentUse(t *testing.T) {
	j := New()
	s := subject("www", "a.test", "/")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				m := j.Add(Record{By: ByKey, Hash: s.Key})
				if v := j.Judge(s, m-1, j.Now()); v.Kind != Hard {
					t.Error("a record that Add has returned is not seen")
					return
				}
			}
		})
	}
	wg.Wait()
	if j.Now() != 2000 {
		t.Errorf("mark %d after 2000 records", j.Now())
	}
}

func BenchmarkJudge(b *testing.B) {
	j := New()
	s := subject("www", "www.example.com", "/some/path/of/usual/length.html", "a", "b", "c")
	for i := range 1000 {
		j.Add(Record{By: ByKey, Hash: HashOf(ByKey, fmt.Sprint(i))})
	}
	j.Add(prefix("www.example.org/", false))
	b.ReportAllocs()
	for b.Loop() {
		if j.Judge(s, 0, j.Now()).Kind != Usable {
			b.Fatal("purged")
		}
	}
}
