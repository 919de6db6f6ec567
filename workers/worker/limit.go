package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/limits"
)

// # Failure policy: limit of calls at once
//
// A dependency may have a limit of calls at once, for the whole fleet: a row in the
// database (store/limits). A call to it first takes a permit there and returns it
// afterwards. While none is free the slot waits, so that its messages keep their
// place; after limitWait the message waits in a retry queue instead, and keeps its
// attempts: no call was made.
//
// Invariants:
//
//   - A dependency without a limit costs a look into memory, which is read anew with
//     the open circuits, each second: so long a new limit is not kept.
//   - A permit says nothing of the circuit. The probe of an open circuit needs none:
//     it is one call.
//   - A process that dies with a call under way leaves a permit that expires.

const (
	// limitWait is how long a slot waits for a permit.
	limitWait = 20 * time.Second
	limitPoll = 100 * time.Millisecond
)

// limitReached is the error of a call that was not made.
type limitReached string

func (e limitReached) Error() string {
	return fmt.Sprintf("no call was made: all calls at once to %s that `composerp limit` allows are under way", string(e))
}

// Is makes it an error of a call that was not made, like that of an open circuit.
func (limitReached) Is(target error) bool { return target == ErrCircuitOpen }

// withinLimit makes a call once the dependency's limit, if it has one, allows that.
func (b *Breakers) withinLimit(ctx context.Context, db *store.DB, dependency string, call func() error) error {
	b.mu.Lock()
	unlimited := b.limited != nil && !b.limited[dependency] // before the first read every call asks
	b.mu.Unlock()
	if unlimited {
		return call()
	}
	permit, err := awaitPermit(ctx, db, dependency)
	if err != nil {
		return err
	}
	defer func() {
		returning, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		defer cancel()
		_ = limits.Return(returning, db, permit) // else it expires
	}()
	return call()
}

func awaitPermit(ctx context.Context, db *store.DB, dependency string) (limits.Permit, error) {
	for began := time.Now(); ; {
		permit, err := limits.Request(ctx, db, dependency)
		if !errors.Is(err, limits.ErrReached) {
			return permit, err
		}
		if time.Since(began) > limitWait {
			return permit, Unavailable(dependency, limitReached(dependency), time.Second)
		}
		if !clock.Sleep(ctx, limitPoll) {
			return permit, ctx.Err()
		}
	}
}
