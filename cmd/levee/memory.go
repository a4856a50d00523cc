package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// machineMemory is the memory in bytes that this process may use: the cgroup's
// limit where there is one below the machine's.
func machineMemory() int64 {
	memory := int64(1 << 30) // a machine without /proc
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
				if kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64); err == nil {
					memory = kb << 10
				}
			}
		}
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if b, err := os.ReadFile(file); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
				memory = min(memory, n)
			}
		}
	}
	return memory
}

// defaultRAM is a quarter of the memory.
func defaultRAM() int64 { return max(machineMemory()/4, 16<<20) }

// limitMemory has the garbage collector keep the process near the bound that
// DESIGN section 4 promises: cache.ram, a quarter more for what is dead but not
// collected yet, and a fixed part for everything else. An operator's GOMEMLIMIT
// wins.
func limitMemory(ram int64) {
	if os.Getenv("GOMEMLIMIT") != "" || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	debug.SetMemoryLimit(ram + ram/4 + 120<<20)
	if os.Getenv("GOGC") == "" {
		// The limit keeps the memory, so collecting can be rarer than by default:
		// an eighth of the time of a miss was the collector's.
		debug.SetGCPercent(400)
	}
}

// adviseUDPBuffers says what HTTP/3 wants of the kernel and does not have.
func adviseUDPBuffers(logger *slog.Logger) {
	const want = 7 << 20 // quic-go's, for one socket
	for _, key := range []string{"rmem_max", "wmem_max"} {
		b, err := os.ReadFile("/proc/sys/net/core/" + key)
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n < want {
			logger.Info("HTTP/3 is faster with larger UDP buffers", "sysctl", "net.core."+key, "is", n, "better", want)
		}
	}
}

// dataDir is where a node keeps what must outlive a restart.
func dataDir(configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "levee"), nil
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "levee"), nil
	}
	return "", errors.New("no data folder: set node.data or --data, or the environment's HOME or XDG_DATA_HOME")
}

// hostname is a node's default name, in the form that node.name wants.
func hostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("the host's name: %w; set node.name", err)
	}
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name, "-"); name == "" {
		name = "node"
	}
	return name, nil
}
