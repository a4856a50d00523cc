package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func server(t *testing.T) *Server {
	t.Helper()
	s := &Server{Logger: slog.New(slog.DiscardHandler), Ready: func() error { return nil },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "figures") })}
	type in struct {
		Name  string `json:"name"`
		Count int    `json:"count"`
	}
	Handle(s, "POST /v1/echo", func(_ context.Context, i *in) (any, error) {
		if i.Name == "bad" {
			return nil, &Error{Status: http.StatusConflict, Field: "name", What: "is taken"}
		}
		return i, nil
	})
	return s
}

// ask sends a request through the guard, as if it had come in on local.
func ask(s *Server, local string, secure bool, request, host, body string, fields ...string) *httptest.ResponseRecorder {
	method, path, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = host
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	r.TLS = nil
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	addr, _ := net.ResolveTCPAddr("tcp", local)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
	w := httptest.NewRecorder()
	s.guard(&s.mux).ServeHTTP(w, r)
	return w
}

func TestWhoMayComeIn(t *testing.T) {
	s := server(t)
	s.Serve(nil)
	defer s.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("0123456789abcdef\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := ReadToken("ops", file)
	if err != nil {
		t.Fatal(err)
	}
	s.Tokens = []Token{token}
	f := func(local string, secure bool, path, host, auth string, want int) {
		t.Helper()
		if w := ask(s, local, secure, "GET "+path, host, "", "Authorization: "+auth); w.Code != want {
			t.Errorf("%s at %s as %s with %q: %d, want %d: %s", path, local, host, auth, w.Code, want, w.Body)
		}
	}
	f("127.0.0.1:9180", false, "/metrics", "127.0.0.1:9180", "", 200)
	f("127.0.0.1:9180", false, "/metrics", "localhost:9180", "", 200)
	f("[::1]:9180", false, "/metrics", "[::1]:9180", "", 200)
	f("127.0.0.1:9180", false, "/metrics", "evil.test", "", 403) // DNS rebinding
	f("127.0.0.1:9180", false, "/healthz", "evil.test", "", 200)
	f("192.0.2.1:9180", true, "/metrics", "node.test", "", 401)
	f("192.0.2.1:9180", true, "/metrics", "node.test", "Bearer 0123456789abcdeX", 401)
	f("192.0.2.1:9180", true, "/metrics", "node.test", "Basic 0123456789abcdef", 401)
	f("192.0.2.1:9180", true, "/metrics", "node.test", "Bearer 0123456789abcdef", 200)
	f("192.0.2.1:9180", true, "/readyz", "node.test", "", 200)
	f("192.0.2.1:9180", true, "/v1/none", "node.test", "", 401)
	f("127.0.0.1:9180", false, "/v1/none", "localhost", "", 404)
}

func TestBodiesAreStrict(t *testing.T) {
	s := server(t)
	f := func(contentType, body string, status int, want string) {
		t.Helper()
		w := ask(s, "127.0.0.1:1", false, "POST /v1/echo", "localhost", body, "Content-Type: "+contentType)
		if w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s %q: %d %s, want %d with %s", contentType, body, w.Code, w.Body, status, want)
		}
	}
	f("application/json", `{"name":"x","count":3}`, 200, `"count": 3`)
	f("application/json; charset=utf-8", ``, 200, `"name": ""`)
	f("text/plain", `{"name":"x"}`, 415, "application/json") // what a page in a browser can send
	f("application/json", `{"nam":"x"}`, 400, `"field": "nam"`)
	f("application/json", `{"count":"3"}`, 400, `"field": "count"`)
	f("application/json", `{"name":"x"} {}`, 400, "more follows")
	f("application/json", `{`, 400, "error")
	f("application/json", `{"name":"`+strings.Repeat("x", maxBody)+`"}`, 400, "error")
	f("application/json", `{"name":"bad"}`, 409, `"field": "name"`)
}

func TestReadyz(t *testing.T) {
	s := server(t)
	s.Serve(nil)
	defer s.Close()
	f := func(status int, want string) {
		t.Helper()
		if w := ask(s, "127.0.0.1:1", false, "GET /readyz", "localhost", ""); w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, want)
		}
	}
	f(200, "ready")
	s.Ready = func() error { return errors.New("no certificate") }
	f(503, "no certificate")
	s.Draining.Store(true)
	f(503, "draining")
}

func TestTokensMustBeSecrets(t *testing.T) {
	dir := t.TempDir()
	f := func(content, want string) {
		t.Helper()
		file := filepath.Join(dir, "t")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadToken("ops", file); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "ops") {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
	f("", "at least 16")
	f("short\n", "at least 16")
	f("\n0123456789abcdef\n", "at least 16")
	if _, err := ReadToken("ops", filepath.Join(dir, "none")); err == nil {
		t.Error("a token out of no file")
	}
}

func TestOffLoopbackNeedsTokenAndTLS(t *testing.T) {
	s := server(t)
	if ls, err := s.Listen([]string{"127.0.0.1:0", "0.0.0.0:0"}); err == nil || !strings.Contains(err.Error(), "token") {
		t.Errorf("%v, %v", ls, err)
	}
	s.Tokens = []Token{{Name: "ops"}}
	if _, err := s.Listen([]string{"0.0.0.0:0"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	ls, err := s.Listen([]string{"127.0.0.1:0", "0.0.0.0:0"})
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(ls)
	defer s.Close()
	if resp, err := http.Get("http://" + ls[0].Addr().String() + "/healthz"); err != nil || resp.StatusCode != 200 {
		t.Errorf("loopback in the clear: %v", err)
	}
	_, port, _ := net.SplitHostPort(ls[1].Addr().String())
	if resp, err := http.Get("http://127.0.0.1:" + port + "/healthz"); err == nil && resp.StatusCode == 200 {
		t.Error("off loopback in the clear")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if resp, err := client.Get("https://127.0.0.1:" + port + "/healthz"); err != nil || resp.StatusCode != 200 {
		t.Errorf("off loopback over TLS: %v", err)
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
