package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"levee": main})
}

// TestScripts runs testdata/script/*.txtar over the real program. Beside
// testscript's own commands they have:
//
//	ports NAME...             set each NAME to a free 127.0.0.1:PORT
//	origin NAME               start a website, set NAME to its host:port; see website
//	asked N                   that many requests have reached the websites of the script since the last asked
//	release                   let the websites answer what they hold
//	ready ADDR                wait until the node whose admin listener is ADDR gets traffic
//	get [flags] URL           send a request, print status, fields and body to stdout; see scriptGet
//	inflight URL              send a GET in the background, wait until a website holds it
//	landed REGEXP             wait for its end; what came, or the error, matches
//	gone ADDR                 wait until nobody listens there
//	port NAME ADDR            set NAME to the port of ADDR
//	exits CODE PROGRAM...     run a program that must end with this code
//	signal TERM|HUP           send it to the program in the background
//
// A script's environment has REPO, the root of the repository.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			repo, err := filepath.Abs("../..")
			e.Setenv("REPO", repo)
			s := &website{release: make(chan struct{})}
			e.Values[websiteKey{}] = s
			e.Defer(s.close)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ports": ports, "origin": startOrigin, "asked": asked, "release": release,
			"ready": ready, "get": scriptGet, "inflight": inflight, "landed": landed, "gone": gone, "port": port,
			"exits": exits, "signal": signalTo,
		},
	})
}

type websiteKey struct{}

// website is what the scripts put an edge in front of:
//
//	/static/*  may be kept for a minute
//	/held/*    answers when the script releases it
//	/missing   404
//	/broken    500
//	else       no-store
//
// The body is "of HOST PATH", HOST being the Host that it was asked for.
type website struct {
	mu      sync.Mutex
	servers []*httptest.Server
	asked   int
	held    int
	release chan struct{}
	landed  chan string // what the request in flight brought
}

