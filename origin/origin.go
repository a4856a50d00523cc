package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"levee/origin/balance"
)

// The two words of Options.Host that are not a name.
const (
	HostClient = "client" // the Host of the client's request is sent
	HostOrigin = "origin" // the host of the member's URL is sent
)

// Options is a pool as the config gives it. The zero value of a field is named with it.
type Options struct {
	Name    string // of the pool, for errors
	Members []Member
	Balance string // round_robin (also ""), weighted
	Host    string // HostClient (also ""), HostOrigin, or the literal name to send as Host
	// HTTP2 speaks HTTP/2 to the members: https by ALPN, falling back to HTTP/1.1; http with prior knowledge, without
	// a fall-back. gRPC requests (Content-Type application/grpc…) use HTTP/2 whatever stands here, and Upgrade requests
	// HTTP/1.1.
	HTTP2 bool

	// Each is a bound in time, 0 = none.
	Connect      time.Duration // name look-up and TCP
	TLS          time.Duration // the handshake
	FirstByte    time.Duration // from the request being sent to the end of the response's head (1xx do not count)
	BetweenBytes time.Duration // each wait for more of the body, and each write of a request body
	Total        time.Duration // from RoundTrip to the end of the body, all tries together; not for a 101

	MaxConnections int // to one member; 0 = no bound. Upgrades, gRPC and plain requests are counted apart
	Retries        int // further members that one request may be tried on, 0 = none

	CAFile             string // PEM; only these authorities are trusted. "" = those of the system
	SNI                string // name asked for and verified in the handshake; "" = the host of the member's URL
	InsecureSkipVerify bool   // do not verify the member's certificate
	CertFile, KeyFile  string // client certificate, PEM; both or none
}

// Member is one server of a pool.
type Member struct {
	URL    *url.URL // http or https, host, optionally port and a path that goes before every request's; nothing else
	Weight int      // 1 to balance.MaxWeight; 0 = 1
	Backup bool     // asked only when no other member is left
}

// Pool is the members of an origin as one http.RoundTripper, safe for concurrent use. It owns its connections: who made it
// calls Close once it is no longer used. Nothing in it changes after New but the connections and the rotation.
type Pool struct {
	name    string
	members []member
	host    string // "" = the client's
	hostOf  bool   // the member's
	picker  *balance.Picker
	retries int
	time    timeouts
	multi   bool // HTTP2
	limited bool // MaxConnections > 0
	lanes   [lanes]*http.Transport
}

type member struct {
	url    *url.URL // Path without its final slash
	raw    string   // escaped Path
	name   string   // for errors
	secure bool
}

type timeouts struct{ connect, tls, firstByte, betweenBytes, total time.Duration }

// New makes a pool. It reads the certificate files, opens no connection, and tells all that is wrong with o at once.
func New(o Options) (*Pool, error) {
	p := &Pool{
		name: o.Name, retries: o.Retries, multi: o.HTTP2, limited: o.MaxConnections > 0,
		time: timeouts{o.Connect, o.TLS, o.FirstByte, o.BetweenBytes, o.Total},
	}
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("origin pool %q: "+format, append([]any{o.Name}, args...)...))
	}
	switch o.Host {
	case "", HostClient:
	case HostOrigin:
		p.hostOf = true
	default:
		p.host = o.Host
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"connect", o.Connect}, {"tls", o.TLS}, {"first_byte", o.FirstByte}, {"between_bytes", o.BetweenBytes}, {"total", o.Total},
	} {
		if t.d < 0 {
			fail("timeout %s is %v; use 0 for none or a positive duration", t.name, t.d)
		}
	}
	if o.MaxConnections < 0 {
		fail("max_connections is %d; use 0 for no bound or a positive number", o.MaxConnections)
	}
	if o.Retries < 0 {
		fail("retries is %d; use 0 for none or a positive number", o.Retries)
	}
	var turns []balance.Member
	for _, m := range o.Members {
		if err := checkURL(m.URL); err != nil {
			fail("%w", err)
			continue
		}
		u := *m.URL
		u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
		raw := strings.TrimRight(m.URL.EscapedPath(), "/")
		p.members = append(p.members, member{url: &u, raw: raw, name: u.Scheme + "://" + u.Host + raw, secure: u.Scheme == "https"})
		turns = append(turns, balance.Member{Weight: m.Weight, Backup: m.Backup})
	}
	if policy, err := balance.Parse(o.Balance); err != nil {
		fail("%w", err)
	} else if len(turns) == len(o.Members) {
		if p.picker, err = balance.New(policy, turns); err != nil {
			fail("%w", err)
		}
	}
	conf, err := tlsConfig(o)
	if err != nil {
		fail("%w", err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for l := range p.lanes {
		p.lanes[l] = newTransport(o, lane(l), conf)
	}
	return p, nil
}

// Close closes the idle connections. Exchanges under way go on; their connections are closed as they become idle
// (http.Transport.CloseIdleConnections says so to connections that are in use, until another request begins).
func (p *Pool) Close() {
	for _, t := range p.lanes {
		t.CloseIdleConnections()
	}
}

func checkURL(u *url.URL) error {
	switch {
	case u == nil:
		return errors.New("a member has no url; write one such as https://origin.example.com")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("member url %q: the scheme must be http or https", u.Redacted())
	case u.Hostname() == "":
		return fmt.Errorf("member url %q has no host", u.Redacted())
	case u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("member url %q: only scheme, host, port and path are allowed", u.Redacted())
	}
	return nil
}

func tlsConfig(o Options) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: o.InsecureSkipVerify,
		ServerName:         o.SNI,
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
	}
	var errs []error
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("tls.ca: %w", err))
		} else if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			errs = append(errs, fmt.Errorf("tls.ca: %s holds no PEM certificate", o.CAFile))
		}
	}
	switch {
	case (o.CertFile == "") != (o.KeyFile == ""):
		errs = append(errs, errors.New("tls.cert and tls.key belong together: give both or none"))
	case o.CertFile != "":
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			errs = append(errs, fmt.Errorf("tls.cert %s with tls.key %s: %w", o.CertFile, o.KeyFile, err))
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, errors.Join(errs...)
}
