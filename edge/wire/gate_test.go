package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var limits = Limits{HeadBytes: 1000, TargetBytes: 100, Fields: 10, HeadTimeout: time.Second}

// stream is a connection that gives bytes in pieces.
type stream struct {
	net.Conn
	r     io.Reader
	piece int
}

func (s *stream) Read(p []byte) (int, error)      { return s.r.Read(p[:min(len(p), s.piece)]) }
func (s *stream) SetReadDeadline(time.Time) error { return nil }
func gate(in string, piece int) *Gate {
	return NewGate(&stream{r: strings.NewReader(in), piece: piece}, &limits)
}

// through is what the gate hands on of in, and what it refuses.
func through(in string, piece int) (out string, r *Refusal, err error) {
	g := gate(in, piece)
	b, err := io.ReadAll(g)
	return string(b), g.Refused(), err
}

func TestCleanBytesAreUntouched(t *testing.T) {
	f := func(in string) {
		t.Helper()
		for _, piece := range []int{1, 3, 7, 4096} {
			if out, r, err := through(in, piece); out != in || r != nil || err != nil {
				t.Errorf("in pieces of %d: %q\nbecame %q, %v, %v", piece, in, out, r, err)
			}
		}
	}
	get := "GET /a?b=c HTTP/1.1\r\nHost: a.test\r\nX: \xc3\xa9 y\r\n\r\n"
	f(get)
	f(get + get + get)
	f("GET / HTTP/1.0\r\n\r\n")
	f("GET http://a.test/x HTTP/1.1\r\nHost: A.test\r\n\r\n")
	f("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	f("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nbo\ndy\r\n" + get)
	f("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + get)
	f("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: v\r\n\r\n" + get)
	f("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n" + get)
	f("GET / HTTP/1.1\r\nHost:\r\n\r\n") // an empty Host is the handler's to judge
}

func TestRefused(t *testing.T) {
	f := func(in string, status int, why string) {
		t.Helper()
		for _, piece := range []int{1, 4096} {
			out, r, err := through(in, piece)
			if r == nil || r.Status != status || !strings.Contains(r.Why, why) {
				t.Errorf("%q: %v, want %d %s", in, r, status, why)
				continue
			}
			if out != substitute || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%q: handed on %q, %v", in, out, err)
			}
		}
	}
	host := "Host: a\r\n"
	f("GET / HTTP/1.1\n"+host+"\r\n", 400, "")
	f("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "carriage return")
	f("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "carriage return")
	f("GET  / HTTP/1.1\r\n"+host+"\r\n", 400, "one space")
	f("GET /a b HTTP/1.1\r\n"+host+"\r\n", 400, "version")
	f("GET / \r\n"+host+"\r\n", 400, "version")
	f("GET /\r\n"+host+"\r\n", 400, "one space")
	f("GE(T / HTTP/1.1\r\n"+host+"\r\n", 400, "method")
	f("GET /\xc3\xa9 HTTP/1.1\r\n"+host+"\r\n", 400, "escaped")
	f("GET /a#b HTTP/1.1\r\n"+host+"\r\n", 400, "escaped")
	f("GET / HTTP/1.9\r\n"+host+"\r\n", 505, "HTTP/1.1")
	f("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1")
	f("GET / http/1.1\r\n"+host+"\r\n", 400, "version")
	f("GET / HTTP/1.1\r\n\r\n", 400, "no Host")
	f("GET / HTTP/1.1\r\n"+host+host+"\r\n", 400, "more than one Host")
	f("GET http://b/ HTTP/1.1\r\n"+host+"\r\n", 400, "another host")
	f("GET / HTTP/1.1\r\n"+host+"X : y\r\n\r\n", 400, "space before its colon")
	f("GET / HTTP/1.1\r\n"+host+" folded\r\n\r\n", 400, "folded")
	f("GET / HTTP/1.1\r\n"+host+"X: a\r\n\tb\r\n\r\n", 400, "folded")
	f("GET / HTTP/1.1\r\n"+host+"nocolon\r\n\r\n", 400, "no colon")
	f("GET / HTTP/1.1\r\n"+host+"X: a\rb\r\n\r\n", 400, "control")
	f("GET / HTTP/1.1\r\n"+host+"X: a\x00b\r\n\r\n", 400, "control")
	f("POST / HTTP/1.1\r\n"+host+"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400, "more than one Content-Length")
	for _, n := range []string{"+1", "-1", "0x1", "1,1", "1 1", "", "1a", "9999999999999999999", "18446744073709551617"} {
		f("POST / HTTP/1.1\r\n"+host+"Content-Length: "+n+"\r\n\r\nx", 400, "not a number")
	}
	f("POST / HTTP/1.1\r\n"+host+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "beside")
	f("POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "more than one Transfer")
	for _, c := range []string{"xchunked", "gzip, chunked", "chunked, identity", "identity", "\"chunked\"", "chunked;q=1", ""} {
		f("POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: "+c+"\r\n\r\n0\r\n\r\n", 501, "other than chunked")
	}
	f("POST / HTTP/1.1\r\n"+host+"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, "control")
	f("POST / HTTP/1.0\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP/1.0")
	f("GET /"+strings.Repeat("x", 100)+" HTTP/1.1\r\n"+host+"\r\n", 414, "longer")
	f("GET / HTTP/1.1\r\n"+host+strings.Repeat("X: y\r\n", 10)+"\r\n", 431, "more fields")
	f("GET / HTTP/1.1\r\n"+host+"X: "+strings.Repeat("y", 1000)+"\r\n\r\n", 431, "larger")
	f("GET / HTTP/1.1\r\n"+host+"X: "+strings.Repeat("y", 2000), 431, "larger")
	f(strings.Repeat("x", 2000), 414, "too long")
}

// A refused head does not overtake the clean ones before it.
func TestRefusedAfterClean(t *testing.T) {
	clean := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	out, r, _ := through(clean+"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"+clean, 4096)
	if out != clean+substitute || r == nil {
		t.Errorf("%q, %v", out, r)
	}
}

func TestMalformedChunks(t *testing.T) {
	head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	f := func(in string) {
		t.Helper()
		out, _, err := through(head+in+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 4096)
		if !errors.Is(err, errChunk) || strings.Contains(out, "smuggled") {
			t.Errorf("%q: handed on %q, %v", in, out, err)
		}
	}
	f("\r\n")
	f("g\r\n")
	f("0x5\r\nhello\r\n0\r\n\r\n")
	f("+5\r\nhello\r\n0\r\n\r\n")
	f("5 \r\nhello\r\n0\r\n\r\n")
	f("5\nhello\r\n0\r\n\r\n")
	f("5\r\nhello\n0\r\n\r\n")
	f("5\r\nhelloX\r\n0\r\n\r\n")
	f("5;a\nb\r\nhello\r\n0\r\n\r\n")
	f("5;a\rb\r\nhello\r\n0\r\n\r\n")
	f("10000000000000000\r\n")
	f("0\r\nno colon\r\n\r\n")
	f("0\r\n folded: x\r\n\r\n")
	f("0\r\nA: b\n\r\n")
	f("5;" + strings.Repeat("x", 2000) + "\r\nhello\r\n0\r\n\r\n")
}

func TestTimeForAHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer func() { client.Close(); time.Sleep(time.Second) }() // the writer below ends
		g := NewGate(server, &limits)
		if err := g.SetReadDeadline(time.Now().Add(time.Hour)); err != nil { // the idle time-out
			t.Fatal(err)
		}
		go func() {
			time.Sleep(30 * time.Minute) // idle, as it may be
			for range 10 {
				if _, err := io.WriteString(client, "G"); err != nil {
					return
				}
				time.Sleep(300 * time.Millisecond)
			}
		}()
		began := time.Now()
		_, err := g.Read(make([]byte, 100))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began) - 30*time.Minute; took < time.Second || took > 1300*time.Millisecond {
			t.Errorf("a dripping head was cut after %v, want 1 s", took)
		}
	})
}

// sink is a connection that notes each write.
type sink struct {
	net.Conn
	writes []string
	closed bool
}

func (s *sink) Write(p []byte) (int, error) {
	s.writes = append(s.writes, string(p))
	return len(p), nil
}
func (s *sink) Close() error { s.closed = true; return nil }

func TestHeldAnswersLeaveInOneWrite(t *testing.T) {
	f := func(name string, do func(g *Gate), want ...string) {
		t.Helper()
		s := &sink{}
		do(NewGate(s, &limits))
		if !slices.Equal(s.writes, want) {
			t.Errorf("%s: %d writes %.60q", name, len(s.writes), s.writes)
		}
	}
	write := func(g *Gate, p string) { _, _ = io.WriteString(g, p) }
	f("not held", func(g *Gate) { write(g, "a"); write(g, "b") }, "a", "b")
	f("held", func(g *Gate) { g.Hold(); write(g, "a"); write(g, "b"); _ = g.Release(); write(g, "c") }, "ab", "c")
	f("closed", func(g *Gate) { g.Hold(); write(g, "a"); _ = g.Close() }, "a")
	f("nothing held", func(g *Gate) { g.Hold(); _ = g.Release(); _ = g.Release() })
	f("answered", func(g *Gate) {
		g.Answer(func(b []byte) []byte { return append(b, "ours"...) })
		write(g, "net/http's")
		_ = g.Release()
		write(g, "next")
	}, "ours", "next")
	big := strings.Repeat("x", HoldMost)
	f("too much", func(g *Gate) { g.Hold(); write(g, "a"); write(g, big); write(g, "b") }, "a", big, "b")
}

func TestOpaque(t *testing.T) {
	g := gate("GET / HTTP/1.1\r\nHost: a\r\n\r\n\x00\x01 not http\n\n", 4096)
	p := make([]byte, 100)
	n, _ := g.Read(p)
	if string(p[:n]) != "GET / HTTP/1.1\r\nHost: a\r\n\r\n" {
		t.Fatalf("%q", p[:n])
	}
	g.Opaque()
	if b, err := io.ReadAll(g); string(b) != "\x00\x01 not http\n\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

// Whatever the gate hands on net/http reads as the same requests with the same
// bodies: nothing is a head to one and a body to the other.
func FuzzGateAgreesWithNetHTTP(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(s), 4096)
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		if piece < 1 || piece > 1<<16 {
			return
		}
		out, r, err := through(string(in), piece)
		if whole, r2, _ := through(string(in), 1<<16); !errors.Is(err, errChunk) && out != whole || !strings.HasPrefix(out, whole) || (r == nil) != (r2 == nil) {
			t.Fatalf("in pieces of %d it hands on %q, at once %q", piece, out, whole)
		}
		heads := 0
		br := bufio.NewReader(strings.NewReader(out))
		for {
			req, rerr := http.ReadRequest(br)
			if rerr != nil {
				// net/http may be stricter (a Host or a target that it cannot
				// parse): then it closes, which is safe.
				break
			}
			heads++
			if strings.HasPrefix(out, substitute) && heads == 1 {
				break
			}
			if _, berr := io.Copy(io.Discard, req.Body); berr != nil {
				// Only because the input ends inside the body, or its trailer is too long for it.
				if !strings.Contains(berr.Error(), "EOF") && !strings.Contains(berr.Error(), "trailer") && !errors.Is(err, errChunk) {
					t.Fatalf("net/http does not read the body of what was handed on: %v\n%q", berr, out)
				}
				break
			}
		}
		if strings.HasSuffix(out, substitute) {
			return
		}
		// Nothing is changed, but an empty line before a head may be left out.
		rest := in
		for k := 0; k < len(out); k++ {
			if !bytes.HasPrefix(rest, []byte{out[k]}) {
				rest = bytes.TrimPrefix(rest, crlf)
			}
			if !bytes.HasPrefix(rest, []byte{out[k]}) {
				t.Fatalf("bytes were changed: %q became %q", in, out)
			}
			rest = rest[1:]
		}
	})
}

func BenchmarkGate(b *testing.B) {
	head := []byte("GET /some/path/of/usual/length.html?v=123 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\nAccept-Language: en\r\nCookie: a=b; c=d\r\n\r\n")
	r := &repeat{p: head}
	g := NewGate(&stream{r: r, piece: len(head)}, &limits)
	p := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if n, err := g.Read(p); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}

type repeat struct{ p []byte }

func (r *repeat) Read(p []byte) (int, error) { return copy(p, r.p), nil }

func (s *sink) SetWriteDeadline(time.Time) error { return nil }