func (s *website) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	hold := s.release
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case strings.HasPrefix(r.URL.Path, "/static/"):
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"v1"`)
	case strings.HasPrefix(r.URL.Path, "/held/"):
		s.mu.Lock()
		s.held++
		s.mu.Unlock()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	case r.URL.Path == "/missing":
		w.WriteHeader(http.StatusNotFound)
	case r.URL.Path == "/broken":
		w.WriteHeader(http.StatusInternalServerError)
	}
	fmt.Fprintf(w, "of %s %s\n", r.Host, r.URL.Path)
}

func (s *website) close() {
	for _, server := range s.servers {
		server.CloseClientConnections()
		server.Close()
	}
}

func startOrigin(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "origin NAME")
	s := ts.Value(websiteKey{}).(*website)
	server := httptest.NewServer(s)
	s.servers = append(s.servers, server)
	ts.Setenv(args[0], server.Listener.Addr().String())
}

func asked(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "asked N")
	s := ts.Value(websiteKey{}).(*website)
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := args[0]; want != strconv.Itoa(s.asked) {
		ts.Fatalf("%d requests have reached the origin since the last time, want %s", s.asked, want)
	}
	s.asked = 0
}

func release(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "release")
	s := ts.Value(websiteKey{}).(*website)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.release)
	s.release = make(chan struct{})
}

// nextPort is below the range from which systems pick ports of clients, so that
// no connection takes one before the program listens there.
var nextPort atomic.Int32

// ports finds ports that are free for TCP and UDP.
func ports(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "ports NAME...")
	nextPort.CompareAndSwap(0, 10000+int32(os.Getpid()%2000)*10)
	for _, name := range args {
		for {
			addr := fmt.Sprint("127.0.0.1:", nextPort.Add(1))
			l, err := net.Listen("tcp", addr)
			if err != nil {
				continue
			}
			u, err := net.ListenPacket("udp", addr)
			l.Close()
			if err != nil {
				continue
			}
			u.Close()
			ts.Setenv(name, addr)
			break
		}
	}
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "ready ADDR")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + args[0] + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(resp.Status)
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the node at %s is not ready after 10 s: %v", args[0], err)
		}
	}
}

// scriptGet sends one request on a connection of its own. With -until it is sent
// again until what it prints matches, for at most 8 s. "! get" wants no answer.
func scriptGet(ts *testscript.TestScript, neg bool, args []string) {
	var fields, method, proto, ca, body, until string
	fs := flag.NewFlagSet("get", flag.ContinueOnError)
	fs.StringVar(&fields, "H", "", "fields, separated by |")
	fs.StringVar(&method, "X", "GET", "method")
	fs.StringVar(&proto, "p", "1", "protocol: 1, 2 or 3")
	fs.StringVar(&ca, "ca", "", "root certificate")
	fs.StringVar(&body, "d", "", "body")
	fs.StringVar(&until, "until", "", "regular expression")
	ts.Check(fs.Parse(args))
	usage(ts, false, fs.NArg() == 1, "get [-p 1|2|3] [-X METHOD] [-H 'A: b|C: d'] [-d BODY] [-ca FILE] [-until REGEXP] URL")
	roots := x509.NewCertPool()
	if ca != "" {
		roots.AppendCertsFromPEM([]byte(ts.ReadFile(ca)))
	}
	transport, closeIt := transportOf(proto, &tls.Config{RootCAs: roots})
	defer closeIt()
	once := func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, fs.Arg(0), strings.NewReader(body))
		if err != nil {
			return "", err
		}
		for line := range strings.SplitSeq(fields, "|") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				r.Header.Add(name, value)
				if name == "Host" {
					r.Host = value
				}
			}
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		p, err := io.ReadAll(resp.Body)
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
		for _, name := range sortedKeys(resp.Header) {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
		}
		fmt.Fprintf(&b, "\n%s", p)
		return b.String(), err
	}
	want := regexp.MustCompile("(?m)" + until)
	for deadline := time.Now().Add(8 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		answer, err := once()
		late := time.Now().After(deadline)
		switch {
		case neg && err == nil:
			fmt.Fprint(ts.Stdout(), answer)
			ts.Fatalf("there is an answer")
		case neg:
			return
		case err == nil && want.MatchString(answer):
			fmt.Fprint(ts.Stdout(), answer)
			return
		case until == "" || late:
			fmt.Fprint(ts.Stdout(), answer)
			ts.Fatalf("%s: %v, not what was waited for", fs.Arg(0), err)
		}
	}
}

func transportOf(proto string, conf *tls.Config) (http.RoundTripper, func()) {
	if proto == "3" {
		t := &http3.Transport{TLSClientConfig: conf}
		return t, func() { t.Close() }
	}
	p := new(http.Protocols)
	p.SetHTTP1(proto == "1")
	p.SetHTTP2(proto == "2")
	t := &http.Transport{TLSClientConfig: conf, Protocols: p, DisableKeepAlives: proto == "1", DisableCompression: true}
	return t, t.CloseIdleConnections
}

func sortedKeys(h http.Header) []string {
	var names []string
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func inflight(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "inflight URL")
	s := ts.Value(websiteKey{}).(*website)
	s.landed = make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
		resp, err := client.Get(args[0])
		if err != nil {
			s.landed <- err.Error()
			return
		}
		defer resp.Body.Close()
		p, err := io.ReadAll(resp.Body)
		s.landed <- fmt.Sprintf("%s\n%s%v", resp.Status, p, err)
	}()
	within(ts, "a website holds the request", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.held > 0
	})
}

func landed(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "landed REGEXP")
	got := <-ts.Value(websiteKey{}).(*website).landed // the client has a timeout
	if !regexp.MustCompile("(?m)" + args[0]).MatchString(got) {
		ts.Fatalf("the request in flight brought %q", got)
	}
}

func gone(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "gone ADDR")
	within(ts, "nobody listens at "+args[0], func() bool {
		c, err := net.Dial("tcp", args[0])
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

func port(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "port NAME ADDR")
	_, port, err := net.SplitHostPort(args[1])
	ts.Check(err)
	ts.Setenv(args[0], port)
}

func within(ts *testscript.TestScript, what string, f func() bool) {
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("not within 10 s: %s", what)
		}
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "exits CODE PROGRAM ARGS...")
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ee *exec.ExitError
		if !errors.As(err, &ee) {
			ts.Fatalf("%v", err)
		}
		code = ee.ExitCode()
	}
	if args[0] != strconv.Itoa(code) {
		ts.Fatalf("ended with %d, want %s", code, args[0])
	}
}

func signalTo(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "signal TERM|HUP")
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	sig := signals[args[0]]
	running := ts.BackgroundCmds()
	if sig == nil || len(running) != 1 {
		ts.Fatalf("signal %s: %d programs in the background, want one", args[0], len(running))
	}
	ts.Check(running[0].Process.Signal(sig))
}

func usage(ts *testscript.TestScript, neg, ok bool, text string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", text)
	}
}
