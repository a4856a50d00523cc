package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// files serves certificates that an operator keeps. A change of a file is found by looking, not by inotify: it also works
// over NFS, bind mounts and the symbolic links of Kubernetes.
type files struct {
	log   *slog.Logger
	pairs []*pair // owned by the watcher after openFiles
	table atomic.Pointer[fileTable]

	stop context.CancelFunc
	ctx  context.Context // ends with close
	done chan struct{}
}

// pair is one pair of files and what was last read from them.
type pair struct {
	Pair
	cert   *tls.Certificate // last good
	stamp  [2]stamp         // of the files that cert came from
	failed string           // the last error, so that it is logged once
}

// stamp tells whether a file may have changed.
type stamp struct {
	modified time.Time
	size     int64
}

// fileTable is immutable.
type fileTable struct {
	byName map[string][]*tls.Certificate // exact names, "*.x", addresses
	first  *tls.Certificate
	until  time.Time // the last expiry of any
}

func openFiles(o Options) (*files, error) {
	if len(o.Files) == 0 {
		return nil, errors.New("tls.issuer files needs tls.files, a list of {cert, key}")
	}
	s := &files{log: o.Logger, done: make(chan struct{})}
	var errs []error
	for i, f := range o.Files {
		p := &pair{Pair: f}
		if _, err := p.load(); err != nil {
			errs = append(errs, fmt.Errorf("tls.files[%d]: %w", i, err))
		}
		s.pairs = append(s.pairs, p)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.table.Store(makeTable(s.pairs))
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.watch(o.Poll)
	return s, nil
}

// load reads the pair if its files have changed since cert was read from them. On an error cert stays as it is.
func (p *pair) load() (changed bool, err error) {
	var now [2]stamp
	for i, path := range []string{p.Cert, p.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return false, err
		}
		now[i] = stamp{info.ModTime(), info.Size()}
	}
	if p.cert != nil && now == p.stamp {
		return false, nil
	}
	// The stamps are from before the reading: what is written in between is seen as a change next time.
	cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return false, fmt.Errorf("%s with %s: %w", p.Cert, p.Key, err)
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return false, fmt.Errorf("%s: %w", p.Cert, err)
		}
	}
	if len(cert.Leaf.DNSNames)+len(cert.Leaf.IPAddresses) == 0 {
		return false, fmt.Errorf("%s names no host (subjectAltName)", p.Cert)
	}
	if time.Now().After(cert.Leaf.NotAfter) {
		return false, fmt.Errorf("%s expired at %s", p.Cert, cert.Leaf.NotAfter.Format(time.RFC3339))
	}
	p.cert, p.stamp = &cert, now
	return true, nil
}

func makeTable(pairs []*pair) *fileTable {
	t := &fileTable{byName: map[string][]*tls.Certificate{}, first: pairs[0].cert}
	for _, p := range pairs {
		leaf := p.cert.Leaf
		for _, name := range leaf.DNSNames {
			name = strings.ToLower(name)
			t.byName[name] = append(t.byName[name], p.cert)
		}
		for _, ip := range leaf.IPAddresses {
			t.byName[ip.String()] = append(t.byName[ip.String()], p.cert)
		}
		if leaf.NotAfter.After(t.until) {
			t.until = leaf.NotAfter
		}
	}
	return t
}

func (s *files) get(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	t := s.table.Load()
	certs := t.byName[name]
	if certs == nil && !isAddress(name) {
		if _, parent, ok := strings.Cut(name, "."); ok {
			certs = t.byName["*."+parent]
		}
	}
	if certs == nil {
		if hello.ServerName == "" {
			return t.first, nil
		}
		return nil, fmt.Errorf("no certificate in tls.files for %q", name)
	}
	best := certs[0]
	for _, c := range certs { // an ECDSA and an RSA pair for one name, or an old and a new one
		if hello.SupportsCertificate(c) == nil && time.Now().Before(c.Leaf.NotAfter) {
			best = c
			break
		}
	}
	return best, nil
}

func (s *files) watch(every time.Duration) {
	defer close(s.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		var any bool
		for _, p := range s.pairs {
			changed, err := p.load()
			any = any || changed
			switch {
			case err != nil && err.Error() != p.failed:
				p.failed = err.Error()
				s.log.Error("a changed certificate cannot be used; the one before stays in use", "cert", p.Cert, "err", err)
			case err == nil:
				p.failed = ""
			}
			if changed {
				s.log.Info("certificate loaded", "cert", p.Cert, "names", p.cert.Leaf.DNSNames, "expires", p.cert.Leaf.NotAfter)
			}
		}
		if any {
			s.table.Store(makeTable(s.pairs))
		}
	}
}

func (s *files) ready() error {
	if s.ctx.Err() != nil {
		return errClosed
	}
	if until := s.table.Load().until; time.Now().After(until) {
		return fmt.Errorf("every certificate of tls.files is expired, the last one since %s", until.Format(time.RFC3339))
	}
	return nil
}

func (s *files) close() {
	s.stop()
	<-s.done
}
