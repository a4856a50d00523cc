package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runPinned puts itself on a core and becomes the command: the affinity of the
// thread that calls exec is the new program's, so that a Go program sees one
// processor and sets GOMAXPROCS by it.
func runPinned(args []string) error {
	if len(args) < 2 {
		return usageError("pinned CORE COMMAND…")
	}
	core, err := strconv.Atoi(args[0])
	if err != nil || core < 0 {
		return usageError(fmt.Sprintf("pinned %s: write the number of a core", args[0]))
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("core %d: %w", core, err)
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, args[1:], os.Environ()))
}

// pinned is a command that runs on a core. It is asked to end with ctx, and
// killed should leveebench die.
func pinned(ctx context.Context, core int, name string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"pinned", strconv.Itoa(core), name}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd, nil
}

// cores are the two to use: of the server, and of load and origin.
func cores() (server, load int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, 0, err
	}
	var found []int
	for i := 0; len(found) < 2 && i < len(set)*64; i++ {
		if set.IsSet(i) {
			found = append(found, i)
		}
	}
	if len(found) < 2 {
		return 0, 0, fmt.Errorf("%d core may be used here; leveebench needs two, one for the server and one for the load", len(found))
	}
	return found[0], found[1], nil
}
