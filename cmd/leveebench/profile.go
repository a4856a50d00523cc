package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// profile prints where levee's time goes, by perf, in a round that is not
// measured: first by the function that runs, then by what it runs for.
func (b *bench) profile(ctx context.Context, sc *scenario, s *subject) error {
	data := filepath.Join(b.dir, "perf.data")
	// The whole core: threads come and go, and perf does not follow all of them.
	record := exec.CommandContext(ctx, "perf", "record", "-q", "-F", "999", "--call-graph", "fp", "-o", data, "-a", "-C", strconv.Itoa(b.serverCore))
	if err := record.Start(); err != nil {
		return fmt.Errorf("perf: %w", err)
	}
	_, _, err := s.round(ctx, sc, b.otherCore, "perf-"+sc.Name, b.length)
	_ = record.Process.Signal(os.Interrupt) // it writes its file and ends, by that signal
	_ = record.Wait()
	if err != nil {
		return err
	}
	for _, view := range []struct {
		title string
		lines int
		flag  string
	}{{"itself", 20, "--no-children"}, {"with all that it calls", 60, "--children"}} {
		text, err := exec.CommandContext(ctx, "perf", "report", "-i", data, "--stdio", "-g", "none", "--comms", s.name, "--sort", "symbol", "--percent-limit", "0.7", view.flag).CombinedOutput()
		if err != nil {
			return fmt.Errorf("perf report: %w: %s", err, text)
		}
		fmt.Fprintf(b.errs, "\nprofile of levee, %s, each function %s:\n", sc.Name, view.title)
		for _, line := range profileLines(string(text), view.lines) {
			fmt.Fprintln(b.errs, line)
		}
	}
	return nil
}

// profileLines takes the first lines of perf's report that name a function.
func profileLines(text string, most int) (lines []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " -\n") // a column of perf's that is empty here
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(lines) == most {
			break
		}
		lines = append(lines, line)
	}
	return lines
}
