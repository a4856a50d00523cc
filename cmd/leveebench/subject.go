package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// subject is a server that runs and is measured.
type subject struct {
	name   string
	cmd    *exec.Cmd
	http   string // address in the clear
	https  string
	log    *os.File // what it says
	hitBy  string   // the field, in lower case, that tells of a hit
	hitHas string   // and what stands in it then
}

// plan is what a subject needs to start.
type plan struct {
	dir    string // for its files
	store  string // for its cache, on tmpfs where there is one
	origin string // address
	cert   string // PEM files
	key    string
	core   int
}

// freePort picks a port that nobody listens on now. Another process may take it
// before the subject does; its start fails then, and says so.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

const leveeConfig = `node: {name: bench, data: %[1]s}
listen: {http: "%[2]s", https: "%[3]s", admin: "%[4]s"}
limits: {connections_per_client: 0, drain: 1s}
cache: {ram: 1GiB}
access_log: {path: "off"}
log: {level: warn}
tls: {issuer: files, files: [{cert: %[5]s, key: %[6]s}]}
sites:
  - name: bench
    hosts: [%[7]s]
    origin: {members: [{url: "http://%[8]s"}]}
`

// startLevee starts the binary as an operator would, by a config file.
func startLevee(ctx context.Context, binary string, p plan) (*subject, error) {
	s := &subject{name: "levee", hitBy: "cache-status", hitHas: "; hit"}
	admin, err := s.ports()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(p.dir, "levee.yaml")
	text := fmt.Sprintf(leveeConfig, p.dir, s.http, s.https, admin, p.cert, p.key, benchHost, p.origin)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return s, s.start(ctx, p, binary, "run", "--config", config)
}

// nginxConfig is nginx as a cache at its best: no access log, its cache on
// tmpfs, open files kept open, connections to the origin kept alive. tcp_nopush
// stays off: with it on, answers of 64 KiB stall for 40 ms on loopback.
const nginxConfig = `%[1]sworker_processes 1;
daemon off;
pid %[2]s/nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush off;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  open_file_cache max=100000 inactive=600s;
  open_file_cache_valid 600s;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[3]s/temp;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  proxy_cache_path %[3]s/cache levels=1:2 keys_zone=bench:256m max_size=1g inactive=1h use_temp_path=off;
  upstream origin { server %[4]s; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen %[5]s;
    listen %[6]s ssl http2;
    server_name %[7]s;
    ssl_certificate %[8]s;
    ssl_certificate_key %[9]s;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache bench;
      proxy_cache_key $host$request_uri;
      add_header X-Cache $upstream_cache_status;
    }
  }
}
`

// startNginx starts the nginx on the path, which must be installed.
func startNginx(ctx context.Context, p plan) (*subject, error) {
	s := &subject{name: "nginx", hitBy: "x-cache", hitHas: "HIT"}
	if _, err := s.ports(); err != nil {
		return nil, err
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // its worker could not write below our folder otherwise
	}
	config := filepath.Join(p.dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, user, p.dir, p.store, p.origin, s.http, s.https, benchHost, p.cert, p.key)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return s, s.start(ctx, p, nginxPath(), "-p", p.dir, "-c", config, "-e", "stderr")
}

// nginxPath finds nginx, which Debian keeps off an ordinary user's path; ""
// without one.
func nginxPath() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func (s *subject) ports() (third string, err error) {
	for _, to := range []*string{&s.http, &s.https, &third} {
		if *to, err = freePort(); err != nil {
			return "", err
		}
	}
	return third, nil
}

// start runs the server on its core and waits until it answers on both ports.
func (s *subject) start(ctx context.Context, p plan, name string, args ...string) (err error) {
	if s.cmd, err = pinned(ctx, p.core, name, args...); err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(p.dir, s.name+".log")); err != nil {
		return err
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	deadline := time.Now().Add(15 * time.Second)
	for _, addr := range []string{s.http, s.https} {
		for {
			if _, err = fetch(addr, addr == s.https, "/16/start"); err == nil {
				break
			}
			if ctx.Err() != nil || time.Now().After(deadline) || syscall.Kill(s.cmd.Process.Pid, 0) != nil {
				s.stop()
				return fmt.Errorf("%s does not start: %w\n%s", s.name, err, s.said())
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// said is the end of what the server has written.
func (s *subject) said() string {
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// stop ends the server and waits for it.
func (s *subject) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	ended := make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // its exit code says nothing that a round has not
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = s.cmd.Process.Kill()
		<-ended
	}
	s.log.Close()
}

// isHit asks for a URL and says whether the answer came from the cache.
func (s *subject) isHit(path string) (bool, error) {
	a, err := fetch(s.http, false, path)
	if err != nil {
		return false, err
	}
	v, _ := field(append(bytes.Clone(a.head), "\r\n"...), s.hitBy)
	return strings.Contains(v, s.hitHas), nil
}

// round puts a load on the server for a while and tells what it cost.
func (s *subject) round(ctx context.Context, sc *scenario, core int, name string, length time.Duration) (t tally, cpu time.Duration, err error) {
	before, err := treeCPU(s.cmd.Process.Pid)
	if err != nil {
		return t, 0, fmt.Errorf("%s: %w\n%s", s.name, err, s.said())
	}
	if sc.Streams > 0 {
		t, err = runH2load(ctx, core, sc, s.https, length)
	} else {
		t, err = s.h1load(ctx, sc, core, name, length)
	}
	if err != nil {
		return t, 0, fmt.Errorf("%s, %s: %w", s.name, sc.Name, err)
	}
	after, err := treeCPU(s.cmd.Process.Pid)
	if err != nil {
		return t, 0, fmt.Errorf("%s: %w\n%s", s.name, err, s.said())
	}
	return t, after - before, nil
}

func (s *subject) h1load(ctx context.Context, sc *scenario, core int, name string, length time.Duration) (t tally, err error) {
	self, err := os.Executable()
	if err != nil {
		return t, err
	}
	addr := s.http
	args := []string{"load", "-conns", strconv.Itoa(sc.Conns), "-seconds", strconv.FormatFloat(length.Seconds(), 'f', -1, 64),
		"-size", strconv.Itoa(sc.Size), "-name", name}
	if sc.TLS {
		addr = s.https
		args = append(args, "-tls")
	}
	if sc.Miss {
		args = append(args, "-unique")
	}
	cmd, err := pinned(ctx, core, self, append(args, "-addr", addr)...)
	if err != nil {
		return t, err
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return t, fmt.Errorf("load: %w: %s", err, errs.String())
	}
	err = decodeTally(out.Bytes(), &t)
	return t, err
}
