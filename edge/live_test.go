package edge

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"levee/config"
	"levee/edge/tlscert"
)

// The ways in which a client reaches the edge.
const (
	clearH1  = "h1"
	secureH1 = "h1 tls"
	secureH2 = "h2"
	secureH3 = "h3"
)

var ways = []string{clearH1, secureH1, secureH2, secureH3}

// live is an edge with its own Server: real listeners, certificates of the
// internal CA, every protocol, in front of a scripted origin that speaks
// HTTP/1.1 and HTTP/2 in the clear.
type live struct {
	t       testing.TB
	origin  *httptest.Server
	config  *config.Config
	handler *Handler
	server  *Server
	roots   *x509.CertPool
	clear   string // host:port
	secure  string
	asked   atomic.Int64 // requests that reached the origin
	stop    func(context.Context) error

	mu      sync.Mutex
	respond http.HandlerFunc
	clients map[string]*http.Client
}

// firstHandshake is held while a rig has its certificate made. certmagic keeps
// who makes a certificate for which name in variables of its package: of two
// CAs in one process that make one for the same name at the same time, both
// serve that of one of them.
var firstHandshake sync.Mutex

// newLive starts an edge whose one site, www, has any host. Each change is
// applied to the config first.
func newLive(t testing.TB, respond http.HandlerFunc, changes ...func(*config.Config)) *live {
	t.Helper()
	l := &live{t: t, respond: respond, clients: make(map[string]*http.Client)}
	l.origin = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.asked.Add(1)
		l.mu.Lock()
		f := l.respond
		l.mu.Unlock()
		f(w, r)
	}))
	l.origin.Config.Protocols = new(http.Protocols)
	l.origin.Config.Protocols.SetHTTP1(true)
	l.origin.Config.Protocols.SetUnencryptedHTTP2(true)
	l.origin.Start()
	t.Cleanup(func() {
		l.origin.CloseClientConnections() // a failed test may have left one that hangs
		l.origin.Close()
	})
	u, _ := url.Parse(l.origin.URL)
	l.config = config.Default()
	l.config.Cache.RAM = 32 << 20
	l.config.Sites = []config.Site{config.DefaultSite("www", []string{"*"}, config.DefaultMember(u))}
	for _, f := range changes {
		f(l.config)
	}
	l.handler = newHandler(t, l.config)

	certs, err := tlscert.Open(t.Context(), tlscert.Options{
		Issuer: tlscert.Internal, DataDir: t.TempDir(),
		Allowed: func(name string) bool { return l.handler.State().Serves(name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(certs.Close)
	l.roots = x509.NewCertPool()
	l.roots.AddCert(certs.Root())

	l.server = &Server{Handler: l.handler, TLS: certs.TLSConfig(), Limits: l.config.Limits, Logger: slog.New(slog.DiscardHandler)}
	if err := l.server.Listen([]string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	l.clear, l.secure = l.server.Addrs()[0].String(), l.server.Addrs()[1].String()
	firstHandshake.Lock()
	if c, err := l.tryDial(secureH1); err == nil {
		c.Close()
	}
	firstHandshake.Unlock()
	for l.open() > 0 { // it must not count in the test
		time.Sleep(time.Millisecond)
	}
	var once sync.Once
	l.stop = func(ctx context.Context) (err error) {
		once.Do(func() { err = l.server.Drain(ctx) })
		return err
	}
	t.Cleanup(func() {
		l.closeClients()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_ = l.stop(ctx) // some tests leave requests that hang
	})
	return l
}

// open is the number of TCP connections that the edge has.
func (l *live) open() int {
	l.server.conns.mu.Lock()
	defer l.server.conns.mu.Unlock()
	return len(l.server.conns.live)
}

func (l *live) closeClients() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.clients {
		closeClient(c)
	}
	clear(l.clients)
}

func closeClient(c *http.Client) {
	c.CloseIdleConnections()
	if t, ok := c.Transport.(*http3.Transport); ok {
		t.Close()
	}
}

func (l *live) script(f http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.respond = f
}

// tlsClient is a client's configuration for a name.
func (l *live) tlsClient(name string, protos ...string) *tls.Config {
	return &tls.Config{RootCAs: l.roots, ServerName: name, NextProtos: protos}
}

// newClient makes a client that reaches the edge by one protocol, whatever the
// host of the URL. The caller closes it.
func (l *live) newClient(way string) *http.Client {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if way == secureH3 {
		return &http.Client{CheckRedirect: stay, Transport: &http3.Transport{
			TLSClientConfig: l.tlsClient(""), DisableCompression: true,
			Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
				return quic.DialAddrEarly(ctx, l.secure, t, q)
			},
		}}
	}
	p := new(http.Protocols)
	p.SetHTTP1(way != secureH2)
	p.SetHTTP2(way == secureH2)
	to := l.secure
	if way == clearH1 {
		to = l.clear
	}
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		DisableCompression: true, TLSClientConfig: l.tlsClient(""), Protocols: p, MaxIdleConnsPerHost: 100,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, to)
		},
	}}
}

func (l *live) client(way string) *http.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[way] == nil {
		l.clients[way] = l.newClient(way)
	}
	return l.clients[way]
}

// url is the address of a path of www.test as the way's client must ask for it.
func (l *live) url(way, path string) string { return l.urlOf(way, "www.test", path) }

