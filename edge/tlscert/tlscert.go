package tlscert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
)

// The issuers that Options.Issuer may name.
const (
	Internal = "internal"
	Files    = "files"
)

const (
	defaultLifetime = 7 * 24 * time.Hour
	defaultMaxNames = 10_000
	defaultPoll     = 5 * time.Second
)

// Pair names the files of one certificate chain and its key, PEM.
type Pair struct{ Cert, Key string }

// Options says where certificates come from. The zero value of a field is named with it.
type Options struct {
	Issuer  string // Internal or Files; there is no default
	DataDir string // Internal: ca/ and certs/ are kept below it; made if missing
	Files   []Pair // Files: at least one; the first also answers handshakes without SNI
	// MinVersion is tls.VersionTLS12 (also 0) or tls.VersionTLS13.
	MinVersion uint16
	// Allowed says whether a name belongs to a site. It is called during handshakes with lower-case ASCII names, also with
	// "*.x" to ask whether x's wildcard is a host of a site; it must be fast and safe for concurrent use. It is required.
	Allowed func(name string) bool
	Logger  *slog.Logger // nil = no logs

	NodeName string        // Internal: stands in the root's name, so that people can tell several roots apart; "" = "levee"
	Lifetime time.Duration // Internal: of a leaf; 0 = 7 days. Renewed when a third of it is left
	MaxNames int           // Internal: certificates kept at most; 0 = 10,000
	Poll     time.Duration // Files: how often changes are looked for; 0 = 5 s
}

// Certs is a source of certificates for TLS over TCP and QUIC alike. All methods may be called concurrently. Who opened it
// closes it.
type Certs struct {
	source  source
	allowed func(string) bool
	min     uint16
	tickets *ring
	root    *authority // nil with Files
}

// source is what the two issuers have in common.
type source interface {
	// get finds the certificate for a name that nameOf gave and that is allowed. An error ends the handshake.
	get(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error)
	// ready is nil when handshakes for allowed names can be answered now.
	ready() error
	// close ends every goroutine of the source, and waits for them.
	close()
}

// Open makes the source that o asks for. With Internal it makes the root or loads it, and may wait for another process that
// is making it until ctx ends; with Files every pair must load. ctx is not used after Open has returned.
func Open(ctx context.Context, o Options) (*Certs, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Allowed == nil {
		return nil, errors.New("BUG: tlscert.Options.Allowed is nil")
	}
	c := &Certs{min: o.MinVersion, allowed: o.Allowed}
	switch o.MinVersion {
	case 0:
		c.min = tls.VersionTLS12
	case tls.VersionTLS12, tls.VersionTLS13:
	default:
		return nil, fmt.Errorf("tls.min_version %s is not served; use 1.2 or 1.3", tls.VersionName(o.MinVersion))
	}
	var err error
	if c.tickets, err = newRing(); err != nil {
		return nil, err
	}
	switch o.Issuer {
	case Internal:
		if o.DataDir == "" {
			return nil, errors.New("tls.issuer internal keeps its root on disk; set node.data to a directory")
		}
		if o.Lifetime == 0 {
			o.Lifetime = defaultLifetime
		}
		if o.MaxNames == 0 {
			o.MaxNames = defaultMaxNames
		}
		if c.root, err = openAuthority(ctx, filepath.Join(o.DataDir, "ca"), o.NodeName); err != nil {
			return nil, err
		}
		c.source, err = openInternal(o, c.root)
	case Files:
		if o.Poll == 0 {
			o.Poll = defaultPoll
		}
		c.source, err = openFiles(o)
	case "acme":
		return nil, errors.New("tls.issuer acme is not served by this version yet; use internal (clients must trust its root) or files (with tls.files)")
	default:
		return nil, fmt.Errorf("tls.issuer %q is not known; use internal or files", o.Issuer)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// TLSConfig makes a configuration for a listener that offers nextProtos by ALPN, in order of preference. The configurations
// of one Certs share session tickets, so that a session begun over TCP is resumed over QUIC. It may be cloned.
func (c *Certs) TLSConfig(nextProtos ...string) *tls.Config {
	return &tls.Config{
		GetCertificate: c.certificate,
		MinVersion:     c.min,
		NextProtos:     nextProtos,
		CipherSuites: []uint16{ // of TLS 1.2: AEAD with forward secrecy (RFC 9325 §4.2); those of 1.3 are not a choice
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		WrapSession:   c.tickets.wrap,
		UnwrapSession: c.tickets.unwrap,
	}
}

// certificate answers a handshake. Whether the name is allowed is asked each time, also for a certificate that is in
// memory: a site may have been taken away.
func (c *Certs) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name, err := nameOf(hello)
	if err != nil {
		return nil, err
	}
	if name != localhost && !isAddress(name) && !c.allowed(name) {
		return nil, fmt.Errorf("server name %q belongs to no site", name)
	}
	return c.source.get(hello, name)
}

// Root is the internal authority's certificate, which clients must trust; nil with Files.
func (c *Certs) Root() *x509.Certificate {
	if c.root == nil {
		return nil
	}
	return c.root.cert
}

// RootPath is the file in which Root is kept, PEM; "" with Files.
func (c *Certs) RootPath() string {
	if c.root == nil {
		return ""
	}
	return c.root.path
}

// Ready is nil while handshakes can be answered. Otherwise it says why not: closed, or every file's certificate is expired.
func (c *Certs) Ready() error { return c.source.ready() }

// Close ends renewal and the watching of files. Handshakes fail after it. It may be called once.
func (c *Certs) Close() { c.source.close() }
