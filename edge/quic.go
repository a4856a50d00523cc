package edge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/time/rate"
)

// handshakesPerSecond is the rate of new QUIC connections beyond which a client
// must first prove its address by a Retry (RFC 9000 §8.1.2).
const handshakesPerSecond = 1000

// quicListener is HTTP/3 on one UDP socket. We own socket, transport and
// listener: http3.Server closes none of them, and a client that dials a
// listener nobody serves would hang.
type quicListener struct {
	s         *Server
	socket    *net.UDPConn
	transport *quic.Transport
	listener  *quic.EarlyListener
	http3     *http3.Server
}

// listenQUIC opens HTTP/3 beside a TCP listener.
func (s *Server) listenQUIC(beside *net.TCPAddr) (*quicListener, error) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: beside.IP, Port: beside.Port, Zone: beside.Zone})
	if err != nil {
		return nil, err
	}
	q := &quicListener{s: s, socket: socket}
	var reset quic.StatelessResetKey
	if _, err := rand.Read(reset[:]); err != nil {
		return nil, err
	}
	busy := rate.NewLimiter(handshakesPerSecond, handshakesPerSecond)
	q.transport = &quic.Transport{
		Conn:                socket,
		ConnectionIDLength:  8,
		StatelessResetKey:   &reset,
		VerifySourceAddress: func(net.Addr) bool { return !busy.Allow() },
		ConnContext:         q.admit,
	}
	tlsConfig := http3.ConfigureTLSConfig(s.TLS.Clone())
	q.listener, err = q.transport.ListenEarly(tlsConfig, &quic.Config{
		HandshakeIdleTimeout: time.Duration(s.Limits.TLSTimeout),
		// Packets keep a connection alive for as long as a request takes, however
		// quiet; one without a request is ended by quicConn.
		MaxIdleTimeout:     time.Duration(s.Limits.IdleTimeout),
		KeepAlivePeriod:    time.Duration(s.Limits.IdleTimeout) / 2,
		MaxIncomingStreams: int64(s.Limits.Streams),
		// 0-RTT can be replayed and Go keeps no record of tickets used: off.
		Allow0RTT: false,
		// What one connection's uploads may hold in memory.
		MaxStreamReceiveWindow:     1 << 20,
		MaxConnectionReceiveWindow: 4 << 20,
	})
	if err != nil {
		q.transport.Close()
		socket.Close()
		return nil, fmt.Errorf("http/3 on %s: %w", beside, err)
	}
	q.http3 = &http3.Server{
		Handler:        q,
		MaxHeaderBytes: int(s.Limits.HeaderBytes) + 8<<10,
		ConnContext:    q.track,
		Logger:         s.Logger,
	}
	return q, nil
}

// admit counts a new connection, or refuses it.
func (q *quicListener) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	ap, _ := netip.ParseAddrPort(info.RemoteAddr.String())
	client := ap.Addr().Unmap().WithZone("")
	cs := &q.s.conns
	select {
	case cs.slots <- struct{}{}:
	default:
		cs.metrics.refusedConns.WithLabelValues("connections").Inc()
		return nil, errors.New("too many connections")
	}
	if !cs.enter(client) {
		cs.release()
		return nil, errors.New("too many connections of this client")
	}
	context.AfterFunc(ctx, func() { cs.leave(client) })
	return ctx, nil
}

// quicConn ends a connection that has been without a request for
// limits.idle_timeout. http3.Server would do so too, but counts open streams:
// one whose head never becomes complete would hold the connection for ever.
type quicConn struct {
	requests atomic.Int64 // that the Handler has now
	idle     time.Duration
	timer    *time.Timer
}

// quicKey is the context key of a request's *quicConn.
type quicKey struct{}

func (q *quicListener) track(ctx context.Context, conn *quic.Conn) context.Context {
	c := &quicConn{idle: time.Duration(q.s.Limits.IdleTimeout)}
	c.timer = time.AfterFunc(c.idle, func() {
		if c.requests.Load() == 0 {
			_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "idle")
		}
	})
	context.AfterFunc(conn.Context(), func() { c.timer.Stop() })
	return context.WithValue(ctx, quicKey{}, c)
}

// ServeHTTP hands a request of HTTP/3 to the Handler.
func (q *quicListener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(quicKey{}).(*quicConn); ok {
		c.requests.Add(1)
		c.timer.Stop()
		defer func() {
			// A request that comes in between finds the timer running; it looks at
			// the count when it fires.
			if c.requests.Add(-1) == 0 {
				c.timer.Reset(c.idle)
			}
		}()
	}
	q.s.Handler.ServeHTTP(w, r)
}

func (q *quicListener) serve() { _ = q.http3.ServeListener(q.listener) }

// drain sends GOAWAY and waits for the requests in flight. The listener must go
// at the same time: a handshake with a server that shuts down hangs otherwise.
func (q *quicListener) drain(ctx context.Context) error {
	q.listener.Close()
	return q.http3.Shutdown(ctx)
}

func (q *quicListener) close() {
	_ = q.http3.Close()
	q.listener.Close()
	q.transport.Close()
	q.socket.Close()
}
