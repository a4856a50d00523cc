package main

import (
	"fmt"
	"log"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"levee/config"
)

type runCmd struct {
	Config string   `xor:"what" placeholder:"FILE" help:"Run the node that this config describes."`
	Origin string   `xor:"what" placeholder:"URL" help:"Run one edge in front of this origin, for any Host."`
	Node   string   `placeholder:"NAME" help:"The node's name, in place of node.name."`
	HTTP   []string `name:"http" placeholder:"ADDR" help:"Listen for HTTP/1.1 (with --origin: :8080)."`
	HTTPS  []string `name:"https" placeholder:"ADDR" help:"Listen for HTTP/1.1, 2 and 3 over TLS (with --origin: :8443)."`
	Admin  []string `placeholder:"ADDR" help:"Listen for the admin API (127.0.0.1:9180)."`
	Data   string   `placeholder:"DIR" help:"Data folder (default: the XDG data folder)."`
	RAM    string   `name:"ram" placeholder:"SIZE" help:"Memory for the cache, such as 1GiB (default: 25 % of the memory)."`
	Disk   string   `placeholder:"SIZE" help:"Disk for the cache (default: 0, none)."`
	Log    string   `name:"access-log" placeholder:"PATH" help:"Access log: stdout, stderr, off or a file."`
}

func (c runCmd) Run(s *std) error {
	load := c.load
	cfg, problems, err := load()
	if err != nil {
		return err
	}
	tell(s, problems)
	if config.Failed(problems) {
		return failure{}
	}
	logger := newLogger(s, cfg.Log)
	log.SetFlags(0) // net/http writes to the default logger what it finds odd at an origin
	log.SetOutput(slog.NewLogLogger(logger.Handler(), slog.LevelDebug).Writer())
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // said below, in our own words
	node, err := NewNode(cfg, c.Node, logger)
	if err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return err
	}
	for _, a := range node.Server.Addrs() {
		logger.Info("listening", "addr", a.String())
	}
	for _, a := range node.addrs {
		logger.Info("admin", "addr", a.String())
	}
	adviseUDPBuffers(logger)
	logger.Info("ready", "node", node.Handler.Node, "ram", config.Size(node.RAM).String(), "data", node.Data)

	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	file := watchFile(s.ctx, c.Config)
	for {
		select {
		case <-s.ctx.Done():
			logger.Info("draining", "at most", time.Duration(node.Config.Limits.Drain))
			if err := node.Stop(); err != nil {
				logger.Warn("requests were cut at the end of the drain", "err", err)
			}
			logger.Info("stopped")
			return nil
		case <-hup:
			if node.log != nil {
				if err := node.log.Reopen(); err != nil {
					logger.Error("access log: still on the old file", "err", err)
				}
			}
		case <-s.reload:
		case <-file.changed:
		}
		if c.Config == "" {
			continue
		}
		file.taken()
		cfg, problems, err := load()
		if err == nil && !config.Failed(problems) {
			err = node.Reload(cfg)
		} else if err == nil {
			err = fmt.Errorf("%d %s", len(problems), plural(len(problems), "mistake"))
			node.Handler.Metrics.Reloaded(false)
		}
		if err != nil {
			tell(s, problems)
			logger.Error("the new config is not taken over, the old one stays in force", "file", c.Config, "err", err)
			continue
		}
		logger.Info("config taken over", "file", c.Config)
	}
}

// load reads the config or makes the one of --origin, and puts the flags over
// it.
func (c runCmd) load() (*config.Config, []config.Problem, error) {
	var cfg *config.Config
	var problems []config.Problem
	switch {
	case c.Config != "":
		var err error
		if cfg, problems, err = config.Load(c.Config); err != nil || config.Failed(problems) {
			return cfg, problems, err
		}
	case c.Origin != "":
		if !strings.Contains(c.Origin, "://") {
			c.Origin = "http://" + c.Origin
		}
		u, err := url.Parse(c.Origin)
		if err != nil {
			return nil, nil, usageError(fmt.Sprintf("--origin %s: %v", c.Origin, err))
		}
		cfg = config.Default()
		cfg.Listen.HTTP, cfg.Listen.HTTPS = []string{":8080"}, []string{":8443"}
		site := config.DefaultSite("default", []string{"*"}, config.DefaultMember(u))
		site.Origin.Host = "origin"
		cfg.Sites = []config.Site{site}
	default:
		return nil, nil, usageError("run what? Give --origin URL or --config FILE")
	}
	override := func(to *[]string, flag []string) {
		if len(flag) == 1 && flag[0] == "off" {
			flag = []string{}
			*to = flag
		} else if len(flag) > 0 {
			*to = flag
		}
	}
	override(&cfg.Listen.HTTP, c.HTTP)
	override(&cfg.Listen.HTTPS, c.HTTPS)
	override(&cfg.Listen.Admin, c.Admin)
	if c.Data != "" {
		cfg.Node.Data = c.Data
	}
	if c.Node != "" {
		cfg.Node.Name = c.Node
	}
	if c.Log != "" {
		cfg.AccessLog.Path = c.Log
	}
	for _, f := range []struct {
		name, value string
		to          *config.Size
	}{{"--ram", c.RAM, &cfg.Cache.RAM}, {"--disk", c.Disk, &cfg.Cache.Disk}} {
		if f.value == "" {
			continue
		}
		n, err := config.ParseSize(f.value)
		if err != nil {
			return nil, nil, usageError(fmt.Sprintf("%s %s: %v", f.name, f.value, err))
		}
		*f.to = n
	}
	more := cfg.Validate()
	if c.Config != "" { // Load has told what the file itself says
		more = failures(more)
	}
	return cfg, append(problems, more...), nil
}

func failures(problems []config.Problem) (out []config.Problem) {
	for _, p := range problems {
		if !p.Warning {
			out = append(out, p)
		}
	}
	return out
}

func tell(s *std, problems []config.Problem) {
	for _, p := range problems {
		fmt.Fprintln(s.err, p.String())
	}
}

func newLogger(s *std, c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked by the config
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(s.err, o))
	}
	return slog.New(slog.NewTextHandler(s.err, o))
}
