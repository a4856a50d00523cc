package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// tour is a walk through what an edge does: each step makes requests over real
// sockets and looks for proof, above all in the origin's own counters.
type tour struct {
	*demo
	ctx     context.Context
	out     io.Writer
	clients demoClients
	held    int
	steps   int
}

// tourHost is the name by which the tour calls the edge. It is dialled at
// 127.0.0.1 whatever the name stands for on this machine.
const tourHost = "localhost"

// stepTimeout bounds one step of the tour. The longest takes about two seconds,
// on a machine that is busy with other things many times that.
const stepTimeout = time.Minute

// proof collects what a step saw, and what did not hold.
type proof struct {
	ctx    context.Context
	seen   []string
	broken []string
}

// saw notes evidence.
func (p *proof) saw(format string, args ...any) {
	p.seen = append(p.seen, fmt.Sprintf(format, args...))
}

// want notes that something had to hold, and did not unless ok.
func (p *proof) want(ok bool, format string, args ...any) {
	if !ok {
		p.broken = append(p.broken, fmt.Sprintf(format, args...))
	}
}

// tour makes the tour. Its error is failure{} when a step did not hold, which
// has been told then.
func (d *demo) tour(s *std) error {
	t := &tour{demo: d, ctx: s.ctx, out: s.out, clients: d.newClients()}
	defer t.clients.close()
	began := time.Now()
	clear, secure := d.urls(tourHost)
	fmt.Fprintf(t.out, "A tour of one Levee edge, at %s and %s, in front of an origin at http://%s\n\n", clear, secure, d.origin)
	for _, step := range []struct {
		name string
		run  func(*tour, *proof) error
	}{
		{"HTTP/1.1: the first request is a miss, the second a hit", (*tour).missThenHit},
		{"the whole site is byte-identical through the edge, and fetched once", (*tour).wholeSite},
		{"HTTP/2 over TLS, verified by the internal root alone", (*tour).http2},
		{"HTTP/3, found by Alt-Svc", (*tour).http3},
		{"a rule gives /static/ a lifetime that the origin did not state", (*tour).rule},
		{"stale is validated: the origin's 304 has no body", (*tour).validated},
		{"a client's validator is answered 304 by the edge", (*tour).conditional},
		{"HEAD is answered from what GET brought", (*tour).head},
		{"a range of what is not kept yet is byte-exact", (*tour).rangeFirst},
		{"100 MB are the same through the edge and past it", (*tour).download},
		{"ranges of what is kept never reach the origin", (*tour).rangeKept},
		{"200 clients at once are one fetch", (*tour).collapsed},
		{"a lifetime of one second ends after one second", (*tour).oneSecond},
		{"when the origin fails, what is stale is served on", (*tour).staleIfError},
		{"private answers are never shared", (*tour).private},
		{"POST makes what is kept unusable at once", (*tour).postInvalidates},
		{"server-sent events pass as they happen", (*tour).serverEvents},
		{"a WebSocket goes through the edge", (*tour).webSocket},
		{"a host that no site names gets 404, over TLS 421", (*tour).unknownHost},
		{"the node is ready, and counts every request", (*tour).counts},
	} {
		if s.ctx.Err() != nil {
			return errors.New("the tour was interrupted")
		}
		t.step(step.name, step.run)
	}
	fmt.Fprintf(t.out, "\n%d of %d held, in %.1f s.\n", t.held, t.steps, time.Since(began).Seconds())
	if t.held != t.steps {
		return failure{}
	}
	return nil
}

func (t *tour) step(name string, run func(*tour, *proof) error) {
	ctx, cancel := context.WithTimeout(t.ctx, stepTimeout)
	defer cancel()
	p := &proof{ctx: ctx}
	t.steps++
	if err := run(t, p); err != nil {
		p.broken = append(p.broken, err.Error())
	}
	sign := "✓"
	if len(p.broken) > 0 {
		sign = "✗"
	} else {
		t.held++
	}
	fmt.Fprintf(t.out, "%s %s\n", sign, name)
	for _, line := range p.seen {
		fmt.Fprintf(t.out, "    %s\n", line)
	}
	for _, line := range p.broken {
		fmt.Fprintf(t.out, "    did not hold: %s\n", line)
	}
}
