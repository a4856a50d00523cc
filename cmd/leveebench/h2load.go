package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// runH2load makes one round of HTTP/2 by nghttp2's h2load on a core.
func runH2load(ctx context.Context, core int, s *scenario, addr string, length time.Duration) (tally, error) {
	duration := strconv.FormatInt(length.Milliseconds(), 10) + "ms" // it reads no fractions
	cmd, err := pinned(ctx, core, "h2load", "-c", strconv.Itoa(s.Conns), "-m", strconv.Itoa(s.Streams), "-t", "1", "-D", duration,
		"-H", ":authority: "+benchHost, fmt.Sprintf("https://%s/%d/a", addr, s.Size))
	if err != nil {
		return tally{}, err
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		return tally{}, fmt.Errorf("h2load: %w: %s", err, text)
	}
	return parseH2load(string(text), length)
}

func haveH2load() bool {
	_, err := exec.LookPath("h2load")
	return err == nil
}

var (
	h2loadRequests = regexp.MustCompile(`(?m)^requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2loadProtocol = regexp.MustCompile(`(?m)^Application protocol: (\S+)`)
)

// parseH2load reads h2load's report of a round. What was under way at its end
// counts for nothing; a failed request makes the round worthless.
func parseH2load(text string, length time.Duration) (tally, error) {
	m := h2loadRequests.FindStringSubmatch(text)
	if m == nil {
		return tally{}, fmt.Errorf("h2load: no line of requests in %q", text)
	}
	if p := h2loadProtocol.FindStringSubmatch(text); p == nil || p[1] != "h2" {
		return tally{}, fmt.Errorf("h2load: the protocol is not h2: %q", text)
	}
	n := make([]int64, len(m))
	for i := range m[1:] {
		var err error
		if n[i+1], err = strconv.ParseInt(m[i+1], 10, 64); err != nil {
			return tally{}, fmt.Errorf("h2load: %w", err)
		}
	}
	if n[4]+n[5]+n[6] > 0 || n[3] == 0 {
		return tally{}, fmt.Errorf("h2load: %s", m[0])
	}
	return tally{Requests: n[3], Took: length}, nil
}
