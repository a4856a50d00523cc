package tlscert

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
)

// rootLife is ten years: a root is trusted by hand, and nobody does that twice.
const rootLife = 10 * 365 * 24 * time.Hour

// authority is the internal CA: a root that signs leaves itself. It is immutable.
type authority struct {
	path     string // of the certificate
	cert     *x509.Certificate
	certPEM  []byte
	key      *ecdsa.PrivateKey
	lifetime time.Duration // of a leaf; set before first use
}

// openAuthority loads dir/root.crt and dir/root.key, or makes both. Of several processes that come at once one makes them
// and the others load what it made.
func openAuthority(ctx context.Context, dir, node string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("internal CA: %w", err)
	}
	lock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("internal CA: %w", err)
	}
	defer lock.Close()
	a, err := loadAuthority(dir)
	if errors.Is(err, errNoRoot) {
		if err := makeAuthority(dir, node); err != nil {
			return nil, fmt.Errorf("internal CA: making the root in %s: %w", dir, err)
		}
		a, err = loadAuthority(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("internal CA: %w", err)
	}
	return a, nil
}

var errNoRoot = errors.New("no root yet")

func loadAuthority(dir string) (*authority, error) {
	a := &authority{path: filepath.Join(dir, "root.crt")}
	keyPath := filepath.Join(dir, "root.key")
	const remedy = "restore it, or remove the folder %s to get a new root, which clients must then trust"
	var err error
	a.certPEM, err = os.ReadFile(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		// The certificate is written last: a key alone is a making that was cut short, and nobody trusts it yet.
		return nil, errNoRoot
	}
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("%w; "+remedy, err, dir)
	}
	block, _ := pem.Decode(a.certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no PEM certificate; "+remedy, a.path, dir)
	}
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w; "+remedy, a.path, err, dir)
	}
	if block, _ = pem.Decode(keyPEM); block == nil {
		return nil, fmt.Errorf("%s holds no PEM key; "+remedy, keyPath, dir)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; "+remedy, keyPath, err, dir)
	}
	var ok bool
	if a.key, ok = key.(*ecdsa.PrivateKey); !ok {
		return nil, fmt.Errorf("%s holds a %T, must be an ECDSA key; "+remedy, keyPath, key, dir)
	}
	switch {
	case !a.key.PublicKey.Equal(a.cert.PublicKey):
		return nil, fmt.Errorf("%s is not the key of %s; "+remedy, keyPath, a.path, dir)
	case !a.cert.IsCA:
		return nil, fmt.Errorf("%s is not the certificate of an authority; "+remedy, a.path, dir)
	case time.Now().After(a.cert.NotAfter):
		return nil, fmt.Errorf("%s expired at %s; remove the folder %s to get a new root, which clients must then trust",
			a.path, a.cert.NotAfter.Format(time.RFC3339), dir)
	}
	return a, nil
}

func makeAuthority(dir, node string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	if node == "" {
		node = "levee"
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		// The serial's end tells the roots of two data folders of one node apart in a browser's list.
		Subject:               pkix.Name{Organization: []string{"Levee"}, CommonName: fmt.Sprintf("Levee internal CA %s %x", node, serial.Bytes()[:3])},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(rootLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "root.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "root.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// newSerial makes a positive number of 127 bits (RFC 5280 §4.1.2.2 allows 20 bytes) whose first byte is not 0.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}

// Issue signs a leaf for the names of csr: certmagic.Issuer. The chain holds the root too, so that the root's key can be
// named to a client in place of a leaf's that is new every week (Chromium's list of accepted keys for QUIC).
func (a *authority) Issue(_ context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("internal CA: the request for %v: %w", csr.DNSNames, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		DNSNames:     csr.DNSNames,
		IPAddresses:  csr.IPAddresses,
		// Clocks differ: an hour back for a week's certificate, in proportion for a test's.
		NotBefore:   now.Add(-min(time.Hour, a.lifetime/10)),
		NotAfter:    now.Add(a.lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	if slices.Contains(csr.DNSNames, localhost) {
		template.IPAddresses = append(slices.Clone(csr.IPAddresses), net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, csr.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("internal CA: signing for %v: %w", csr.DNSNames, err)
	}
	var chain bytes.Buffer
	chain.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	chain.Write(a.certPEM)
	return &certmagic.IssuedCertificate{Certificate: chain.Bytes()}, nil
}

// IssuerKey names the root by its key, so that leaves of a root that was replaced are not served any more.
func (a *authority) IssuerKey() string {
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	return "levee-internal-" + hex.EncodeToString(sum[:8])
}
