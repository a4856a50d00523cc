package tlscert

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// at is a connection that knows only where it arrived.
type at struct {
	net.Conn
	addr string
}

func (a at) LocalAddr() net.Addr  { return a }
func (a at) RemoteAddr() net.Addr { return a }
func (a at) Network() string      { return "tcp" }
func (a at) String() string       { return a.addr }

func TestNameOf(t *testing.T) {
	f := func(sni, local, want string) {
		t.Helper()
		got, err := nameOf(&tls.ClientHelloInfo{ServerName: sni, Conn: at{addr: local}})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("SNI %q at %s: %q, %v; want %q", sni, local, got, err, want)
		}
	}
	f("a.example", "192.0.2.1:443", "a.example")
	f("A.Example", "192.0.2.1:443", "a.example")
	f("xn--bcher-kva.example", "192.0.2.1:443", "xn--bcher-kva.example")
	f("_dmarc.example", "192.0.2.1:443", "_dmarc.example")
	f("", "192.0.2.1:443", "192.0.2.1")
	f("", "[2001:db8::1]:443", "2001:db8::1")
	f("", "[fe80::1%eth0]:443", "fe80::1")
	f("", "[::ffff:192.0.2.1]:443", "192.0.2.1")
	f("", "127.0.0.1:443", "localhost")
	f("", "[::1]:443", "localhost")
	f("", "[::]:443", "localhost")
	f("", "pipe", "localhost")
	f("192.0.2.1", "192.0.2.1:443", "192.0.2.1")
	f("192.0.2.2", "192.0.2.1:443", "") // somebody else's address
	f("127.0.0.2", "127.0.0.1:443", "localhost")
	f("127.0.0.1", "192.0.2.1:443", "")
	f("bücher.example", "192.0.2.1:443", "")
	f("a..b", "192.0.2.1:443", "")
	f(".a", "192.0.2.1:443", "")
	f("a.", "192.0.2.1:443", "")
	f("-a", "192.0.2.1:443", "")
	f("*.a", "192.0.2.1:443", "")
	f("../../etc/passwd", "192.0.2.1:443", "")
	f("a\x00b", "192.0.2.1:443", "")
	f(strings.Repeat("a", 64)+".b", "192.0.2.1:443", "")
	f(strings.Repeat("a.", 127), "192.0.2.1:443", "")
	f(strings.Repeat("a.", 126)+"a", "192.0.2.1:443", strings.Repeat("a.", 126)+"a")
}

// FuzzNameOf: what comes out is a host name or the local address, safe as a file name, and asked again gives itself.
func FuzzNameOf(f *testing.F) {
	for _, s := range []string{"", "a.example", "A", "*.x", "127.0.0.1", "::1", "fe80::1%eth0", "..", "/", "xn--a", "\xff", "192.0.2.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sni string) {
		name, err := nameOf(&tls.ClientHelloInfo{ServerName: sni, Conn: at{addr: "192.0.2.1:443"}})
		if err != nil {
			return
		}
		if strings.ContainsAny(name, "/\\*\x00 %") || strings.Contains(name, "..") || name == "" || len(name) > 253 {
			t.Errorf("SNI %q gives the name %q", sni, name)
		}
		if isAddress(name) && name != "192.0.2.1" {
			t.Errorf("SNI %q gives the address %q, which was not reached", sni, name)
		}
		if again, err := nameOf(&tls.ClientHelloInfo{ServerName: name, Conn: at{addr: "192.0.2.1:443"}}); err != nil || again != name {
			t.Errorf("%q becomes %q, %v", name, again, err)
		}
	})
}

// TestResumption: a session is resumed by every configuration of one Certs, and by none of another's.
func TestResumption(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Issuer: Internal, DataDir: dir})
	defer c.Close()
	other := open(t, Options{Issuer: Internal, DataDir: dir})
	defer other.Close()
	client := &tls.Config{RootCAs: trust(c.Root()), ServerName: "resume.example", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	f := func(conf *tls.Config, want bool) {
		t.Helper()
		cs, err := shake(serve(t, conf), client)
		if err != nil || cs.DidResume != want {
			t.Errorf("resumed %v, %v; want %v", cs.DidResume, err, want)
		}
	}
	f(c.TLSConfig(), false)
	f(c.TLSConfig(), true)
	f(c.TLSConfig().Clone(), true)
	f(other.TLSConfig(), false)
}

// TestTicketKeysTurn: keys are new after 12 hours, and the two before them still open tickets, for 36 hours in all.
func TestTicketKeysTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := newRing()
		if err != nil {
			t.Fatal(err)
		}
		first := r.current().keys[0]
		f := func(wait time.Duration, keys, place int) {
			t.Helper()
			time.Sleep(wait)
			k := r.current().keys
			at := -1
			for i := range k {
				if k[i] == first {
					at = i
				}
			}
			if len(k) != keys || at != place {
				t.Errorf("%d keys, the first of all at %d; want %d, %d", len(k), at, keys, place)
			}
		}
		f(0, 1, 0)
		f(ticketTurn-1, 1, 0)
		f(1, 2, 1)
		f(ticketTurn, 3, 2)
		f(ticketTurn, 3, -1)
		first = r.current().keys[0]
		f(3*ticketTurn, 1, -1) // nobody came for long
	})
}

func TestZapToSlog(t *testing.T) {
	var b bytes.Buffer
	l := zapTo(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	f := func(log func(), want ...string) {
		t.Helper()
		b.Reset()
		log()
		for _, w := range want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%q lacks %q", b.String(), w)
			}
		}
		if len(want) == 0 && b.Len() > 0 {
			t.Errorf("logged %q", b.String())
		}
	}
	f(func() { l.Debug("x") })
	f(func() { l.Info("x", zap.Int("n", 7)) }, "level=DEBUG", "msg=x", "n=7")
	f(func() { l.Warn("x", zap.Strings("names", []string{"a", "b"})) }, "level=WARN", "names=", "a b")
	f(func() { l.Named("obtain").With(zap.String("id", "a")).Error("x", zap.Error(errors.New("no"))) },
		"level=ERROR", "part=obtain", "id=a", "error=no")
}

// BenchmarkCertificate is what a handshake pays for its certificate once it is in memory.
func BenchmarkCertificate(b *testing.B) {
	c := open(b, Options{Issuer: Internal, DataDir: b.TempDir(), Allowed: hosts("bench.example")})
	defer c.Close()
	hello := &tls.ClientHelloInfo{ServerName: "bench.example", Conn: at{addr: "192.0.2.1:443"}, SupportedVersions: []uint16{tls.VersionTLS13}}
	if _, err := c.certificate(hello); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.certificate(hello); err != nil {
			b.Fatal(err)
		}
	}
}
