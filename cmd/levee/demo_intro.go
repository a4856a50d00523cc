package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
)

// introduce prints where everything is and what to try.
func (d *demo) introduce(out io.Writer) error {
	spki, err := d.keyHash()
	if err != nil {
		return fmt.Errorf("the edge's certificate: %w", err)
	}
	// The address, not localhost: where that is ::1 first, browsers ask for
	// HTTP/3 there and nowhere else.
	clear, secure := d.urls("127.0.0.1")
	root := d.node.Certs.RootPath()
	_, err = fmt.Fprintf(out, `A sample site behind one Levee edge, all in this process, on loopback only.

  site     %[1]s/   HTTP/1.1
           %[2]s/  HTTP/1.1, 2 and 3, certificate of the internal CA
  admin    http://%[3]s/metrics  and /healthz, /readyz
  origin   http://%[4]s/  the site itself, past the edge
  root     %[5]s
  data     %[6]s

Try (the second time of each is a hit; look at Cache-Status and Age):
  curl -i %[1]s/freshness.html
  curl -i --cacert %[5]s --http2 %[2]s/api/time
  curl -i --cacert %[5]s --http3 %[2]s/     (needs a curl with HTTP/3: curl -V names it)
  curl -s -r 50000000-50000099 %[1]s/download/100MB.bin | sha256sum
  curl -d 'high water' %[1]s/api/note; curl %[1]s/api/note
  curl -N %[1]s/events
  curl -X POST '%[1]s/outage?on'; sleep 1; curl -i %[1]s/flaky
  levee explain --admin %[3]s %[1]s/static/site.css

In Chromium over HTTP/3 (QUIC takes no private CA, so its key is named):
  chromium --user-data-dir=%[6]s/chromium --origin-to-force-quic-on=%[7]s \
    --ignore-certificate-errors-spki-list=%[8]s %[2]s/

Ctrl-C ends it.

`, clear, secure, d.adminAddr(), d.origin, root, d.node.Data, strings.TrimPrefix(secure, "https://"), spki)
	return err
}

// keyHash is the base64 SHA-256 of the public key of the edge's certificate for
// its address, as Chromium wants it.
func (d *demo) keyHash() (string, error) {
	c, err := tls.Dial("tcp", d.httpsAddr(), d.tlsConfig("127.0.0.1"))
	if err != nil {
		return "", err
	}
	defer c.Close()
	sum := sha256.Sum256(c.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// tlsConfig is that of a client which trusts the internal root and nothing else,
// and wants to talk to that name.
func (d *demo) tlsConfig(name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(d.node.Certs.Root())
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
}

// dialLoopback connects to a port of the edge, whatever the name stands for here: on
// some machines localhost is ::1 first, and the demo listens on 127.0.0.1.
func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, "127.0.0.1:"+port)
}
