package tlscert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"golang.org/x/sys/unix"
)

// disk is certmagic's file storage with locks of the kernel in place of lock files: those outlive a kill -9 by ten seconds,
// in which the first handshake for a name would wait, and each leaves a goroutine behind for five.
type disk struct {
	certmagic.FileStorage

	mu   sync.Mutex
	held map[string]*os.File
}

func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(filepath.Join(dir, "locks"), 0o700); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	return &disk{FileStorage: certmagic.FileStorage{Path: dir}, held: map[string]*os.File{}}, nil
}

// Lock waits for the lock called name, which other processes and other disks over the same folder share.
func (d *disk) Lock(ctx context.Context, name string) error {
	f, err := lockFile(ctx, d.lockPath(name))
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.held[name] = f
	d.mu.Unlock()
	return nil
}

// Unlock gives back a lock that Lock gave.
func (d *disk) Unlock(_ context.Context, name string) error {
	d.mu.Lock()
	f := d.held[name]
	delete(d.held, name)
	d.mu.Unlock()
	if f == nil {
		return fmt.Errorf("lock %s is not held", name)
	}
	return f.Close()
}

// lockPath has one of 256 files for a name, so that ten thousand names do not leave ten thousand files. Two names that share
// one wait for each other, a few milliseconds.
func (d *disk) lockPath(name string) string {
	var h uint32 = 2166136261 // FNV-1a
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return filepath.Join(d.Path, "locks", fmt.Sprintf("%02x.lock", h&0xff))
}

// lockFile opens path and takes its exclusive lock, which lasts until the file is closed or the process ends. The file
// stays: removing a lock file lets two holders in.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// writeFile puts data at path, whole or not at all, also over a loss of power.
func writeFile(path string, data []byte, mode os.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
