package tlscert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/time/rate"
)

// newNames bounds how fast names that have no certificate yet may get one: a burst for the sites of a fresh node, then a
// few a second. One costs about 1 ms of a core and three files.
const (
	newNamesPerSecond = 5
	newNamesBurst     = 100
	cleanEvery        = 12 * time.Hour
)

// state is that of a known name.
type state bool

const (
	making state = false
	stored state = true // at least once: the cleaner may have removed it since
)

// internal is certmagic with our authority as its issuer, on demand.
type internal struct {
	allowed func(string) bool
	config  *certmagic.Config
	cache   *certmagic.Cache
	log     *slog.Logger
	max     int
	limit   *rate.Limiter
	certDir string // has one folder for each certificate

	mu    sync.Mutex
	known map[string]state // by storage name: every certificate that exists or is being made

	closed atomic.Bool
	stop   context.CancelFunc
	done   chan struct{} // closed when the cleaner has ended
}

func openInternal(o Options, root *authority) (*internal, error) {
	root.lifetime = o.Lifetime
	store, err := openDisk(filepath.Join(o.DataDir, "certs"))
	if err != nil {
		return nil, err
	}
	s := &internal{
		allowed: o.Allowed, log: o.Logger, max: o.MaxNames,
		limit:   rate.NewLimiter(newNamesPerSecond, newNamesBurst),
		certDir: store.Filename(certmagic.StorageKeys.CertsPrefix(root.IssuerKey())),
		done:    make(chan struct{}),
	}
	if s.known, err = s.onDisk(); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	logger := zapTo(o.Logger)
	s.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return s.config, nil },
		// certmagic renews at once what expires within five of these, so a short life needs a short interval.
		RenewCheckInterval: min(certmagic.DefaultRenewCheckInterval, max(o.Lifetime/100, 10*time.Millisecond)),
		Logger:             logger,
	})
	s.config = certmagic.New(s.cache, certmagic.Config{
		RenewalWindowRatio: 1.0 / 3,
		OnDemand:           &certmagic.OnDemandConfig{DecisionFunc: s.decide},
		Issuers:            []certmagic.Issuer{root},
		Storage:            store,
		SubjectTransformer: func(_ context.Context, name string) string { return s.subject(name) },
		OCSP:               certmagic.OCSPConfig{DisableStapling: true}, // our leaves name no responder
		DisableARI:         true,                                        // an ACME matter
		// The check writes, reads and deletes a file before each issuance; a write that fails says as much.
		DisableStorageCheck: true,
		Logger:              logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go s.clean(ctx, store)
	return s, nil
}

func (s *internal) get(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
	subject := s.subject(name)
	fresh, err := s.admit(subject)
	if err != nil {
		return nil, err
	}
	if hello.ServerName != name && !isAddress(name) {
		other := *hello
		other.ServerName = name
		hello = &other
	}
	cert, err := s.config.GetCertificate(hello)
	if err != nil {
		if fresh {
			s.forget(subject)
		}
		return nil, err
	}
	if fresh {
		s.mu.Lock()
		s.known[certmagic.StorageKeys.Safe(subject)] = stored
		s.mu.Unlock()
		s.log.Info("new certificate from the internal CA", "name", subject)
	}
	return cert, nil
}

var errClosed = errors.New("the certificates are closed")

// subject is the name in whose certificate name finds its own: "*.x" where that is a host of a site, so that a wildcard
// site has one certificate. Not right below a public suffix, where browsers refuse wildcards.
func (s *internal) subject(name string) string {
	_, parent, ok := strings.Cut(name, ".")
	if !ok || !strings.Contains(parent, ".") || strings.HasPrefix(name, "*.") || isAddress(name) {
		return name
	}
	if suffix, _ := publicsuffix.PublicSuffix(parent); suffix == parent || !s.allowed("*."+parent) {
		return name
	}
	return "*." + parent
}

// admit lets a subject through that has a certificate, or that may still get one; fresh in the latter case.
func (s *internal) admit(subject string) (fresh bool, err error) {
	key := certmagic.StorageKeys.Safe(subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[key]; ok {
		return false, nil
	}
	if len(s.known) >= s.max {
		return false, fmt.Errorf("no certificate for %q: the internal CA keeps %d certificates at most, and has them", subject, s.max)
	}
	if !s.limit.Allow() {
		return false, fmt.Errorf("no certificate for %q yet: too many new names, at most %d a second", subject, newNamesPerSecond)
	}
	s.known[key] = making
	return true, nil
}

func (s *internal) forget(subject string) {
	key := certmagic.StorageKeys.Safe(subject)
	if _, err := os.Stat(filepath.Join(s.certDir, key)); err == nil {
		return // it has come to disk after all
	}
	s.mu.Lock()
	delete(s.known, key)
	s.mu.Unlock()
}

// decide is certmagic's question before it loads, makes or renews a certificate. Every name has been through admit; this
// keeps it so should certmagic find another way here.
func (s *internal) decide(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[certmagic.StorageKeys.Safe(s.subject(name))]; !ok {
		return fmt.Errorf("%q was not admitted", name)
	}
	return nil
}

// onDisk lists the certificates in storage.
func (s *internal) onDisk() (map[string]state, error) {
	entries, err := os.ReadDir(s.certDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	known := make(map[string]state, len(entries))
	for _, e := range entries {
		known[e.Name()] = stored
	}
	return known, nil
}

// recount gives back the places of names whose certificate is gone. One that is being made has no folder yet and stays, and
// one that was stored between the reading and the lock is counted again at its next handshake.
func (s *internal) recount() error {
	left, err := s.onDisk()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, state := range s.known {
		if _, ok := left[name]; !ok && state == stored {
			delete(s.known, name)
		}
	}
	return nil
}

// clean removes expired certificates, at start and then twice a day, which gives their places back.
func (s *internal) clean(ctx context.Context, store *disk) {
	defer close(s.done)
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		err := certmagic.CleanStorage(ctx, store, certmagic.CleanStorageOptions{
			Logger: zapTo(s.log), ExpiredCerts: true, ExpiredCertGracePeriod: time.Hour,
		})
		if err == nil {
			err = s.recount()
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("removing expired certificates", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *internal) ready() error {
	if s.closed.Load() {
		return errClosed
	}
	return nil
}

func (s *internal) close() {
	s.closed.Store(true)
	s.stop()
	<-s.done
	s.cache.Stop()
}
