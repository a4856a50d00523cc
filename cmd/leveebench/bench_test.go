package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	f := func(want float64, values ...float64) {
		t.Helper()
		before := slices.Clone(values)
		if got := median(values); got != want {
			t.Errorf("median of %v: %v, want %v", values, got, want)
		}
		if !slices.Equal(before, values) {
			t.Errorf("median changed its argument: %v, was %v", values, before)
		}
	}
	f(0)
	f(7, 7)
	f(2, 3, 1)
	f(3, 9, 1, 3)
	f(2.5, 4, 1, 2, 3)
}

func TestSumAndTable(t *testing.T) {
	r := result{Scenario: "hit1k", What: "1 KiB hit", Subject: "levee", Rounds: []sample{{12, 100, 1}, {10, 300, 1}, {17, 200, 1}}, Ratio: 1.5}
	r.sum()
	if r.Micros != 12 || r.PerSecond != 200 || r.Low != 10 || r.High != 17 {
		t.Errorf("%+v", r)
	}
	var out strings.Builder
	alone := r
	alone.Ratio = 0
	if err := (&report{Rounds: 3, Seconds: 2, Results: []result{r, alone}}).markdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"medians of 3 rounds of 2 s", "| 1 KiB hit | levee | 12.0 | 10.0–17.0 | 200 | 1.50 |\n", "| 200 | – |\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestParseStat(t *testing.T) {
	f := func(line string, want stat, fails bool) {
		t.Helper()
		got, err := parseStat(line)
		if (err != nil) != fails || !fails && got != want {
			t.Errorf("%q: %+v, %v; want %+v", line, got, err, want)
		}
	}
	const rest = " S 12 13 13 0 -1 4194560 100 200 0 0 150 50 7 3 20 0 1 0 100 0 0"
	want := stat{13, 12, 2100 * time.Millisecond}
	f("13 (nginx)"+rest, want, false)
	f("13 (a) b) (c)"+rest, want, false) // a command may have any name
	f("13 (nginx: worker process)"+rest+"\n", want, false)
	f("", stat{}, true)
	f("13 nginx"+rest, stat{}, true)
	f("x (nginx)"+rest, stat{}, true)
	f("13 (nginx) S 12 13", stat{}, true)
	f("13 (nginx)"+strings.Replace(rest, "150", "1x0", 1), stat{}, true)

	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("no /proc here")
	}
	if s, err := parseStat(string(own)); err != nil || s.pid != os.Getpid() || s.parent != os.Getppid() {
		t.Errorf("/proc/self/stat: %+v, %v", s, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("13 (nginx) S 12 13 13 0 -1 4194560 100 200 0 0 150 50 7 3 20 0 1 0 100 0 0")
	f.Add(") (")
	f.Fuzz(func(t *testing.T, line string) {
		if s, err := parseStat(line); err == nil && !strings.Contains(line, "(") {
			t.Errorf("%q is read as %+v", line, s)
		}
	})
}

func TestSumTree(t *testing.T) {
	all := []stat{{1, 0, 1}, {10, 1, 2}, {11, 10, 4}, {12, 11, 8}, {20, 1, 16}}
	f := func(pid int, want time.Duration, found bool) {
		t.Helper()
		if got, ok := sumTree(all, pid); got != want || ok != found {
			t.Errorf("%d: %d, %v; want %d, %v", pid, got, ok, want, found)
		}
	}
	f(10, 14, true)
	f(20, 16, true)
	f(1, 31, true)
	f(99, 0, false)
}

func TestParseHead(t *testing.T) {
	f := func(text string, want head, ok, fails bool) {
		t.Helper()
		got, done, err := parseHead([]byte(text))
		if done != ok || (err != nil) != fails || ok && got != want {
			t.Errorf("%q: %+v, %v, %v; want %+v, %v", text, got, done, err, want, ok)
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", head{200, 5, 38}, true, false)
	f("HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", head{404, 0, 44}, true, false)
	f("HTTP/1.1 200 OK\r\nX-Content-Length: 5\r\n\r\n", head{200, -1, 40}, true, false)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", head{}, false, false) // more must come
	f("HTTP/2.0 200 OK\r\n\r\n", head{}, false, true)
	f("HTTP/1.1 2x0 OK\r\n\r\n", head{}, false, true)
	f("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", head{}, false, true)
	f("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", head{}, false, true)
	f("\r\n\r\n", head{}, false, true)
}

func FuzzParseHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok, err := parseHead(b)
		if ok && (err != nil || h.end < 4 || h.end > len(b) || h.length < -1) {
			t.Errorf("%q: %+v, %v", b, h, err)
		}
	})
}

const h2loadReport = `starting benchmark...
Application protocol: h2

finished in 2.00s, 51234.50 req/s, 52.31MB/s
requests: 102469 total, 102789 started, 102469 done, 102469 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 102470 2xx, 0 3xx, 0 4xx, 0 5xx
`

