package tlscert

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestInternal(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Issuer: Internal, DataDir: dir, NodeName: "fra1", Allowed: hosts("www.example.com", "*.img.example.com")})
	defer c.Close()
	addr := serve(t, c.TLSConfig("h2", "http/1.1"))
	roots := trust(c.Root())
	f := func(sni string, want ...string) {
		t.Helper()
		conf := &tls.Config{RootCAs: roots, ServerName: sni, NextProtos: []string{"h2"}}
		if sni == "" {
			conf.InsecureSkipVerify = true // crypto/tls sends no SNI only without a name to verify
		}
		cs, err := shake(addr, conf)
		if len(want) == 0 {
			if err == nil {
				t.Errorf("%q got a certificate for %v", sni, cs.PeerCertificates[0].DNSNames)
			}
			return
		}
		if err != nil {
			t.Errorf("%q: %v", sni, err)
			return
		}
		leaf := cs.PeerCertificates[0]
		got := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			got = append(got, ip.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q got a certificate for %v, want %v", sni, got, want)
		}
		if d := leaf.NotAfter.Sub(leaf.NotBefore); d < 7*24*time.Hour || d > 7*24*time.Hour+2*time.Hour {
			t.Errorf("%q: a leaf lives %v", sni, d)
		}
		if cs.NegotiatedProtocol != "h2" || cs.Version != tls.VersionTLS13 {
			t.Errorf("%q: protocol %q, %s", sni, cs.NegotiatedProtocol, tls.VersionName(cs.Version))
		}
	}
	f("www.example.com", "www.example.com")
	f("WWW.example.COM", "www.example.com")
	f("a.img.example.com", "*.img.example.com")
	f("b.img.example.com", "*.img.example.com")
	f("a.b.img.example.com", "*.b.img.example.com") // two labels below: the parent is a host of the site, too
	f("localhost", "localhost", "127.0.0.1", "::1")
	f("", "localhost", "127.0.0.1", "::1")
	f("127.0.0.1", "localhost", "127.0.0.1", "::1") // crypto/tls sends no SNI for an address, and verifies it
	f("example.com")
	f("other.org")
	f("img.example.com")
	f("bad_name-.org")

	if c.RootPath() != filepath.Join(dir, "ca", "root.crt") || !strings.Contains(c.Root().Subject.CommonName, "fra1") {
		t.Errorf("root %s at %s", c.Root().Subject, c.RootPath())
	}
	if err := c.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
	// Private keys, and the folders that they are in, are the owner's only.
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if (d.IsDir() || strings.HasSuffix(path, ".key")) && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "ca", "*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAllowedIsAskedEachTime: a site that is taken away loses its certificate at once, though it is in memory and on disk.
func TestAllowedIsAskedEachTime(t *testing.T) {
	var mu sync.Mutex
	ok := true
	c := open(t, Options{Issuer: Internal, DataDir: t.TempDir(), Allowed: func(name string) bool {
		mu.Lock()
		defer mu.Unlock()
		return ok && name == "gone.example"
	}})
	defer c.Close()
	addr := serve(t, c.TLSConfig())
	conf := &tls.Config{RootCAs: trust(c.Root()), ServerName: "gone.example"}
	if _, err := shake(addr, conf); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	ok = false
	mu.Unlock()
	if _, err := shake(addr, conf); err == nil {
		t.Error("a name that is no longer allowed got its old certificate")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var serial [2]string
	var root [2][]byte
	for i := range 2 {
		c := open(t, Options{Issuer: Internal, DataDir: dir})
		addr := serve(t, c.TLSConfig())
		cs, err := shake(addr, &tls.Config{RootCAs: trust(c.Root()), ServerName: "again.example"})
		if err != nil {
			t.Fatal(err)
		}
		serial[i], root[i] = cs.PeerCertificates[0].SerialNumber.String(), c.Root().Raw
		c.Close()
		if c.Ready() == nil {
			t.Error("ready after Close")
		}
		if _, err := shake(addr, &tls.Config{RootCAs: trust(c.Root()), ServerName: "again.example"}); err == nil {
			t.Error("a handshake after Close")
		}
	}
	if serial[0] != serial[1] || !bytes.Equal(root[0], root[1]) {
		t.Errorf("after a restart the leaf is %s, was %s; root same: %v", serial[1], serial[0], bytes.Equal(root[0], root[1]))
	}
}

// TestTogether: many openers of one folder agree on one root, and many handshakes for one name on one leaf.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	var certs [6]*Certs
	var wg sync.WaitGroup
	for i := range certs {
		wg.Go(func() {
			c, err := Open(t.Context(), Options{Issuer: Internal, DataDir: dir, Allowed: hosts("*")})
			if err != nil {
				t.Error(err)
				return
			}
			certs[i] = c
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var mu sync.Mutex
	serials := map[string]bool{}
	for i, c := range certs {
		defer c.Close()
		if !c.Root().Equal(certs[0].Root()) {
			t.Errorf("opener %d has another root", i)
		}
		addr := serve(t, c.TLSConfig())
		for range 5 {
			wg.Go(func() {
				cs, err := shake(addr, &tls.Config{RootCAs: trust(c.Root()), ServerName: "together.example"})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				serials[cs.PeerCertificates[0].SerialNumber.String()] = true
			})
		}
	}
	wg.Wait()
	if len(serials) != 1 {
		t.Errorf("%d leaves for one name", len(serials))
	}
}

// TestRenewal: a leaf is renewed, behind a handshake, before it expires; no handshake fails meanwhile.
func TestRenewal(t *testing.T) {
	t.Parallel()
	c := open(t, Options{Issuer: Internal, DataDir: t.TempDir(), Lifetime: 3 * time.Second})
	defer c.Close()
	addr := serve(t, c.TLSConfig())
	first := ""
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		cs, err := shake(addr, &tls.Config{RootCAs: trust(c.Root()), ServerName: "renew.example"})
		if err != nil {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		serial := cs.PeerCertificates[0].SerialNumber.String()
		if first == "" {
			first = serial
		}
		if serial != first {
			if d := time.Since(start); d < time.Second {
				t.Errorf("renewed after %v of 3 s (%v to %v)", d, cs.PeerCertificates[0].NotBefore, cs.PeerCertificates[0].NotAfter)
			}
			return
		}
		if time.Since(start) > 6*time.Second {
			t.Fatal("not renewed")
		}
	}
}

// TestExpired: a leaf that expired while nobody asked for it is renewed before the handshake ends.
func TestExpired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 2 {
		c := open(t, Options{Issuer: Internal, DataDir: dir, Lifetime: 2 * time.Second})
		addr := serve(t, c.TLSConfig())
		if _, err := shake(addr, &tls.Config{RootCAs: trust(c.Root()), ServerName: "expired.example"}); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
		c.Close()
		if i == 0 {
			time.Sleep(3100 * time.Millisecond)
		}
	}
}

// TestBoundOnNames: random names neither fill the disk nor take away the certificates that are there.
func TestBoundOnNames(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Issuer: Internal, DataDir: dir, MaxNames: 10})
	defer func() { c.Close() }()
	addr := serve(t, c.TLSConfig())
	ask := func(name string) error {
		_, err := shake(addr, &tls.Config{RootCAs: trust(c.Root()), ServerName: name})
		return err
	}
	count := func() int {
		n := 0
		for i := range 30 {
			if ask(fmt.Sprintf("n%d", i)) == nil {
				n++
			}
		}
		return n
	}
	if n := count(); n != 10 {
		t.Errorf("%d of 30 names got a certificate, want 10", n)
	}
	if n := count(); n != 10 {
		t.Errorf("%d of 30 names got a certificate the second time, want the same 10", n)
	}
	c.Close()
	c = open(t, Options{Issuer: Internal, DataDir: dir, MaxNames: 10})
	addr = serve(t, c.TLSConfig())
	if n := count(); n != 10 {
		t.Errorf("%d of 30 names got a certificate after a restart, want the same 10", n)
	}
	// Names below one parent share a certificate.
	c2 := open(t, Options{Issuer: Internal, DataDir: t.TempDir(), MaxNames: 1})
	defer c2.Close()
	addr = serve(t, c2.TLSConfig())
	for i := range 5 {
		if _, err := shake(addr, &tls.Config{RootCAs: trust(c2.Root()), ServerName: fmt.Sprintf("n%d.shared.example", i)}); err != nil {
			t.Error(err)
		}
	}
}

