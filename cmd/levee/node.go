package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"levee/config"
	"levee/edge"
	"levee/edge/accesslog"
	"levee/edge/admin"
	"levee/edge/cache"
	"levee/edge/collapse"
	"levee/edge/tlscert"
	"levee/purge/journal"
)

// Node is one node of the CDN: every concrete part, wired. It is made by
// NewNode, begun by Start, changed by Reload and ended by Stop, in this order
// and by one goroutine.
type Node struct {
	Config *config.Config
	RAM    int64
	Data   string

	Handler *edge.Handler
	Server  *edge.Server
	Admin   *admin.Server
	Certs   *tlscert.Certs

	logger *slog.Logger
	log    *accesslog.Log
	store  *cache.Store
	cancel context.CancelFunc // ends the flights
	addrs  []net.Addr         // of the admin listener
	stop   sync.Once
}

// NewNode wires a node for a valid config; it listens on nothing yet. name
// overrides node.name unless empty.
func NewNode(c *config.Config, name string, logger *slog.Logger) (n *Node, err error) {
	if name == "" {
		name = c.Node.Name
	}
	if name == "" {
		if name, err = hostname(); err != nil {
			return nil, err
		}
	}
	n = &Node{Config: c, RAM: int64(c.Cache.RAM), logger: logger}
	if n.RAM == 0 {
		n.RAM = defaultRAM()
	}
	if n.Data, err = dataDir(c.Node.Data); err != nil {
		return nil, err
	}

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := edge.NewMetrics(reg)
	state, err := edge.Compile(c, n.RAM, nil, metrics)
	if err != nil {
		return nil, err
	}
	marks := journal.New()
	n.store, err = cache.New(cache.Options{RAM: n.RAM, Variants: c.Cache.Variants, Journal: marks})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	flights := collapse.NewTable(ctx, c.Collapse.FinishFraction)
	if c.AccessLog.Path != "off" {
		if n.log, err = accesslog.Open(c.AccessLog.Path, c.AccessLog.Buffer); err != nil {
			return nil, fmt.Errorf("access_log.path: %w", err)
		}
	}
	metrics.Watch(reg, n.store, flights, n.log)
	n.Handler = &edge.Handler{
		Node: name, Store: n.store, Journal: marks, Flights: flights,
		Log: n.log, Logger: logger, Metrics: metrics,
	}
	n.Handler.Swap(state)

	n.Server = &edge.Server{Handler: n.Handler, Limits: c.Limits, Logger: logger}
	if len(c.Listen.HTTPS) > 0 {
		if n.Certs, err = n.openCerts(name); err != nil {
			return nil, err
		}
		n.Server.TLS = n.Certs.TLSConfig()
	}
	n.Admin = &admin.Server{
		Logger:  logger,
		Metrics: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}),
		Ready:   n.ready,
	}
	for _, t := range c.Admin.Tokens {
		token, err := admin.ReadToken(t.Name, t.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("admin.tokens: %w", err)
		}
		n.Admin.Tokens = append(n.Admin.Tokens, token)
	}
	if err := n.adminTLS(); err != nil {
		return nil, err
	}
	n.api()
	return n, nil
}

func (n *Node) openCerts(name string) (*tlscert.Certs, error) {
	c := n.Config
	o := tlscert.Options{
		Issuer: c.TLS.Issuer, DataDir: n.Data, Logger: n.logger, NodeName: name,
		Allowed: func(host string) bool { return n.Handler.State().Serves(host) },
	}
	if o.Issuer == "acme" {
		o.Issuer = tlscert.Internal // a later version's; the config has warned
	}
	for _, p := range c.TLS.Files {
		o.Files = append(o.Files, tlscert.Pair{Cert: p.Cert, Key: p.Key})
	}
	o.MinVersion = tlsVersion(c.TLS.MinVersion)
	certs, err := tlscert.Open(context.Background(), o)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return certs, nil
}

// Start opens the listeners and begins to serve.
func (n *Node) Start() error {
	limitMemory(n.RAM)
	adminListeners, err := n.Admin.Listen(n.Config.Listen.Admin)
	if err != nil {
		return hintPort(err)
	}
	if err := n.Server.Listen(n.Config.Listen.HTTP, n.Config.Listen.HTTPS); err != nil {
		for _, l := range adminListeners {
			l.Close()
		}
		return hintPort(err)
	}
	for _, l := range adminListeners {
		n.addrs = append(n.addrs, l.Addr())
	}
	n.Admin.Serve(adminListeners)
	return nil
}

func hintPort(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return hinted{err, "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another port"}
	case isInUse(err):
		return hinted{err, "another process listens there; end it, or choose another address"}
	}
	return err
}

// Reload makes c the config: the whole next state is compiled, then swapped. On
// an error the old one stays in force.
func (n *Node) Reload(c *config.Config) error {
	old := n.Handler.State()
	next, err := edge.Compile(c, n.RAM, old, n.Handler.Metrics)
	n.Handler.Metrics.Reloaded(err == nil)
	if err != nil {
		return err
	}
	n.Handler.Swap(next)
	old.Retire(next)
	for _, key := range needRestart(n.Config, c) {
		n.logger.Warn("this change takes effect after a restart", "key", key)
	}
	n.Config = c
	return nil
}

// Stop drains the node: no new requests, time for those in flight, at most
// limits.drain.
func (n *Node) Stop() error {
	var err error
	n.stop.Do(func() {
		n.Admin.Draining.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n.Config.Limits.Drain))
		defer cancel()
		err = n.Server.Drain(ctx)
		n.cancel()
		if n.log != nil {
			flush, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err = errors.Join(err, n.log.Close(flush))
		}
		n.Admin.Close()
		if n.Certs != nil {
			n.Certs.Close()
		}
	})
	return err
}

// ready says what keeps the node from getting traffic.
func (n *Node) ready() error {
	if n.Certs != nil {
		return n.Certs.Ready()
	}
	return nil
}

// api adds the calls that are the node's own.
func (n *Node) api() {
	admin.Handle(n.Admin, "POST /v1/explain", func(_ context.Context, q *edge.Question) (any, error) {
		e, err := n.Handler.Explain(*q)
		if err != nil {
			return nil, &admin.Error{Status: http.StatusBadRequest, Field: "url", What: err.Error()}
		}
		return e, nil
	})
	type none struct{}
	admin.Handle(n.Admin, "GET /v1/sites", func(context.Context, *none) (any, error) {
		type site struct {
			Name  string   `json:"name"`
			Hosts []string `json:"hosts"`
		}
		sites := []site{}
		for _, s := range n.Handler.State().Sites {
			sites = append(sites, site{s.Name, s.Hosts})
		}
		return map[string]any{"sites": sites}, nil
	})
	type drain struct {
		Draining *bool `json:"draining"` // default true
	}
	admin.Handle(n.Admin, "POST /v1/drain", func(_ context.Context, d *drain) (any, error) {
		on := d.Draining == nil || *d.Draining
		n.Admin.Draining.Store(on)
		return map[string]bool{"draining": on}, nil
	})
}
