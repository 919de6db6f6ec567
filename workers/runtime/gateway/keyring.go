package gateway

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/apikeys"
)

// keysEvery is how often the keys are read: a key is taken, or refused, that long after the command.
const keysEvery = time.Second

// keysFor is how long the gateway counts as ready after it read the keys.
const keysFor = 10 * time.Second

// keyring has the keys that hold, as last read. A request asks no database for its key: so a wrong key costs what a
// right one does, one hash, one look into a map by the part that is no secret, and one comparison of digests whose time
// does not depend on them. While the database is away the last keys stay, and nothing can be published anyway.
type keyring struct {
	db     *store.DB
	log    *slog.Logger
	rate   int
	byID   atomic.Pointer[map[string]*holder]
	readAt atomic.Pointer[time.Time]
}

// holder is a key and what it uses just now.
type holder struct {
	apikeys.Valid
	open   atomic.Int64 // requests
	events *rate.Limiter
}

// mayPublish reports whether the key is for events of a type.
func (k *holder) mayPublish(t event.Type) bool { return slices.Contains(k.Types, string(t)) }

func newKeyring(cfg Config) *keyring {
	r := &keyring{db: cfg.DB, log: cfg.Log, rate: cfg.Rate}
	r.byID.Store(&map[string]*holder{})
	return r
}

// absent is what a key with an unknown ID is compared with.
var absent = new(holder)

// check returns the holder of the key in a header Authorization, nil when it does not hold.
func (r *keyring) check(authorization string) *holder {
	scheme, text, _ := strings.Cut(authorization, " ")
	id, secret := apikeys.Split(text)
	k, known := (*r.byID.Load())[id]
	if !known {
		k = absent
	}
	same := subtle.ConstantTimeCompare(secret[:], k.Secret[:]) == 1
	if !same || !known || !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return k
}

// read reads the keys. Those that were there keep what they have used.
func (r *keyring) read(ctx context.Context) error {
	began := time.Now()
	valid, err := apikeys.AllValid(ctx, r.db)
	if err != nil {
		return err
	}
	before, now := *r.byID.Load(), make(map[string]*holder, len(valid))
	for id, v := range valid {
		if now[id] = before[id]; now[id] == nil {
			now[id] = &holder{Valid: v, events: rate.NewLimiter(rate.Limit(r.rate), max(r.rate, MaxEvents))}
		}
	}
	r.byID.Store(&now)
	r.readAt.Store(&began)
	return nil
}

// keep reads the keys again and again.
func (r *keyring) keep(ctx context.Context) {
	for clock.Sleep(ctx, keysEvery) {
		asking, cancel := context.WithTimeout(ctx, answerTimeout)
		if err := r.read(asking); err != nil && !errors.Is(err, context.Canceled) {
			r.log.Warn("the API keys cannot be read; those read before hold", "error", err)
		}
		cancel()
	}
}

func (r *keyring) fresh() bool {
	at := r.readAt.Load()
	return at != nil && time.Since(*at) < keysFor
}
