package edge

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"levee/config"
	"levee/edge/wire"
)

// connKey is the context key of a request's *Conn.
type connKey struct{}

// Conn is a TCP connection of a client, on its way from the listener to
// net/http. It sees the bytes of the connection before net/http does.
type Conn struct {
	net.Conn
	client netip.Addr
	tls    *tls.ConnectionState // after the handshake; nil in the clear
	gate   *wire.Gate           // before net/http; nil for HTTP/2
	owner  *conns
	close  sync.Once
	asked  atomic.Bool // something of a request has come

	// writing is when the Write under way began, in nanoseconds since the
	// owner's epoch, 0 without one.
	writing atomic.Int64
	// Of the watch, while a write waits: what the client has acknowledged, in
	// bytes, and when that was first seen, since the epoch; 0 = not yet.
	acked uint64
	taken int64
}

// Write notes how long it hangs, for the watch.
func (c *Conn) Write(p []byte) (int, error) {
	c.writing.Store(int64(time.Since(c.owner.epoch)) | 1)
	n, err := c.Conn.Write(p)
	c.writing.Store(0)
	return n, err
}

// Close closes the connection and takes it off the books, once.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.close.Do(func() {
		err = c.Conn.Close()
		c.owner.closed(c)
	})
	return err
}

// CloseWrite lets net/http end its answer to a request that it has not read
// whole without a reset, which could take the answer with it.
func (c *Conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// SyscallConn keeps the way to the socket open that net.TCPConn has.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn()
}

// conns are the connections that are open, over TCP and QUIC.
type conns struct {
	limits  config.Limits
	metrics *Metrics
	epoch   time.Time
	slots   chan struct{} // limits.connections of them

	mu      sync.Mutex
	live    map[*Conn]struct{}
	clients map[netip.Prefix]int
	empty   chan struct{} // closed when the last connection goes; nil while nobody waits
}

func (cs *conns) init(limits config.Limits, m *Metrics) {
	cs.limits, cs.metrics, cs.epoch = limits, m, time.Now()
	cs.slots = make(chan struct{}, limits.Connections)
	cs.live = make(map[*Conn]struct{})
	cs.clients = make(map[netip.Prefix]int)
}

// acquire waits for a place among limits.connections; it reports false when the
// server ends first.
func (cs *conns) acquire(ending <-chan struct{}) bool {
	select {
	case cs.slots <- struct{}{}:
		return true
	case <-ending:
		return false
	}
}

func (cs *conns) release() { <-cs.slots }

// clientPrefix is what counts as one client: an IPv4 address, or the /64 that
// one subscriber of IPv6 has.
func clientPrefix(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

// enter counts a connection of a client; it reports false beyond
// limits.connections_per_client.
func (cs *conns) enter(a netip.Addr) bool {
	p := clientPrefix(a)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if limit := cs.limits.ConnectionsPerClient; limit > 0 && cs.clients[p] >= limit {
		cs.metrics.refusedConns.WithLabelValues("connections_per_client").Inc()
		return false
	}
	cs.clients[p]++
	cs.metrics.conns.Inc()
	return true
}

func (cs *conns) leave(a netip.Addr) {
	p := clientPrefix(a)
	cs.mu.Lock()
	if cs.clients[p]--; cs.clients[p] <= 0 {
		delete(cs.clients, p)
	}
	cs.mu.Unlock()
	cs.metrics.conns.Dec()
	cs.release()
}

// open takes over an accepted connection. It returns nil, and has closed it,
// when its client has too many.
func (cs *conns) open(raw net.Conn) *Conn {
	ap, _ := netip.ParseAddrPort(raw.RemoteAddr().String())
	c := &Conn{Conn: raw, client: ap.Addr().Unmap().WithZone(""), owner: cs}
	if !cs.enter(c.client) {
		raw.Close()
		cs.release()
		return nil
	}
	cs.mu.Lock()
	cs.live[c] = struct{}{}
	cs.mu.Unlock()
	return c
}

func (cs *conns) closed(c *Conn) {
	cs.mu.Lock()
	delete(cs.live, c)
	if len(cs.live) == 0 && cs.empty != nil {
		close(cs.empty)
		cs.empty = nil
	}
	cs.mu.Unlock()
	cs.leave(c.client)
}

// watch closes connections whose client has taken nothing for twice
// limits.body_grace while a write waits for it: small answers have no deadline
// of their own, and a large one's may be far away.
func (cs *conns) watch(done <-chan struct{}) {
	tick := time.NewTicker(max(time.Duration(cs.limits.BodyGrace)/4, 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if cs.limits.BodyRate <= 0 {
			continue
		}
		now := int64(time.Since(cs.epoch))
		var stuck []*Conn
		cs.mu.Lock()
		for c := range cs.live {
			if c.stuck(now, 2*int64(cs.limits.BodyGrace)) {
				stuck = append(stuck, c)
			}
		}
		cs.mu.Unlock()
		for _, c := range stuck {
			cs.metrics.refusedConns.WithLabelValues("body_rate").Inc()
			c.Close()
		}
	}
}

// stuck reports whether a write waits and nothing was taken for patience. That a
// write waits that long is not enough: the kernel lets it go on only when a good
// part of the socket's buffer is free, and a client that takes 20 KB/s needs a
// minute for that. What it acknowledges tells.
func (c *Conn) stuck(now, patience int64) bool {
	since := c.writing.Load()
	if since == 0 || now-since <= patience/4 {
		c.taken = 0
		return false
	}
	if n, ok := acked(c.Conn); ok && (c.taken == 0 || n != c.acked) {
		c.acked, c.taken = n, now // the first look knows nothing of what came before
	}
	return now-max(since, c.taken) > patience
}

// drained waits until no connection is open.
func (cs *conns) drained(ctx context.Context) error {
	cs.mu.Lock()
	if len(cs.live) == 0 {
		cs.mu.Unlock()
		return nil
	}
	empty := make(chan struct{})
	cs.empty = empty
	cs.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// closeUnasked closes the connections on which no request has come: browsers
// open some ahead, and net/http's Shutdown waits 5 s for each.
func (cs *conns) closeUnasked() {
	cs.closeIf(func(c *Conn) bool { return !c.asked.Load() })
}

func (cs *conns) closeAll() {
	cs.closeIf(func(*Conn) bool { return true })
}

func (cs *conns) closeIf(f func(*Conn) bool) {
	cs.mu.Lock()
	var chosen []*Conn
	for c := range cs.live {
		if f(c) {
			chosen = append(chosen, c)
		}
	}
	cs.mu.Unlock()
	for _, c := range chosen { // Close takes the lock
		c.Close()
	}
}

// sni is the name that the client asked for in its TLS handshake, "" without.
func (x *Exchange) sni() string {
	if x.r.TLS != nil {
		return x.r.TLS.ServerName
	}
	if x.conn != nil && x.conn.tls != nil {
		return x.conn.tls.ServerName
	}
	return ""
}

// tlsVersion is "1.2" or "1.3".
func (x *Exchange) tlsVersion() string {
	state := x.r.TLS
	if state == nil && x.conn != nil {
		state = x.conn.tls
	}
	if state == nil {
		return ""
	}
	switch state.Version {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return tls.VersionName(state.Version)
}