func (l *live) urlOf(way, host, path string) string {
	if way == clearH1 {
		return "http://" + host + path
	}
	return "https://" + host + path
}

// request makes a request: "GET /path", and lines "Name: value".
func (l *live) request(way, request string, body io.Reader, lines ...string) *http.Request {
	l.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(l.t.Context(), method, l.url(way, path), body)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header["User-Agent"] = nil // else the client adds its own
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return r
}

// do sends a request and reads the whole answer, within 10 s.
func (l *live) do(way, request string, lines ...string) answer {
	l.t.Helper()
	return l.send(way, l.request(way, request, nil, lines...))
}

func (l *live) doBody(way, request string, body io.Reader, lines ...string) answer {
	l.t.Helper()
	return l.send(way, l.request(way, request, body, lines...))
}

func (l *live) send(way string, r *http.Request) answer {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	resp, err := l.client(way).Do(r.WithContext(ctx))
	if err != nil {
		return answer{err: err}
	}
	return read(resp)
}

func read(resp *http.Response) answer {
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(p), err}
}

// rawConn is a connection on which a test writes what no client would.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

// dial opens a raw connection for HTTP/1.1, in the clear or by TLS.
func (l *live) dial(way string) *rawConn {
	l.t.Helper()
	c, err := l.tryDial(way)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}

func (l *live) tryDial(way string) (*rawConn, error) {
	var c net.Conn
	var err error
	d := &net.Dialer{Timeout: 5 * time.Second}
	if way == clearH1 {
		c, err = d.Dial("tcp", l.clear)
	} else {
		c, err = tls.DialWithDialer(d, "tcp", l.secure, l.tlsClient("www.test", "http/1.1"))
	}
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return &rawConn{c, bufio.NewReader(c)}, nil
}

func (c *rawConn) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c, format, args...) // the far end may have refused already; its answer tells
}

// answer reads one response to a request of a method.
func (c *rawConn) answer(method string) answer {
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return answer{err: err}
	}
	return read(resp)
}

// closed reads on until the far end closes, and says whether it did within d.
func (c *rawConn) closed(d time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(d))
	_, err := io.Copy(io.Discard, c.r)
	ne, ok := err.(net.Error)
	return !ok || !ne.Timeout()
}

// frames is a bare HTTP/2 connection, for what no client would do.
type frames struct {
	*http2.Framer
	conn net.Conn
	enc  *hpack.Encoder
	buf  *strings.Builder
	t    testing.TB
}

// frames opens one, with the client's settings, and has read the server's.
func (l *live) frames(settings ...http2.Setting) *frames {
	l.t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.secure, l.tlsClient("www.test", "h2"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, http2.ClientPreface)
	f := &frames{Framer: http2.NewFramer(c, c), conn: c, buf: new(strings.Builder), t: l.t}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.enc = hpack.NewEncoder(f.buf)
	if err := f.WriteSettings(settings...); err != nil {
		l.t.Fatal(err)
	}
	return f
}

// head sends the head of a request: pseudo fields first, as name, value.
func (f *frames) head(stream uint32, end bool, fields ...string) {
	f.t.Helper()
	f.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(f.buf.String()), EndHeaders: true, EndStream: end}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *frames) get(stream uint32, host, path string) {
	f.t.Helper()
	f.head(stream, true, ":method", "GET", ":scheme", "https", ":authority", host, ":path", path)
}

// until reads frames, and answers SETTINGS and PING, until one is wanted; nil
// when the connection ends first.
func (f *frames) until(want func(http2.Frame) bool) http2.Frame {
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return nil
		}
		switch fr := fr.(type) {
		case *http2.SettingsFrame:
			if !fr.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !fr.IsAck() {
				_ = f.WritePing(true, fr.Data)
			}
		}
		if want(fr) {
			return fr
		}
	}
}

// status reads on to the head of an answer on a stream; "reset" and "closed"
// stand for none.
func (f *frames) status(stream uint32) string {
	switch fr := f.until(func(fr http2.Frame) bool {
		switch fr.(type) {
		case *http2.MetaHeadersFrame, *http2.RSTStreamFrame:
			return fr.Header().StreamID == stream
		}
		return false
	}).(type) {
	case *http2.MetaHeadersFrame:
		return fr.PseudoValue("status")
	case *http2.RSTStreamFrame:
		return "reset"
	}
	return "closed"
}

// dialQUIC opens a bare QUIC connection for HTTP/3.
func (l *live) dialQUIC(name string) (*quic.Conn, error) {
	return l.dialQUICWith(name, &quic.Config{})
}

func (l *live) dialQUICWith(name string, q *quic.Config) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Second)
	defer cancel()
	return quic.DialAddr(ctx, l.secure, l.tlsClient(name, "h3"), q)
}

// openH3 begins a request for www.test on a bare QUIC connection and gives its
// stream, of which nothing is read.
func openH3(l *live, conn *quic.Conn, method, path string) (*quic.Stream, error) {
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	for _, f := range []qpack.HeaderField{{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "www.test"}, {Name: ":path", Value: path}} {
		if err := enc.WriteField(f); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Second)
	defer cancel()
	str, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	frame := append(quicvarint.Append([]byte{1}, uint64(block.Len())), block.Bytes()...) // HEADERS (RFC 9114 §7.2.2)
	if _, err := str.Write(frame); err != nil {
		return nil, err
	}
	return str, str.Close()
}
