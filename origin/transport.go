package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	maxHeadBytes     = 64 << 10
	maxIdlePerMember = 256
	idleTimeout      = 90 * time.Second
	writeBuffer      = 16 << 10
	// readBuffer holds the head and small bodies in one system call. Large bodies do not meet it: bufio reads straight into
	// a caller's buffer that is at least as large. 8 MiB read in pieces of 64 KiB took 3.05, 2.99, 2.91, 2.98 ms with 4, 16,
	// 32 and 64 KiB (BenchmarkReadBuffer), so what counts is the memory of idle connections.
	readBuffer = 32 << 10
)

// lane is a set of protocols; each has its own http.Transport, as net/http chooses the protocol per Transport.
type lane int

const (
	laneH1   lane = iota // HTTP/1.1 only: the default, and every Upgrade
	laneALPN             // https, HTTP/2 where the member offers it
	laneH2               // HTTP/2 or nothing: gRPC, and http with prior knowledge
	lanes
)

// lane chooses the Transport of one try.
func (p *Pool) lane(r *http.Request, m *member) *http.Transport {
	switch {
	case len(r.Header["Upgrade"]) > 0: // HTTP/2 has no Upgrade (RFC 9113 §8.6)
		return p.lanes[laneH1]
	case isGRPC(r.Header):
		return p.lanes[laneH2]
	case !p.multi:
		return p.lanes[laneH1]
	case m.secure:
		return p.lanes[laneALPN]
	}
	return p.lanes[laneH2]
}

// isGRPC holds for application/grpc and its variants application/grpc+proto, application/grpc-web excluded: that one is
// made for HTTP/1.1.
func isGRPC(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) != 1 || !strings.HasPrefix(v[0], "application/grpc") {
		return false
	}
	rest := v[0][len("application/grpc"):]
	return rest == "" || rest[0] == '+' || rest[0] == ';' || rest[0] == ' '
}

func newTransport(o Options, l lane, conf *tls.Config) *http.Transport {
	d := &dialer{
		dial: net.Dialer{Timeout: o.Connect, KeepAlive: 15 * time.Second}, // happy eyeballs (RFC 8305) is its default
		conf: conf.Clone(), handshake: o.TLS,
	}
	protocols := new(http.Protocols)
	switch l {
	case laneH1:
		protocols.SetHTTP1(true)
		d.conf.NextProtos = []string{"http/1.1"}
	case laneALPN:
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
		d.conf.NextProtos = []string{"h2", "http/1.1"}
	case laneH2:
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
		d.conf.NextProtos = []string{"h2"}
		d.needH2 = true
	}
	return &http.Transport{
		Proxy:                  nil, // the environment of the process must not reroute a site
		DialContext:            d.tcp,
		DialTLSContext:         d.tls,
		Protocols:              protocols,
		DisableCompression:     true, // else a silent gunzip breaks ETag and Content-Length
		MaxIdleConnsPerHost:    maxIdlePerMember,
		MaxConnsPerHost:        o.MaxConnections,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeadBytes,
		WriteBufferSize:        writeBuffer,
		ReadBufferSize:         readBuffer,
		HTTP2: &http.HTTP2Config{
			// A connection whose far end is gone carries many exchanges: find out before they all time out.
			SendPingTimeout: 15 * time.Second,
			PingTimeout:     5 * time.Second,
		},
	}
}

// dialer opens connections and marks every failure with the phase in which it came, as after net/http only a text is left
// to tell a dial that failed from an exchange that failed.
type dialer struct {
	dial      net.Dialer
	conf      *tls.Config
	handshake time.Duration
	needH2    bool
}

// dialError is a failure before anything of the request was sent.
type dialError struct {
	kind Kind
	err  error
}

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func (d *dialer) tcp(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.dial.DialContext(ctx, network, addr)
	if err != nil {
		return nil, &dialError{dialKind(err), err}
	}
	return c, nil
}

func (d *dialer) tls(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := d.tcp(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conf := d.conf
	if conf.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			c.Close()
			return nil, &dialError{ConfigurationError, err}
		}
		conf = conf.Clone()
		conf.ServerName = host
	}
	if d.handshake > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.handshake)
		defer cancel()
	}
	t := tls.Client(c, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, &dialError{tlsKind(err), fmt.Errorf("TLS handshake as %s: %w", conf.ServerName, err)}
	}
	if d.needH2 && t.ConnectionState().NegotiatedProtocol != "h2" {
		c.Close()
		return nil, &dialError{TLSProtocol, errors.New("the member does not offer HTTP/2 (ALPN h2), which gRPC needs")}
	}
	return t, nil
}
