package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func pattern(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(p)
	return p
}

// read reads a body from off to its end.
func read(b *Body, off int64, resumable bool) ([]byte, error) {
	var r Reader
	r.Open(b, off, resumable)
	defer r.Close()
	var got []byte
	for {
		p, err := r.Next(context.Background())
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, p...)
	}
}

// pieces is a source that gives what it has in pieces of up to n bytes.
type pieces struct {
	p   []byte
	n   int
	err error // at the end, io.EOF if nil
}

func (s *pieces) Read(p []byte) (int, error) {
	if len(s.p) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.n)], s.p)
	s.p = s.p[n:]
	return n, nil
}

func TestEveryReaderGetsEveryByte(t *testing.T) {
	f := func(size int, known, whole bool, piece int) {
		t.Helper()
		want := pattern(size)
		budget := NewBudget(64 << 20)
		announced := int64(-1)
		if known {
			announced = int64(size)
		}
		b := NewBody(announced, `"v"`, whole, budget)
		var wg sync.WaitGroup
		for i := range 4 {
			off := int64(size * i / 5)
			if !whole {
				off = 0 // all there from the beginning, none can fetch by itself
			}
			var r Reader
			r.Open(b, off, false) // before the fill begins
			wg.Go(func() {
				defer r.Close()
				var got []byte
				for {
					p, err := r.Next(context.Background())
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Errorf("size %d: reader from %d: %v", size, off, err)
						return
					}
					got = append(got, p...)
				}
				if !bytes.Equal(got, want[off:]) {
					t.Errorf("size %d known %v whole %v: reader from %d got %d bytes that differ from the %d sent", size, known, whole, off, len(got), len(want[off:]))
				}
			})
		}
		if err := b.Fill(context.Background(), &pieces{p: want, n: piece}, 32<<20, nil); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		wg.Wait()
		if whole {
			if got, err := read(b, 0, false); err != nil || !bytes.Equal(got, want) {
				t.Errorf("size %d: read after the end: %d bytes, %v", size, len(got), err)
			}
		}
		b.Orphan()
		if budget.Used() != 0 {
			t.Errorf("size %d known %v whole %v: %d bytes of the budget are not given back", size, known, whole, budget.Used())
		}
	}
	for _, size := range []int{0, 1, 511, 4096, 4097, 65535, 65536, 65537, 300_000, 3 << 20} {
		for _, piece := range []int{700, 1 << 20} {
			f(size, true, true, piece)
			f(size, false, true, piece)
			f(size, true, false, piece)
			f(size, false, false, piece)
		}
	}
}

func TestDeathOfTheSource(t *testing.T) {
	f := func(name string, announced int64, src io.Reader, want string) {
		t.Helper()
		budget := NewBudget(1 << 20)
		b := NewBody(announced, "", true, budget)
		err := b.Fill(context.Background(), src, 1<<20, nil)
		if err == nil {
			t.Fatalf("%s: the fill says that all is well", name)
		}
		got, rerr := read(b, 0, false)
		if rerr == nil || rerr == io.EOF {
			t.Errorf("%s: a reader takes it for whole", name)
		}
		if string(got) != want {
			t.Errorf("%s: read %q before the end, want %q", name, got, want)
		}
		if _, ok := b.Small(); ok {
			t.Errorf("%s: it looks finished", name)
		}
		b.Orphan()
		if budget.Used() != 0 {
			t.Errorf("%s: %d bytes not given back", name, budget.Used())
		}
	}
	f("an error in the middle", 10, &pieces{p: []byte("12345"), n: 9, err: errors.New("reset")}, "12345")
	f("shorter than announced", 10, &pieces{p: []byte("12345"), n: 9}, "12345")
	f("longer than announced", 5, &pieces{p: []byte("1234567"), n: 9}, "")
	f("an error without length", -1, &pieces{p: []byte("12345"), n: 9, err: io.ErrUnexpectedEOF}, "12345")
}

