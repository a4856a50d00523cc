package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// sink is a writer that can block, fail and take parts.
type sink struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	calls int
	do    func(n int, p []byte) (int, error) // nil: take all; n counts the calls from 0
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	n := s.calls
	s.calls++
	s.mu.Unlock()
	k, err := len(p), error(nil)
	if s.do != nil {
		k, err = s.do(n, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p[:k])
	return k, err
}

func (s *sink) ids(t *testing.T) []string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return ids(t, s.buf.Bytes())
}

func ids(t *testing.T, text []byte) (out []string) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var r struct{ ID string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, r.ID)
	}
	return out
}

func put(l *Log, from, to int) {
	for i := from; i < to; i++ {
		l.Put(&Record{ID: fmt.Sprint(i)})
	}
}

// numbers is "from … to-1" as ids.
func numbers(from, to int) string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return fmt.Sprint(s)
}

func TestOrderAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(sink)
		l := New(s, 1000)
		put(l, 0, 100)
		time.Sleep(linger)
		synctest.Wait()
		if got := fmt.Sprint(s.ids(t)); got != numbers(0, 100) || s.calls != 1 {
			t.Errorf("%s in %d writes", got, s.calls)
		}
		put(l, 100, 150)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(s.ids(t)); got != numbers(0, 150) || l.Lines() != 150 || l.Dropped() != 0 {
			t.Errorf("%s; %d lines, %d dropped", got, l.Lines(), l.Dropped())
		}
		put(l, 0, 3)
		if l.Dropped() != 3 || l.Lines() != 150 {
			t.Errorf("after Close: %d lines, %d dropped", l.Lines(), l.Dropped())
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := l.Reopen(); err != nil {
			t.Errorf("Reopen without a path: %v", err)
		}
	})
}

// TestBlockedWriter: a writer that hangs costs lines, never time; what was queued comes once it goes on.
func TestBlockedWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		s := &sink{do: func(n int, p []byte) (int, error) { <-release; return len(p), nil }}
		l := New(s, 10)
		put(l, 0, 1)
		time.Sleep(linger)
		synctest.Wait() // the writer hangs in its first write
		start := time.Now()
		put(l, 1, 100)
		if d := time.Since(start); d != 0 {
			t.Errorf("Put waited %v", d)
		}
		if n := l.Dropped(); n != 89 {
			t.Errorf("%d dropped, want 89 of 99 with room for 10", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Close of a hanging log: %v after %v", err, time.Since(start))
		}
		close(release)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(s.ids(t)); got != numbers(0, 11) || l.Lines() != 11 {
			t.Errorf("%s, %d lines", got, l.Lines())
		}
	})
}

// TestByteBound: long lines are bounded by their bytes.
func TestByteBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		s := &sink{do: func(n int, p []byte) (int, error) { <-release; return len(p), nil }}
		l := New(s, 1000)
		put(l, 0, 1)
		time.Sleep(linger)
		synctest.Wait()
		for range 1000 {
			l.Put(&Record{Path: strings.Repeat("a", 100_000), UserAgent: strings.Repeat("b", 100_000)})
		}
		held := 1000 - int(l.Dropped())
		if bytes := held * 2 * maxField; held == 0 || bytes > 1000*lineBytes {
			t.Errorf("%d lines of 16 KiB are held, %d bytes; the bound is %d", held, bytes, 1000*lineBytes)
		}
		close(release)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestFailingWriter: an error is counted and tried again, later and later; a part that was taken is not written twice.
func TestFailingWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		s := &sink{do: func(n int, p []byte) (int, error) {
			at = append(at, time.Since(start))
			switch n {
			case 0:
				return 0, syscall.ENOSPC
			case 1:
				return 0, syscall.EPIPE
			case 2:
				return 0, io.ErrShortWrite
			case 3:
				return 7, syscall.ENOSPC
			}
			return len(p), nil
		}}
		l := New(s, 100)
		put(l, 0, 5)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := fmt.Sprint([]time.Duration{linger, linger + 50e6, linger + 150e6, linger + 350e6, linger + 400e6}); fmt.Sprint(at) != want {
			t.Errorf("written at %v, want %s", at, want)
		}
		if l.Failures() != 4 || l.Dropped() != 0 || l.Lines() != 5 {
			t.Errorf("%d failures, %d dropped, %d lines", l.Failures(), l.Dropped(), l.Lines())
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(s.ids(t)); got != numbers(0, 5) {
			t.Errorf("%s", got)
		}
	})
}

