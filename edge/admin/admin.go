// Package admin is the listener for operators: health, metrics, and the JSON
// API. On loopback it is open to whoever may log in to the machine; elsewhere
// it is TLS only, and everything but /healthz and /readyz wants a bearer token.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// maxBody bounds the body of an API call, in bytes.
const maxBody = 1 << 20

// Token is one holder of rights.
type Token struct {
	Name string
	hash [sha256.Size]byte
}

// ReadToken reads the token that stands alone on the first line of a file. One
// of fewer than 16 bytes is refused: it could be guessed.
func ReadToken(name, file string) (Token, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Token{}, fmt.Errorf("token %s: %w", name, err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSpace(line)
	if len(line) < 16 {
		return Token{}, fmt.Errorf("token %s: %s holds %d bytes on its first line; a token needs at least 16, such as the output of `openssl rand -hex 32`", name, file, len(line))
	}
	return Token{name, sha256.Sum256([]byte(line))}, nil
}

// Server is the admin listener. Its fields are set before Serve.
type Server struct {
	Logger  *slog.Logger
	TLS     *tls.Config // for listeners off loopback
	Tokens  []Token
	Metrics http.Handler
	// Ready says what keeps the node from getting traffic; nil = ready.
	Ready func() error
	// Draining, once set, turns /readyz red whatever Ready says.
	Draining atomic.Bool

	mux  http.ServeMux
	http http.Server
}

// Error is an answer with a status of its own and the field that is wrong.
type Error struct {
	Status int    `json:"-"`
	Field  string `json:"field,omitempty"`
	What   string `json:"error"`
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.What
	}
	return e.Field + ": " + e.What
}

// Handle adds an API call: f gets the decoded body (of T) and returns what is
// sent as JSON. Bodies are strict: an unknown field is a mistake that is named.
func Handle[T any](s *Server, pattern string, f func(ctx context.Context, in *T) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in T
		if r.Method == http.MethodPost {
			if err := decode(r, &in); err != nil {
				reply(w, nil, err)
				return
			}
		}
		out, err := f(r.Context(), &in)
		reply(w, out, err)
	})
}

func decode(r *http.Request, in any) error {
	// A page in a browser cannot send this type to us unasked.
	if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(ct), "application/json") {
		return &Error{Status: http.StatusUnsupportedMediaType, What: "send the body as Content-Type: application/json"}
	}
	d := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if err == nil && d.More() {
		err = errors.New("more follows after the JSON value")
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil // no body: no fields
	}
	e := &Error{Status: http.StatusBadRequest, What: err.Error()}
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) {
		e.Field, e.What = te.Field, fmt.Sprintf("is a %s, write a %s", te.Value, te.Type)
	} else if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		e.Field, e.What = strings.Trim(name, `"`), "is not a field of this call"
	}
	return e
}

func reply(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Status: http.StatusBadRequest, What: err.Error()}
		}
		status, out = e.Status, e
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(out) // the client is gone: nobody to tell
}

// Listen opens the listeners; Serve must follow.
func (s *Server) Listen(addrs []string) ([]net.Listener, error) {
	var ls []net.Listener
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err == nil && !isLoopback(l.Addr()) {
			if len(s.Tokens) == 0 {
				err = errors.New("an address off loopback needs a token in admin.tokens")
			} else if s.TLS == nil {
				err = errors.New("an address off loopback needs a certificate")
			} else {
				l = tls.NewListener(l, s.TLS)
			}
		}
		if err != nil {
			if l != nil {
				l.Close()
			}
			for _, l := range ls {
				l.Close()
			}
			return nil, fmt.Errorf("listen.admin %s: %w", addr, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// Serve serves the listeners until Close.
func (s *Server) Serve(ls []net.Listener) {
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive\n") })
	s.mux.HandleFunc("GET /readyz", s.readyz)
	if s.Metrics != nil {
		s.mux.Handle("GET /metrics", s.Metrics)
	}
	s.http = http.Server{
		Handler:           s.guard(&s.mux),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
	for _, l := range ls {
		go func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.Logger.Error("the admin listener ended", "addr", l.Addr().String(), "err", err)
			}
		}()
	}
}

// Close ends the listeners and their connections.
func (s *Server) Close() { _ = s.http.Close() }

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	err := s.Ready()
	if s.Draining.Load() {
		err = errors.New("draining")
	}
	if err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

func isLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// guard lets in who may come in.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		switch {
		case open:
		case r.TLS == nil && local != nil && isLoopback(local):
			// A name that a hostile page has pointed at 127.0.0.1 is no way in.
			if host := hostname(r.Host); host != "localhost" && !loopbackHost(host) {
				reply(w, nil, &Error{Status: http.StatusForbidden, What: "on loopback this API is reached as localhost or by its address"})
				return
			}
		case !s.known(r):
			w.Header().Set("WWW-Authenticate", "Bearer")
			reply(w, nil, &Error{Status: http.StatusUnauthorized, What: "send Authorization: Bearer TOKEN with a token of admin.tokens"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.Trim(host, "[]")
}

func loopbackHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// known compares the bearer token with all of ours, in the same time whichever
// it is.
func (s *Server) known(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return false
	}
	hash := sha256.Sum256([]byte(token))
	found := 0
	for i := range s.Tokens {
		found |= subtle.ConstantTimeCompare(hash[:], s.Tokens[i].hash[:])
	}
	return found == 1
}
