package main

import (
	"context"
	"crypto/sha256"
	"os"
	"time"
)

// fileChanges tells when the content of a file has changed and then stayed the
// same for a moment, so that a half-written file is not read. It looks at the
// content every two seconds: editors and config management replace files in too
// many ways for a watch on one of them.
func fileChanges(ctx context.Context, path string) <-chan struct{} {
	if path == "" {
		return nil
	}
	c := make(chan struct{}, 1)
	sum := func() (h [sha256.Size]byte) {
		if b, err := os.ReadFile(path); err == nil {
			h = sha256.Sum256(b)
		}
		return h
	}
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		taken := sum()
		last := taken
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := sum()
			if now == last && now != taken && now != ([sha256.Size]byte{}) {
				taken = now
				c <- struct{}{}
			}
			last = now
		}
	}()
	return c
}