func TestRateOfNames(t *testing.T) {
	s := open(t, Options{Issuer: Internal, DataDir: t.TempDir()})
	defer s.Close()
	in := s.source.(*internal)
	n := 0
	for i := range 3 * newNamesBurst {
		if _, err := in.admit(fmt.Sprintf("n%d", i)); err == nil {
			n++
		} else if !strings.Contains(err.Error(), "too many new names") {
			t.Fatal(err)
		}
	}
	if n < newNamesBurst || n > newNamesBurst+10 {
		t.Errorf("%d new names at once, want %d", n, newNamesBurst)
	}
	if fresh, err := in.admit("n0"); fresh || err != nil {
		t.Errorf("a known name: %v, %v", fresh, err)
	}
}

func TestSubject(t *testing.T) {
	f := func(pattern, name, want string) {
		t.Helper()
		s := &internal{allowed: hosts(pattern)}
		if got := s.subject(name); got != want {
			t.Errorf("host %q: the certificate of %q is for %q, want %q", pattern, name, got, want)
		}
		if got := s.subject(want); got != want {
			t.Errorf("the certificate of %q is for %q", want, got)
		}
	}
	f("*.example.com", "a.example.com", "*.example.com")
	f("a.example.com", "a.example.com", "a.example.com")
	f("*", "a.example.com", "*.example.com")
	f("*", "example.com", "example.com")
	f("*", "example.co.uk", "example.co.uk") // *.co.uk is no browser's wildcard
	f("*", "a.example.co.uk", "*.example.co.uk")
	f("*", "localhost", "localhost")
	f("*", "192.0.2.1", "192.0.2.1")
	f("*", "2001:db8::1", "2001:db8::1")
}