// TestCloseOfAFailingLog: Close does not try for ever, and counts what is lost.
func TestCloseOfAFailingLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{do: func(int, []byte) (int, error) { return 0, syscall.ENOSPC }}
		l := New(s, 100)
		put(l, 0, 5)
		time.Sleep(10 * time.Second)
		start := time.Now()
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		if l.Dropped() != 5 || l.Lines() != 0 || l.Failures() < 5 {
			t.Errorf("%d dropped, %d lines, %d failures", l.Dropped(), l.Lines(), l.Failures())
		}
	})
}

func TestConcurrent(t *testing.T) {
	s := new(sink)
	l := New(s, 100_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { put(l, 0, 2000) })
	}
	wg.Wait()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, id := range s.ids(t) {
		seen[id]++
	}
	for id, n := range seen {
		if n != 8 {
			t.Errorf("line %s came %d times", id, n)
		}
	}
	if len(seen) != 2000 || l.Lines() != 16000 || l.Dropped() != 0 {
		t.Errorf("%d ids, %d lines, %d dropped", len(seen), l.Lines(), l.Dropped())
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte(`{"id":"before"}`+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	l, err := Open(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	until := func(n uint64) {
		t.Helper()
		for start := time.Now(); l.Lines() < n; time.Sleep(time.Millisecond) {
			if time.Since(start) > 5*time.Second {
				t.Fatalf("%d lines after 5 s, want %d", l.Lines(), n)
			}
		}
	}
	put(l, 0, 3)
	until(3)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put(l, 3, 4) // still to the moved file
	until(4)
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil { // twice in a row: the first's file is not leaked
		t.Fatal(err)
	}
	put(l, 4, 6)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := func(path, want string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(ids(t, text)); got != want {
			t.Errorf("%s holds %s, want %s", filepath.Base(path), got, want)
		}
	}
	f(path+".1", "[before 0 1 2 3]")
	f(path, "[4 5]")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	g := func(path string) {
		t.Helper()
		if l, err := Open(path, 1); err == nil || !strings.Contains(err.Error(), "access log") {
			t.Errorf("Open(%q) = %v, %v", path, l, err)
		}
	}
	g("")
	g(filepath.Join(t.TempDir(), "no", "such", "folder"))
	g(t.TempDir())
}

// TestReopenFails: the old file stays in use.
func TestReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	l, err := Open(filepath.Join(dir, "a"), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("reopened in a folder that is gone")
	}
	put(l, 0, 2)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir+".old", "a"))
	if got := fmt.Sprint(ids(t, text)); err != nil || got != "[0 1]" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestBrokenPipe: a reader of stdout that goes away does not end the process, which SIGPIPE would.
func TestBrokenPipe(t *testing.T) {
	if os.Getenv("ACCESSLOG_CHILD") != "" {
		l, err := Open("stdout", 10)
		if err != nil {
			t.Fatal(err)
		}
		for l.Failures() == 0 {
			put(l, 0, 1)
			time.Sleep(time.Millisecond)
		}
		fmt.Fprintln(os.Stderr, "still here")
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBrokenPipe$")
	cmd.Env = append(os.Environ(), "ACCESSLOG_CHILD=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	r.Read(make([]byte, 1))
	r.Close()
	cmd.Wait() // the child's test framework itself fails to print to the pipe: only what it said counts
	if !strings.Contains(stderr.String(), "still here") {
		t.Errorf("the child ended: %s", stderr.String())
	}
}

func BenchmarkPut(b *testing.B) {
	l := New(io.Discard, 1<<20)
	defer l.Close(context.Background())
	r := full()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Put(r)
		}
	})
	b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
}
