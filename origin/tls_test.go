package origin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// secure starts an https server with a certificate for name, signed by a; it answers "PROTO SNI client".
func secure(t *testing.T, a *ca, name string, change func(*httptest.Server)) string {
	t.Helper()
	pair, _, _ := a.leaf(name)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := "-"
		if len(r.TLS.PeerCertificates) > 0 {
			client = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.TLS.ServerName, client)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.Config.ErrorLog = quiet()
	if change != nil {
		change(s)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestTLS(t *testing.T) {
	a := newCA(t)
	_, certFile, keyFile := a.leaf("client-1")
	byAddress := secure(t, a, "127.0.0.1", nil)
	byName := secure(t, a, "origin.test", nil)
	h2 := secure(t, a, "127.0.0.1", func(s *httptest.Server) { s.EnableHTTP2 = true })
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	mutual := secure(t, a, "127.0.0.1", func(s *httptest.Server) {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, pool
	})
	old := secure(t, a, "127.0.0.1", func(s *httptest.Server) { s.TLS.MaxVersion = tls.VersionTLS11; s.TLS.MinVersion = tls.VersionTLS10 })

	f := func(url string, change func(*Options), want string, kind Kind) {
		t.Helper()
		p := newPool(t, func(o *Options) {
			o.CAFile = a.file
			if change != nil {
				change(o)
			}
		}, url)
		_, body, err := fetch(p, get(t, "/"))
		if body != want || kindOf(err) != kind {
			t.Errorf("%q, %v; want %q, %v", body, err, want, kind)
		}
	}
	f(byAddress, nil, "HTTP/1.1  -", kinds)
	f(byAddress, func(o *Options) { o.CAFile = "" }, "", TLSCertificate) // not an authority of the system
	f(byAddress, func(o *Options) { o.CAFile = newCA(t).file }, "", TLSCertificate)
	f(byAddress, func(o *Options) { o.CAFile, o.InsecureSkipVerify = "", true }, "HTTP/1.1  -", kinds)
	f(byName, nil, "", TLSCertificate) // wrong name
	f(byName, func(o *Options) { o.SNI = "origin.test" }, "HTTP/1.1 origin.test -", kinds)
	f(byName, func(o *Options) { o.SNI = "other.test" }, "", TLSCertificate)
	f(byName, func(o *Options) { o.SNI, o.HTTP2 = "origin.test", true }, "HTTP/1.1 origin.test -", kinds) // falls back
	f(h2, func(o *Options) { o.HTTP2 = true }, "HTTP/2.0  -", kinds)
	f(h2, nil, "HTTP/1.1  -", kinds) // only where asked
	f(mutual, nil, "", TLSAlert)
	f(mutual, func(o *Options) { o.CertFile, o.KeyFile = certFile, keyFile }, "HTTP/1.1  client-1", kinds)
	f(old, nil, "", TLSAlert) // TLS 1.1
	plain := raw(t, nil)
	f(strings.Replace(plain, "http:", "https:", 1), func(o *Options) { o.TLS = short }, "", ConnectionTimeout)
	f(strings.Replace(talker(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "http:", "https:", 1), nil, "", TLSProtocol)
	f(strings.Replace(talker(t, ""), "http:", "https:", 1), nil, "", Terminated)
	f(strings.Replace(byAddress, "https:", "http:", 1), nil, "Client sent an HTTP request to an HTTPS server.\n", kinds) // a 400
}

// talker says text to everyone and closes.
func talker(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, text)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	release := make(chan bool)
	t.Cleanup(func() { close(release) })
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/grpc":
			b, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			fmt.Fprintf(w, "%s %s te=%s", r.Proto, b, r.Header.Get("Te"))
			w.Header().Set("Grpc-Status", "0")
		case "/stall":
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			<-release
		case "/never":
			<-release
		case "/reset":
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/giant":
			for i := range 2000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 50))
			}
		default:
			io.WriteString(w, r.Proto)
		}
	}))
	s.Config.ErrorLog = quiet()
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols.SetHTTP1(true)
	s.Start()
	defer func() { s.CloseClientConnections() }()
	p := newPool(t, func(o *Options) { o.HTTP2, o.FirstByte, o.BetweenBytes = true, 3*short, 3*short }, s.URL)
	f := func(path, want string, kind Kind) {
		t.Helper()
		start := time.Now()
		_, body, err := fetch(p, get(t, path))
		if body != want || kindOf(err) != kind {
			t.Errorf("%s: %q, %v; want %q, %v", path, body, err, want, kind)
		}
		if d := time.Since(start); d > long {
			t.Errorf("%s took %v", path, d)
		}
	}
	f("/", "HTTP/2.0", kinds)
	f("/stall", "some", ResponseTimeout)
	f("/never", "", ResponseTimeout)
	f("/reset", "some", Terminated)
	f("/giant", "", ProtocolError) // net/http ends the connection, and does not say why
	f("/", "HTTP/2.0", kinds)

	// gRPC goes over HTTP/2 also where the pool does not, with its trailers.
	p1 := newPool(t, nil, s.URL)
	if _, body, err := fetch(p1, get(t, "/")); body != "HTTP/1.1" {
		t.Errorf("%q, %v", body, err)
	}
	r := request(t, "POST", "/grpc", struct{ io.Reader }{strings.NewReader("message")})
	r.Header.Set("Content-Type", "application/grpc+proto")
	r.Header.Set("Te", "trailers")
	resp, body, err := fetch(p1, r)
	if err != nil || body != "HTTP/2.0 message te=trailers" || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("gRPC: %q, %v, %v", body, resp, err)
	}
	g := func(contentType string, want bool) {
		t.Helper()
		if got := isGRPC(http.Header{"Content-Type": {contentType}}); got != want {
			t.Errorf("isGRPC(%q) = %v", contentType, got)
		}
	}
	g("application/grpc", true)
	g("application/grpc;x", true)
	g("application/grpc-web", false)
	g("application/grpcx", false)
	g("text/plain", false)
}

// TestGRPCNeedsHTTP2: a TLS member without ALPN h2 is an error of the handshake, not a request over HTTP/1.1.
func TestGRPCNeedsHTTP2(t *testing.T) {
	a := newCA(t)
	p := newPool(t, func(o *Options) { o.CAFile = a.file }, secure(t, a, "127.0.0.1", nil))
	r := request(t, "POST", "/", strings.NewReader("x"))
	r.Header.Set("Content-Type", "application/grpc")
	if _, _, err := fetch(p, r); kindOf(err) != TLSProtocol && kindOf(err) != TLSAlert {
		t.Errorf("%v", err)
	}
}

func TestPriorKnowledgeToAnHTTP1Member(t *testing.T) {
	p := newPool(t, func(o *Options) { o.HTTP2 = true; o.FirstByte = short }, talker(t, "HTTP/1.1 400 Bad Request\r\n\r\n"))
	if _, _, err := fetch(p, get(t, "/")); kindOf(err) != ProtocolError && kindOf(err) != Terminated {
		t.Errorf("%v", err)
	}
}
