package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of utime and stime: USER_HZ, which is 100 on every
// architecture that Linux has kept.
const tick = 10 * time.Millisecond

// stat is what matters of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	pid, parent int
	cpu         time.Duration // user and system, with that of children which have ended
}

// parseStat reads a line of /proc/PID/stat. The second field is the command's
// name in parentheses, in which anything may stand.
func parseStat(line string) (s stat, err error) {
	open, shut := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || shut < open {
		return s, fmt.Errorf("stat: no name in %q", line)
	}
	if s.pid, err = strconv.Atoi(strings.TrimSpace(line[:open])); err != nil {
		return s, fmt.Errorf("stat: %w", err)
	}
	rest := strings.Fields(line[shut+1:]) // from the third field on
	if len(rest) < 15 {
		return s, fmt.Errorf("stat: %d fields after the name, 15 are needed: %q", len(rest), line)
	}
	if s.parent, err = strconv.Atoi(rest[1]); err != nil {
		return s, fmt.Errorf("stat: %w", err)
	}
	for _, f := range rest[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return s, fmt.Errorf("stat: %w", err)
		}
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}

// treeCPU is the CPU time that a process and all below it have used so far.
func treeCPU(pid int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	all := make([]stat, 0, len(files))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) || err != nil && strings.Contains(err.Error(), "no such process") {
			continue // it has ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		s, err := parseStat(string(b))
		if err != nil {
			return 0, err
		}
		all = append(all, s)
	}
	cpu, found := sumTree(all, pid)
	if !found {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return cpu, nil
}

// sumTree adds up a process and its descendants.
func sumTree(all []stat, pid int) (cpu time.Duration, found bool) {
	children := make(map[int][]stat)
	todo := []stat{}
	for _, s := range all {
		children[s.parent] = append(children[s.parent], s)
		if s.pid == pid {
			todo = append(todo, s)
		}
	}
	found = len(todo) > 0
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], children[s.pid]...)
		cpu += s.cpu
	}
	return cpu, found
}
