package tlscert

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func pairIn(dir, name string) Pair {
	return Pair{filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	inAnHour := time.Now().Add(time.Hour)
	first, wild, addr4 := pairIn(dir, "first"), pairIn(dir, "wild"), pairIn(dir, "address")
	writePair(t, first, 1, inAnHour, "www.example.com", "WWW.example.net")
	writePair(t, wild, 2, inAnHour, "*.example.com")
	writePair(t, addr4, 3, inAnHour, "192.0.2.7")
	c := open(t, Options{Issuer: Files, Files: []Pair{first, wild, addr4}, Allowed: hosts("*.example.com", "www.example.net", "bare.example")})
	defer c.Close()
	addr := serve(t, c.TLSConfig())
	f := func(sni string, want int64) {
		t.Helper()
		cs, err := shake(addr, &tls.Config{InsecureSkipVerify: true, ServerName: sni})
		switch {
		case want == 0 && err == nil:
			t.Errorf("%q got certificate %v", sni, cs.PeerCertificates[0].SerialNumber)
		case want != 0 && err != nil:
			t.Errorf("%q: %v", sni, err)
		case want != 0 && cs.PeerCertificates[0].SerialNumber.Int64() != want:
			t.Errorf("%q got certificate %v, want %d", sni, cs.PeerCertificates[0].SerialNumber, want)
		}
	}
	f("www.example.com", 1) // exact before wildcard
	f("a.example.com", 2)
	f("www.example.net", 1)
	f("a.b.example.com", 0) // a wildcard is one label (RFC 9525 §6.3)
	f("example.org", 0)     // no site
	f("bare.example", 0)    // a site, but no certificate
	f("", 1)
	if c.Root() != nil || c.RootPath() != "" || c.Ready() != nil {
		t.Errorf("root %v at %q, ready %v", c.Root(), c.RootPath(), c.Ready())
	}
}

// TestFilesChange: a new pair is served, a bad one is told and leaves the old in use, a repaired one is served again.
func TestFilesChange(t *testing.T) {
	dir := t.TempDir()
	var l logs
	p := pairIn(dir, "a")
	inAnHour := time.Now().Add(time.Hour)
	writePair(t, p, 1, inAnHour, "a.example")
	c := open(t, Options{Issuer: Files, Files: []Pair{p}, Poll: 10 * time.Millisecond, Logger: l.logger()})
	defer c.Close()
	addr := serve(t, c.TLSConfig())
	serves := func() int64 {
		t.Helper()
		cs, err := shake(addr, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example"})
		if err != nil {
			t.Fatal(err)
		}
		return cs.PeerCertificates[0].SerialNumber.Int64()
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Since(start) > 5*time.Second {
				t.Fatalf("not seen: %s; logs:\n%s", what, l.String())
			}
		}
	}
	bad := func(file, text, cause string) {
		t.Helper()
		before := strings.Count(l.String(), "cannot be used")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		until(cause, func() bool {
			return strings.Count(l.String(), "cannot be used") > before && strings.Contains(l.String(), cause)
		})
		time.Sleep(50 * time.Millisecond)
		if n := strings.Count(l.String(), "cannot be used"); n != before+1 {
			t.Errorf("%s: told %d times", cause, n-before)
		}
	}
	writePair(t, p, 2, inAnHour, "a.example")
	until("certificate 2", func() bool { return serves() == 2 })
	bad(p.Cert, "no certificate", "failed to find any PEM data in certificate")
	if n := serves(); n != 2 {
		t.Errorf("after a bad file certificate %d is served, want 2", n)
	}
	writePair(t, p, 3, inAnHour, "a.example")
	until("certificate 3", func() bool { return serves() == 3 })
	writePair(t, p, 4, time.Now().Add(-time.Minute), "a.example")
	until("expired", func() bool { return strings.Contains(l.String(), "expired at") })
	if n := serves(); n != 3 {
		t.Errorf("after an expired pair certificate %d is served, want 3", n)
	}
	os.Remove(p.Key)
	until("missing", func() bool { return strings.Contains(l.String(), "no such file") })
	if n := serves(); n != 3 {
		t.Errorf("after a file was removed certificate %d is served, want 3", n)
	}
	c.Close()
	if c.Ready() == nil {
		t.Error("ready after Close")
	}
}

func TestReadyUntilExpiry(t *testing.T) {
	p := pairIn(t.TempDir(), "a")
	writePair(t, p, 1, time.Now().Add(1500*time.Millisecond), "a.example")
	c := open(t, Options{Issuer: Files, Files: []Pair{p}})
	defer c.Close()
	if err := c.Ready(); err != nil {
		t.Error(err)
	}
	time.Sleep(1600 * time.Millisecond)
	if err := c.Ready(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("ready with an expired certificate: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good, nameless, expired := pairIn(dir, "good"), pairIn(dir, "nameless"), pairIn(dir, "expired")
	writePair(t, good, 1, time.Now().Add(time.Hour), "a.example")
	writePair(t, nameless, 2, time.Now().Add(time.Hour))
	writePair(t, expired, 3, time.Now().Add(-time.Hour), "a.example")
	f := func(o Options, want ...string) {
		t.Helper()
		if o.Allowed == nil {
			o.Allowed = hosts("*")
		}
		c, err := Open(t.Context(), o)
		if err == nil {
			c.Close()
			t.Errorf("%+v opened, want %q", o, want)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v\nlacks %q", err, w)
			}
		}
	}
	f(Options{}, `tls.issuer ""`, "internal or files")
	f(Options{Issuer: "acme"}, "not served by this version", "internal", "files")
	f(Options{Issuer: Internal}, "node.data")
	f(Options{Issuer: Internal, DataDir: "/dev/null/x"}, "internal CA", "/dev/null")
	f(Options{Issuer: Internal, DataDir: dir, MinVersion: tls.VersionTLS11}, "TLS 1.1", "1.2 or 1.3")
	f(Options{Issuer: Files}, "tls.files")
	f(Options{Issuer: Files, Files: []Pair{good, {"/nowhere", "/nowhere"}, nameless, expired, {good.Cert, nameless.Key}}},
		"tls.files[1]", "/nowhere", "tls.files[2]", "names no host", "tls.files[3]", "expired", "tls.files[4]", "does not match")
	if _, err := Open(t.Context(), Options{Issuer: Internal, DataDir: dir}); err == nil || !strings.Contains(err.Error(), "BUG") {
		t.Errorf("without Allowed: %v", err)
	}
}

// TestTLSFloor: what is not offered to clients.
func TestTLSFloor(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Issuer: Internal, DataDir: dir})
	defer c.Close()
	addr := serve(t, c.TLSConfig())
	f := func(conf *tls.Config, want uint16) {
		t.Helper()
		conf.RootCAs, conf.ServerName = trust(c.Root()), "floor.example"
		cs, err := shake(addr, conf)
		if cs.Version != want || (err == nil) != (want != 0) {
			t.Errorf("%s, %v; want %s", tls.VersionName(cs.Version), err, tls.VersionName(want))
		}
	}
	f(&tls.Config{}, tls.VersionTLS13)
	f(&tls.Config{MaxVersion: tls.VersionTLS12}, tls.VersionTLS12)
	f(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0)
	f(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, 0)
	only13 := open(t, Options{Issuer: Internal, DataDir: dir, MinVersion: tls.VersionTLS13})
	defer only13.Close()
	addr = serve(t, only13.TLSConfig())
	f(&tls.Config{}, tls.VersionTLS13)
	f(&tls.Config{MaxVersion: tls.VersionTLS12}, 0)
}