func TestBadRoots(t *testing.T) {
	f := func(name, want string, spoil func(dir string)) {
		t.Helper()
		dir := t.TempDir()
		open(t, Options{Issuer: Internal, DataDir: dir}).Close()
		spoil(filepath.Join(dir, "ca"))
		c, err := Open(t.Context(), Options{Issuer: Internal, DataDir: dir, Allowed: hosts("*")})
		if err == nil {
			c.Close()
			if want != "" {
				t.Errorf("%s: opened", name)
			}
			return
		}
		if want == "" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "remove the folder") {
			t.Errorf("%s: %v, want %q and what to do", name, err, want)
		}
	}
	put := func(dir, file, text string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f("whole", "", func(string) {})
	f("no certificate", "", func(dir string) { os.Remove(filepath.Join(dir, "root.crt")) }) // made anew
	f("no key", "root.key", func(dir string) { os.Remove(filepath.Join(dir, "root.key")) })
	f("certificate cut", "no PEM certificate", func(dir string) { put(dir, "root.crt", "-----BEGIN CERT") })
	f("key cut", "no PEM key", func(dir string) { put(dir, "root.key", "") })
	f("another key", "is not the key of", func(dir string) {
		other := t.TempDir()
		open(t, Options{Issuer: Internal, DataDir: other}).Close()
		b, err := os.ReadFile(filepath.Join(other, "ca", "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		put(dir, "root.key", string(b))
	})
	f("a leaf", "not the certificate of an authority", func(dir string) {
		writePair(t, Pair{filepath.Join(dir, "root.crt"), filepath.Join(dir, "root.key")}, 1, time.Now().Add(time.Hour), "a.example")
	})
}
