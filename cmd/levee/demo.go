package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"levee/config"
)

type demoCmd struct {
	Once bool   `help:"Make a tour of requests, print what each proved, and end: 0 if all held, else 1."`
	Data string `placeholder:"DIR" help:"Keep the data folder here (default: a temporary one, removed at the end)."`
}

// Run is the demo: a sample origin and one edge in front of it, in this
// process, on loopback.
func (c demoCmd) Run(s *std) (err error) {
	data := c.Data
	if data == "" {
		if data, err = os.MkdirTemp("", "levee-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	}
	d, err := startDemo(data, slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if c.Once {
		return d.tour(s)
	}
	if err := d.introduce(s.out); err != nil {
		return err
	}
	return d.watch(s)
}

// demo is the running demo. It is made by startDemo and ended by stop.
type demo struct {
	site   *demoSite
	node   *Node
	origin net.Addr

	server *http.Server       // of the origin
	cancel context.CancelFunc // ends the origin's streams
}

// demoPorts are tried first, since URLs that stay the same are good to have in
// a shell's history; where one is taken, any free port does.
var demoPorts = struct{ http, https, admin int }{8080, 8443, 9180}

// startDemo starts the origin and the edge, which keeps its things below data.
func startDemo(data string, logger *slog.Logger) (*demo, error) {
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // loopback needs no large buffers
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the demo's origin: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &demo{site: newDemoSite(ctx), origin: l.Addr(), cancel: cancel}
	d.server = &http.Server{Handler: d.site, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	go func() { _ = d.server.Serve(l) }()

	config := demoConfig(l.Addr(), data)
	config.Listen.HTTP = []string{loopback(demoPorts.http, false)}
	config.Listen.HTTPS = []string{loopback(demoPorts.https, true)}
	config.Listen.Admin = []string{loopback(demoPorts.admin, false)}
	for try := 0; ; try++ {
		if d.node, err = startNode(config, logger); err == nil {
			return d, nil
		}
		if !isInUse(err) || try == 3 {
			d.cancel()
			return nil, errors.Join(err, d.server.Close())
		}
		// Somebody took a port after we had looked.
		config.Listen.HTTP, config.Listen.HTTPS, config.Listen.Admin = []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}, []string{"127.0.0.1:0"}
	}
}

func startNode(c *config.Config, logger *slog.Logger) (*Node, error) {
	for _, p := range failures(c.Validate()) {
		return nil, fmt.Errorf("BUG: the demo's config: %s", p.String())
	}
	n, err := NewNode(c, "", logger)
	if err != nil {
		return nil, err
	}
	if err := n.Start(); err != nil {
		n.cancel()
		n.Certs.Close()
		return nil, err
	}
	return n, nil
}

// loopback is the address with that port if it is free, for UDP too if asked;
// else with any port.
func loopback(port int, udp bool) string {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "127.0.0.1:0"
	}
	defer l.Close()
	if udp {
		p, err := net.ListenPacket("udp", addr)
		if err != nil {
			return "127.0.0.1:0"
		}
		defer p.Close()
	}
	return addr
}

// demoConfig is what a config file for the demo's edge would say.
func demoConfig(origin net.Addr, data string) *config.Config {
	c := config.Default()
	c.Node.Name, c.Node.Data = "demo", data
	c.Cache.RAM = 512 * config.MiB
	c.Cache.MaxResponse = 128 * config.MiB // the download is kept whole
	c.AccessLog.Path = "off"
	c.Log.Level = "warn"
	// Nothing here is worth waiting for at the end.
	c.Limits.Drain = config.Duration(2 * time.Second)
	// The tour is one client with 200 requests at once and a few connections besides.
	c.Limits.ConnectionsPerClient = 1024

	site := config.DefaultSite("demo", []string{"*"}, config.DefaultMember(&url.URL{Scheme: "http", Host: origin.String()}))
	// The site is the same over http and https: what one brought serves the other.
	site.Key.Scheme = false
	static := config.Rule{
		Match:    config.Match{Path: []string{"/static/*"}},
		TTL:      &config.TTL{Duration: config.Duration(24 * time.Hour)},
		Response: config.HeaderOps{Set: map[string]string{"Cache-Control": "public, max-age=3600"}},
	}
	api := config.Rule{
		Match: config.Match{Path: []string{"/api/*"}},
		TTL:   &config.TTL{Duration: config.Duration(time.Second)},
	}
	every := config.Rule{Response: config.HeaderOps{Set: map[string]string{"X-Served-By": "levee demo"}}}
	site.Rules = []config.Rule{static, api, every}
	c.Sites = []config.Site{site}
	return c
}

// stop ends the streams, the edge and the origin, in this order, so that the
// edge has nothing to wait for.
func (d *demo) stop() error {
	d.cancel()
	err := d.node.Stop()
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // a download that was cut because the demo has ended
	}
	return errors.Join(err, d.server.Close())
}

// addr is an address of the edge.
func (d *demo) httpAddr() string  { return d.node.Server.Addrs()[0].String() }
func (d *demo) httpsAddr() string { return d.node.Server.Addrs()[1].String() }
func (d *demo) adminAddr() string { return d.node.addrs[0].String() }

// urls are the two ways to the edge by a name for it, without a slash at the
// end.
func (d *demo) urls(name string) (clear, secure string) {
	at := func(addr string) string {
		_, port, _ := net.SplitHostPort(addr)
		return net.JoinHostPort(name, port)
	}
	return "http://" + at(d.httpAddr()), "https://" + at(d.httpsAddr())
}
