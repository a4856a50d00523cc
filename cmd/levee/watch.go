package main

import (
	"context"
	"crypto/sha256"
	"os"
	"sync"
	"time"
)

// fileWatch tells when the content of a file has changed and then stayed the
// same for a moment, so that a half-written file is not read. It looks at the
// content every second: editors and config management replace files in too many
// ways for a watch on one of them.
type fileWatch struct {
	changed <-chan struct{} // nil without a file
	path    string

	mu   sync.Mutex
	have [sha256.Size]byte // what was read last
}

// watchFile begins to watch, until ctx ends. With an empty path it never tells.
func watchFile(ctx context.Context, path string) *fileWatch {
	w := &fileWatch{path: path}
	if path == "" {
		return w
	}
	w.taken()
	c := make(chan struct{}, 1)
	w.changed = c
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		last := w.sum()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := w.sum()
			w.mu.Lock()
			tell := now == last && now != w.have && now != [sha256.Size]byte{}
			if tell {
				w.have = now
			}
			w.mu.Unlock()
			last = now
			if tell {
				select {
				case c <- struct{}{}:
				default:
				}
			}
		}
	}()
	return w
}

// taken says that the content is being read now, for whatever reason.
func (w *fileWatch) taken() {
	now := w.sum()
	w.mu.Lock()
	w.have = now
	w.mu.Unlock()
}

// sum is zero for a file that cannot be read.
func (w *fileWatch) sum() (h [sha256.Size]byte) {
	if b, err := os.ReadFile(w.path); err == nil && w.path != "" {
		h = sha256.Sum256(b)
	}
	return h
}
