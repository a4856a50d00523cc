package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"levee/config"
	"levee/edge/wire"
)

// Server owns the listeners of an edge and every connection on them: it accepts,
// counts and bounds, does the TLS handshake, and hands one connection at a time
// to net/http (HTTP/1.1, HTTP/2) or to quic-go (HTTP/3).
type Server struct {
	Handler *Handler
	// TLS gives the certificates; it is cloned for each protocol. Nil when
	// nothing listens for https.
	TLS    *tls.Config
	Limits config.Limits // in force from Listen on; a reload does not change those of connections
	Logger *slog.Logger

	http  *http.Server // HTTP/1.1 and 2
	conns conns
	hand  *handover
	// listening is set once Listen has succeeded.
	listening bool
	heads     wire.Limits

	tcp     []net.Listener
	quic    []*quicListener
	accepts sync.WaitGroup
	ending  chan struct{} // closed when Drain begins
	done    chan struct{} // closed when it has ended
}

// Listen opens the listeners, all or none, and begins to serve. An address
// "host:0" picks a port, for HTTP/3 the same one as for TCP.
func (s *Server) Listen(httpAddrs, httpsAddrs []string) error {
	s.ending, s.done = make(chan struct{}), make(chan struct{})
	s.conns.init(s.Limits, s.Handler.Metrics)
	s.hand = newHandover()
	s.http = s.newHTTP()
	s.heads = wire.Limits{
		// The Handler holds the size to the byte, reckoned alike for every
		// protocol; what white space may add to that is let through here.
		HeadBytes: int(s.Limits.HeaderBytes) + 1<<10, TargetBytes: int(s.Limits.URLBytes), Fields: s.Limits.HeaderCount,
		HeadTimeout: time.Duration(s.Limits.HeaderTimeout),
	}
	ok := false
	defer func() {
		if !ok {
			s.closeListeners()
		}
	}()
	var clear, secure []net.Listener
	for _, addr := range httpAddrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("listen.http: %w", err)
		}
		clear = append(clear, l)
		s.tcp = append(s.tcp, l)
	}
	for _, addr := range httpsAddrs {
		l, q, err := s.listenSecure(addr)
		if err != nil {
			return fmt.Errorf("listen.https: %w", err)
		}
		secure = append(secure, l)
		s.tcp = append(s.tcp, l)
		s.quic = append(s.quic, q)
	}
	if len(secure) > 0 {
		_, port, _ := net.SplitHostPort(secure[0].Addr().String())
		s.Handler.Announce(":"+port, true)
	}
	ok, s.listening = true, true

	go func() { _ = s.http.Serve(s.hand) }()
	tcpTLS := s.tcpTLS()
	for _, l := range clear {
		s.accepts.Go(func() { s.accept(l, nil) })
	}
	for _, l := range secure {
		s.accepts.Go(func() { s.accept(l, tcpTLS) })
	}
	for _, q := range s.quic {
		go q.serve()
	}
	go s.conns.watch(s.done)
	return nil
}

// listenSecure opens TCP and UDP on one port.
func (s *Server) listenSecure(addr string) (net.Listener, *quicListener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	for try := 0; ; try++ {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		q, err := s.listenQUIC(l.Addr().(*net.TCPAddr))
		if err == nil {
			return l, q, nil
		}
		l.Close()
		if port != "0" || try == 10 { // a picked port may be taken for UDP
			return nil, nil, err
		}
	}
}

// Addrs are the addresses that are listened on, in the order of Listen's
// arguments: first http, then https.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.tcp))
	for i, l := range s.tcp {
		addrs[i] = l.Addr()
	}
	return addrs
}

