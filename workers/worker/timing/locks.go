package timing

import (
	"context"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
)

const (
	// watchAfter is from when on a batch in hand is watched for locks it waits for.
	watchAfter = 250 * time.Millisecond
	// watchEvery is how often: a wait for a lock is known as exactly as that.
	watchEvery = 100 * time.Millisecond
	// answerTimeout bounds the question.
	answerTimeout = 2 * time.Second
	// watchKept is for how long a wait is remembered: longer than a transaction.
	watchKept = 10 * time.Minute
)

// Locks knows for how long the transactions of this process have waited for locks. PostgreSQL tells of waits that last,
// and not of those that are over; so while a batch takes long, it is asked again and again. The zero value works.
type Locks struct {
	mu    sync.Mutex
	asked time.Time
	waits map[wait]waited
}

// wait is a wait for a lock: when it began, by the server's clock.
type wait struct {
	session int
	since   int64
}

type waited struct {
	spent time.Duration
	seen  time.Time // by this process's clock
}

// Watch asks for waits from when on a batch takes long, until ctx is done or stop is called.
func (l *Locks) Watch(ctx context.Context, db *store.DB) (stop func() bool) {
	return time.AfterFunc(watchAfter, func() {
		for ctx.Err() == nil {
			l.ask(ctx, db)
			if !clock.Sleep(ctx, watchEvery) {
				return
			}
		}
	}).Stop
}

// ask asks the database, unless another batch of this process just did. A wait that is not seen counts as handling.
func (l *Locks) ask(ctx context.Context, db *store.DB) {
	at := time.Now()
	if !l.due(at) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	found, err := delays.LockWaits(ctx, db) // without the lock: a batch that is about to commit must not wait for it
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, w := range l.waits {
		if time.Since(w.seen) > watchKept {
			delete(l.waits, key)
		}
	}
	for _, w := range found {
		if l.waits == nil {
			l.waits = map[wait]waited{}
		}
		l.waits[wait{w.Session, w.Since.UnixMicro()}] = waited{time.Duration(w.Seconds * float64(time.Second)), at}
	}
}

// due tells whether it is time to ask again, and counts that as done.
func (l *Locks) due(at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.Sub(l.asked) < watchEvery {
		return false
	}
	l.asked = at
	return true
}

func (l *Locks) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waits) > 0
}

// of is how long a session has waited since then.
func (l *Locks) of(session int, since time.Time) (spent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, w := range l.waits {
		if key.session == session && w.seen.After(since) {
			spent += w.spent
		}
	}
	return spent
}