func TestParseH2load(t *testing.T) {
	f := func(text string, want int64, fails bool) {
		t.Helper()
		got, err := parseH2load(text, time.Second)
		if (err != nil) != fails || got.Requests != want {
			t.Errorf("%d, %v; want %d, error %v", got.Requests, err, want, fails)
		}
	}
	f(h2loadReport, 102469, false)
	f(strings.Replace(h2loadReport, "0 failed", "1 failed", 1), 0, true)
	f(strings.Replace(h2loadReport, "102469 succeeded", "0 succeeded", 1), 0, true)
	f(strings.Replace(h2loadReport, "protocol: h2", "protocol: http/1.1", 1), 0, true)
	f(strings.Replace(h2loadReport, "102469 done", "99999999999999999999 done", 1), 0, true)
	f("", 0, true)
}

func TestSizeOf(t *testing.T) {
	f := func(target string, want int, ok bool) {
		t.Helper()
		if n, good := sizeOf(target); good != ok || ok && n != want {
			t.Errorf("%q: %d, %v", target, n, good)
		}
	}
	f("/1024/a", 1024, true)
	f("/0/", 0, true)
	f("/1024", 0, false)
	f("/-1/a", 0, false)
	f("/99999999999/a", 0, false)
	f("/x/a", 0, false)
	f("", 0, false)
}

func TestReadRequest(t *testing.T) {
	f := func(text, want string, fails bool) {
		t.Helper()
		got, err := readRequest(bufio.NewReaderSize(strings.NewReader(text), 64))
		if got != want || (err != nil) != fails {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	f("GET /1/a HTTP/1.1\r\nHost: x\r\n\r\n", "/1/a", false)
	f("GET /1/a HTTP/1.1\r\nHost: x\r\n", "", true)
	f("POST /1/a HTTP/1.1\r\n\r\n", "", true)
	f("GET /1/a\r\n\r\n", "", true)
	f("GET /1/a HTTP/1.1\r\nX: "+strings.Repeat("y", 100)+"\r\n\r\n", "", true)
}

// testOrigin serves an origin for the load.
func testOrigin(t *testing.T) (o *benchOrigin, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o = &benchOrigin{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go o.serve(c)
		}
	}()
	return o, l.Addr().String()
}

// TestLoad puts the load on the origin itself: each request that is tallied was
// served, and an answer of another size ends the round.
func TestLoad(t *testing.T) {
	o, addr := testOrigin(t)
	var out bytes.Buffer
	args := []string{"load", "-addr", addr, "-conns", "4", "-seconds", "0.2", "-size", "70000", "-unique"}
	var errs bytes.Buffer
	if code := run(t.Context(), args, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var got tally
	if err := decodeTally(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if n := o.served.Load(); got.Requests != n || n == 0 || got.Took < 200*time.Millisecond {
		t.Errorf("%+v, the origin served %d", got, n)
	}
	n, err := count(addr)
	if err != nil || n != got.Requests {
		t.Errorf("the origin counts %d, %v; %d were asked for", n, err, got.Requests)
	}
	c, err := dial(addr, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	if err := c.exchange(requestFor(nil, "/100/a"), 101); err == nil || !strings.Contains(err.Error(), "200 with 101 was expected") {
		t.Errorf("an answer of another size: %v", err)
	}
	if _, err := fetch(addr, false, "/nothing"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("fetch of a 404: %v", err)
	}
}

func TestBadLoad(t *testing.T) {
	f := func(answer, want string) {
		t.Helper()
		here, there := net.Pipe()
		defer here.Close()
		go func() {
			defer there.Close()
			_, _ = readRequest(bufio.NewReader(there))
			_, _ = io.WriteString(there, answer)
		}()
		c := &client{conn: here, buf: make([]byte, 256)}
		if err := c.exchange(requestFor(nil, "/5/a"), 5); fmt.Sprint(err) != want && (want == "<nil>" || !strings.Contains(fmt.Sprint(err), want)) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "<nil>")
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "2 bytes before the end")
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", "1 bytes more")
	f("HTTP/1.1 502 Bad\r\nContent-Length: 5\r\n\r\nhello", "an answer of 502")
	f("HTTP/1.1 200 OK\r\nContent-Le", "ended within a head")
	f("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("y", 300), "a head of more than 256")
}

func TestUsage(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		var errs bytes.Buffer
		if code := run(context.Background(), args, io.Discard, &errs); code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: exit code %d, %q; want 2 with %q", args, code, errs.String(), want)
		}
	}
	f("write 1 to 100", "-rounds", "0")
	f("write 0.2 to 60", "-seconds", "0.1")
	f("write levee, nginx", "-subjects", "apache")
	f("write some of hit1k", "-scenarios", "hit1k,hit2k")
	f("there are only flags", "measure")
	f("not defined", "-fast")
	f("number of a core", "pinned", "x", "true")

	o, err := parse([]string{"-scenarios", "miss4k,hit1k-h2", "-seconds", "0.5", "-subjects", "levee"}, io.Discard)
	if err != nil || len(o.scenarios) != 2 || !o.scenarios[0].Miss || o.scenarios[1].Streams != 10 || o.length != 500*time.Millisecond {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestProfileLines(t *testing.T) {
	const text = "# Samples: 12\n\n    17.27%  [k] spin                    -      -            \n     3.70%  [.] vdso\n     2.00%  [.] third\n"
	got := profileLines(text, 2)
	if want := []string{"    17.27%  [k] spin", "     3.70%  [.] vdso"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