func (s *Server) newHTTP() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: time.Duration(s.Limits.HeaderTimeout),
		IdleTimeout:       time.Duration(s.Limits.IdleTimeout),
		// The Handler holds requests to the limit exactly; this only keeps what
		// net/http reads before it within reach of it.
		MaxHeaderBytes: int(s.Limits.HeaderBytes) + 8<<10,
		Protocols:      protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: s.Limits.Streams,
			MaxReadFrameSize:     16 << 10, // the least that RFC 9113 §6.5.2 allows: a frame is buffered whole
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     time.Duration(s.Limits.BodyGrace),
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, bare(c))
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			switch g, h1 := c.(*wire.Gate); {
			case state == http.StateActive:
				bare(c).asked.Store(true)
			case state == http.StateIdle && h1:
				_ = g.Release() // the answer is complete; an error shows at the next read
			}
		},
		ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
}

// bare is the connection under net/http's: under TLS, if there is any.
func bare(c net.Conn) *Conn {
	if g, ok := c.(*wire.Gate); ok {
		c = g.Conn
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*Conn)
}

func (s *Server) tcpTLS() *tls.Config {
	c := s.TLS
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.NextProtos = []string{"h2", "http/1.1"}
	return c
}

// accept takes connections off a listener until it is closed.
func (s *Server) accept(l net.Listener, secure *tls.Config) {
	for pause := time.Duration(0); ; {
		raw, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of files, say: what is open goes on, and a tight loop helps nobody.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.Logger.Warn("cannot accept connections; trying again", "addr", l.Addr().String(), "err", err, "in", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		// Beyond limits.connections this one waits here, and those behind it in
		// the kernel's queue.
		if !s.conns.acquire(s.ending) {
			raw.Close()
			return
		}
		c := s.conns.open(raw)
		if c == nil {
			continue
		}
		if secure == nil {
			s.hand.give(s.gate(c, c))
			continue
		}
		go s.handshake(c, secure)
	}
}

// handshake makes a TLS connection of c, within limits.tls_timeout.
func (s *Server) handshake(c *Conn, secure *tls.Config) {
	t := tls.Server(c, secure)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.Limits.TLSTimeout))
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		s.Logger.Debug("tls handshake failed", "client", c.client.String(), "err", err)
		c.Close()
		return
	}
	state := t.ConnectionState()
	c.tls = &state
	if state.NegotiatedProtocol == "h2" {
		s.hand.give(t)
	} else {
		s.hand.give(s.gate(c, t))
	}
}

// gate puts the strict reader of heads before an HTTP/1.1 connection: over is c,
// or TLS on it.
func (s *Server) gate(c *Conn, over net.Conn) net.Conn {
	c.gate = wire.NewGate(over, &s.heads)
	return c.gate
}

// Drain ends the server: no new connections, GOAWAY and Connection: close, and
// until ctx ends time for the requests in flight; then everything is closed. It
// returns ctx's error if requests had to be cut.
func (s *Server) Drain(ctx context.Context) error {
	if !s.listening {
		return nil
	}
	close(s.ending)
	s.Handler.Withdraw()
	for _, l := range s.tcp {
		l.Close()
	}
	s.accepts.Wait()
	s.http.SetKeepAlivesEnabled(false)
	s.conns.closeUnasked()

	errs := make(chan error, len(s.quic)+1)
	go func() { errs <- s.http.Shutdown(ctx) }()
	for _, q := range s.quic {
		go func() { errs <- q.drain(ctx) }()
	}
	var err error
	for range len(s.quic) + 1 {
		err = errors.Join(err, <-errs)
	}
	if e := s.conns.drained(ctx); e != nil { // tunnels are net/http's no longer
		err = errors.Join(err, e)
	}
	_ = s.http.Close()
	s.conns.closeAll()
	for _, q := range s.quic {
		q.close()
	}
	close(s.done)
	return err
}

func (s *Server) closeListeners() {
	for _, l := range s.tcp {
		l.Close()
	}
	for _, q := range s.quic {
		q.close()
	}
	s.tcp, s.quic = nil, nil
}

// handover is the listener that net/http serves: it hands over connections
// that the Server has accepted.
type handover struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		c.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error   { h.once.Do(func() { close(h.done) }); return nil }
func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }
