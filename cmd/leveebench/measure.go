package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bench is a measurement under way.
type bench struct {
	*options
	errs                  io.Writer // progress
	dir, store            string
	cert, key             string
	serverCore, otherCore int
	origin                string
}

// measure makes all rounds and prints their figures.
func measure(ctx context.Context, o *options, out, errs io.Writer) (err error) {
	b := &bench{options: o, errs: errs}
	if b.serverCore, b.otherCore, err = cores(); err != nil {
		return err
	}
	if slices.Contains(o.subjects, "nginx") && nginxPath() == "" {
		fmt.Fprintln(errs, "nginx is not installed: measured without it, and without ratios")
		o.subjects = slices.DeleteFunc(slices.Clone(o.subjects), func(s string) bool { return s == "nginx" })
	}
	if !haveH2load() {
		o.scenarios = slices.DeleteFunc(slices.Clone(o.scenarios), func(s scenario) bool {
			if s.Streams > 0 {
				fmt.Fprintf(errs, "h2load is not installed: without %s\n", s.Name)
			}
			return s.Streams > 0
		})
	}
	if len(o.subjects) == 0 || len(o.scenarios) == 0 {
		return errors.New("nothing is left to measure")
	}
	if b.dir, err = os.MkdirTemp("", "leveebench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.store, err = os.MkdirTemp("/dev/shm", "leveebench-"); err != nil {
		fmt.Fprintf(errs, "no tmpfs at /dev/shm: nginx's cache is on disk (%v)\n", err)
		b.store = filepath.Join(b.dir, "store")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.store)) }()
	if b.levee == "" && slices.Contains(o.subjects, "levee") {
		b.levee = filepath.Join(b.dir, "levee")
		build := exec.CommandContext(ctx, "go", "build", "-o", b.levee, "./cmd/levee")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build ./cmd/levee: %w: %s (run it in the module's folder, or give -levee)", err, text)
		}
	}
	if b.cert, b.key, err = writeCertificate(b.dir); err != nil {
		return err
	}
	stop, err := b.startOrigin(ctx)
	if err != nil {
		return err
	}
	defer stop()

	r := report{Rounds: o.rounds, Seconds: o.length.Seconds(), Subjects: o.subjects}
	for i := range o.scenarios {
		res, err := b.scenario(ctx, &o.scenarios[i])
		if err != nil {
			return err
		}
		r.Results = append(r.Results, res...)
	}
	if o.json {
		return printJSON(out, r)
	}
	return r.markdown(out)
}

// startOrigin starts the origin in a process of its own.
func (b *bench) startOrigin(ctx context.Context) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd, err := pinned(ctx, b.otherCore, self, "origin")
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill() // it has nothing to lose
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(pipe).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("origin: %w", err)
	}
	b.origin = strings.TrimSpace(line)
	return stop, nil
}

// scenario starts every subject afresh and measures them in turn.
func (b *bench) scenario(ctx context.Context, sc *scenario) ([]result, error) {
	var subjects []*subject
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	results := make([]result, len(b.subjects))
	for i, name := range b.subjects {
		p := plan{
			dir: filepath.Join(b.dir, sc.Name+"-"+name), store: filepath.Join(b.store, sc.Name+"-"+name),
			origin: b.origin, cert: b.cert, key: b.key, core: b.serverCore,
		}
		for _, d := range []string{p.dir, p.store} {
			if err := os.MkdirAll(d, 0o700); err != nil {
				return nil, err
			}
		}
		defer os.RemoveAll(p.store)
		var s *subject
		var err error
		if name == "nginx" {
			s, err = startNginx(ctx, p)
		} else {
			s, err = startLevee(ctx, b.levee, p)
		}
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
		results[i] = result{Scenario: sc.Name, What: sc.What, Subject: name}
		if _, _, err := s.round(ctx, sc, b.otherCore, "warm-"+name, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
	for round := range b.rounds {
		for i, s := range subjects {
			if err := b.one(ctx, sc, s, round, &results[i]); err != nil {
				return nil, err
			}
			last := results[i].Rounds[round]
			fmt.Fprintf(b.errs, "%-10s round %d/%d  %-6s %7.2f us  %8.0f/s\n", sc.Name, round+1, b.rounds, s.name, last.Micros, last.PerSecond)
		}
	}
	for i := range results {
		results[i].sum()
	}
	for i := range results {
		for j := range results {
			if results[j].Subject == "nginx" && results[j].Micros > 0 {
				results[i].Ratio = results[i].Micros / results[j].Micros
			}
		}
	}
	if b.perf {
		for _, s := range subjects {
			if s.name == "levee" {
				if err := b.profile(ctx, sc, s); err != nil {
					return nil, err
				}
			}
		}
	}
	return results, nil
}

// one measures a round and verifies by the subject's own word and by the
// origin's count that it was what the scenario says.
func (b *bench) one(ctx context.Context, sc *scenario, s *subject, round int, res *result) error {
	name := fmt.Sprintf("%s-%s-%d", sc.Name, s.name, round)
	path := fmt.Sprintf("/%d/%s", sc.Size, name)
	if sc.Streams > 0 {
		path = fmt.Sprintf("/%d/a", sc.Size) // h2load asks for one URL
	}
	if !sc.Miss {
		for _, addr := range []string{s.http, s.https} { // a key may have the scheme in it
			if _, err := fetch(addr, addr == s.https, path); err != nil {
				return err
			}
		}
		if hit, err := s.isHit(path); err != nil || !hit {
			return fmt.Errorf("%s does not serve %s from its cache (%v): nothing to measure", s.name, path, err)
		}
	}
	before, err := count(b.origin)
	if err != nil {
		return err
	}
	t, cpu, err := s.round(ctx, sc, b.otherCore, name, b.length)
	if err != nil {
		return err
	}
	after, err := count(b.origin)
	if err != nil {
		return err
	}
	fetched := after - before
	switch {
	case t.Requests == 0:
		return fmt.Errorf("%s: no request in a round", s.name)
	case !sc.Miss && fetched > 0:
		return fmt.Errorf("%s: %d of %d requests of a round of hits reached the origin", s.name, fetched, t.Requests)
	case sc.Miss && fetched != t.Requests:
		return fmt.Errorf("%s: %d misses made %d origin requests", s.name, t.Requests, fetched)
	}
	if sc.Miss {
		// What a round brought may have been pushed out by what came after it;
		// what was just asked for must be there.
		for conn := range 4 {
			fresh := uniquePath(path, 1_000_000+conn, 0)
			if _, err := s.isHit(fresh); err != nil {
				return err
			}
			if hit, err := s.isHit(fresh); err != nil || !hit {
				return fmt.Errorf("%s has not stored %s (%v): misses that are not stored are another scenario", s.name, fresh, err)
			}
		}
	}
	res.Rounds = append(res.Rounds, sample{
		Micros:    float64(cpu.Microseconds()) / float64(t.Requests),
		PerSecond: float64(t.Requests) / t.Took.Seconds(),
		Requests:  t.Requests,
	})
	return nil
}

func decodeTally(b []byte, t *tally) error {
	if err := json.Unmarshal(b, t); err != nil {
		return fmt.Errorf("load: %w: %q", err, b)
	}
	return nil
}
