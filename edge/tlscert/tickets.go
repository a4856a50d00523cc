package tlscert

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	ticketTurn = 12 * time.Hour // a new key
	ticketOld  = 2              // keys before it that still open tickets
)

// ring holds the session ticket keys. They stand behind WrapSession and UnwrapSession, not SetSessionTicketKeys, because
// QUIC works on clones of a configuration, which a later SetSessionTicketKeys does not reach. Keys live in memory only: a
// restart costs its clients one full handshake.
type ring struct {
	// now is a configuration used only for its ticket functions; immutable once stored.
	now atomic.Pointer[ticketKeys]

	mu sync.Mutex // of who turns
}

type ticketKeys struct {
	conf *tls.Config
	keys [][32]byte // newest first
	made time.Time
}

func newRing() (*ring, error) {
	r := new(ring)
	if err := r.turn(nil); err != nil {
		return nil, err
	}
	return r, nil
}

// current gives the keys, turned when they are due. It needs no goroutine: a server without handshakes has no need of new
// keys. Keys that outlasted several turns unused are all dropped.
func (r *ring) current() *ticketKeys {
	k := r.now.Load()
	if time.Since(k.made) >= ticketTurn {
		if r.turn(k) == nil {
			k = r.now.Load()
		}
	}
	return k
}

func (r *ring) turn(old *ticketKeys) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.Load() != old {
		return nil // somebody else has turned it
	}
	k := &ticketKeys{conf: new(tls.Config), keys: make([][32]byte, 1, 1+ticketOld), made: time.Now()}
	if _, err := rand.Read(k.keys[0][:]); err != nil {
		return fmt.Errorf("making a session ticket key: %w", err)
	}
	if old != nil && time.Since(old.made) < (1+ticketOld)*ticketTurn {
		k.keys = append(k.keys, old.keys[:min(ticketOld, len(old.keys))]...)
	}
	k.conf.SetSessionTicketKeys(k.keys)
	r.now.Store(k)
	return nil
}

func (r *ring) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	return r.current().conf.EncryptTicket(cs, ss)
}

func (r *ring) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	return r.current().conf.DecryptTicket(identity, cs)
}