// A window: the fill goes on with the fastest of the readers that can help
// themselves, and waits for the slowest of those that cannot.
func TestWindow(t *testing.T) {
	f := func(name string, slowResumes bool) {
		synctest.Test(t, func(t *testing.T) {
			const size = 8 << 20
			want := pattern(size)
			budget := NewBudget(64 << 20)
			b := NewBody(size, `"v"`, false, budget)
			var fast, slow Reader
			fast.Open(b, 0, slowResumes)
			slow.Open(b, 0, slowResumes)
			done := make(chan error, 1)
			go func() { done <- b.Fill(t.Context(), &pieces{p: want, n: 1 << 20}, 0, nil) }()

			first, err := slow.Next(t.Context()) // before the fast one can overtake it
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var peak int64
			fastDone := make(chan int)
			go func() {
				n := 0
				for {
					p, err := fast.Next(t.Context())
					if err != nil {
						fast.Close()
						fastDone <- n
						return
					}
					n += len(p)
					peak = max(peak, budget.Used())
				}
			}()
			synctest.Wait()
			if peak > windowSize+ChunkSize {
				t.Errorf("%s: the window held %d bytes", name, peak)
			}
			if slowResumes {
				select {
				case n := <-fastDone:
					if n != size {
						t.Errorf("%s: the fast reader got %d bytes", name, n)
					}
				default:
					t.Fatalf("%s: a slow reader that can help itself holds the fast one", name)
				}
				if _, err := slow.Next(t.Context()); err != ErrPassed {
					t.Errorf("%s: the slow reader got %v, want ErrPassed", name, err)
				}
				slow.Close()
				if err := <-done; err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else {
				select {
				case <-fastDone:
					t.Fatalf("%s: the window passed a reader that cannot help itself", name)
				default:
				}
				got := append([]byte(nil), first...)
				for {
					p, err := slow.Next(t.Context())
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					got = append(got, p...)
				}
				slow.Close()
				<-fastDone
				if err := <-done; err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %v, %d bytes", name, err, len(got))
				}
			}
			b.Orphan()
			if budget.Used() != 0 {
				t.Errorf("%s: %d bytes not given back", name, budget.Used())
			}
		})
	}
	f("resumable", true)
	f("not resumable", false)
}

// Without room in the budget a body still moves, one chunk at a time.
func TestFullBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(100)
		want := pattern(1 << 20)
		b := NewBody(int64(len(want)), "", true, budget)
		var shrunk int
		b.OnShrink(func() { shrunk++ })
		done := make(chan error, 1)
		go func() { done <- b.Fill(t.Context(), &pieces{p: want, n: 1 << 20}, 1<<30, nil) }()
		got, err := read(b, 0, false)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if b.Whole() || shrunk != 1 {
			t.Errorf("whole %v, told %d times that it shrank", b.Whole(), shrunk)
		}
		b.Orphan()
		if budget.Used() != 0 {
			t.Errorf("%d bytes not given back", budget.Used())
		}
	})
}

func TestFillEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(1 << 30)
		b := NewBody(-1, "", false, budget)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Fill(ctx, &pieces{p: pattern(4 << 20), n: 1 << 20}, 0, nil) }()
		time.Sleep(time.Second) // the window is full and nobody reads
		cancel(ErrAbandoned)
		if err := <-done; err != ErrAbandoned {
			t.Errorf("got %v", err)
		}
		if _, err := read(b, 0, false); err != ErrAbandoned {
			t.Errorf("a reader got %v", err)
		}
		b.Orphan()
		if budget.Used() != 0 {
			t.Errorf("%d bytes not given back", budget.Used())
		}
	})
}

// What the tier lets go while it is read goes on the budget, and beyond that is
// let go under its readers.
func TestEvictedWhileItIsRead(t *testing.T) {
	f := func(limit int64, want error) {
		t.Helper()
		budget := NewBudget(1 << 30)
		b := NewBody(-1, "", true, budget)
		if err := b.Fill(context.Background(), &pieces{p: pattern(200_000), n: 1 << 20}, 1<<30, nil); err != nil {
			t.Fatal(err)
		}
		b.Charged()
		if budget.Used() != 0 {
			t.Fatalf("%d bytes on the budget of a body that the tier pays for", budget.Used())
		}
		budget.limit = limit
		var r Reader
		r.Open(b, 0, false)
		if _, err := r.Next(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.Evicted()
		_, err := r.Next(context.Background())
		if err != want {
			t.Errorf("limit %d: got %v, want %v", limit, err, want)
		}
		if want == nil && budget.Used() != 200_000 {
			t.Errorf("%d bytes on the budget", budget.Used())
		}
		r.Close()
		if budget.Used() != 0 {
			t.Errorf("limit %d: %d bytes not given back", limit, budget.Used())
		}
	}
	f(1<<30, nil)
	f(1000, ErrPassed)
}

func BenchmarkFillSmall(b *testing.B) {
	src := pattern(4096)
	budget := NewBudget(1 << 30)
	b.ReportAllocs()
	for b.Loop() {
		body := NewBody(4096, "", true, budget)
		if err := body.Fill(context.Background(), bytes.NewReader(src), 1<<20, nil); err != nil {
			b.Fatal(err)
		}
		body.Charged()
	}
}
