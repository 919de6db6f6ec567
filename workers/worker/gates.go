package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
)

// # Gates
//
// Retries of many messages, in many slots and processes, against somebody who is
// away or busy are a storm, and keep him down. So the fleet has one gate a
// dependency, a row in the database (store/dependency.go): the first call that
// finds it away closes it, and until it is known to be there again one call an
// interval goes, the probe's, however many there are who would.
//
// Invariants:
//
//   - Whoever is believed to be there costs a look into memory; what is there is
//     read anew from the database when it is a second old and somebody is called.
//   - What memory says is away is asked of the database before each call: only
//     there is it decided who may probe.
//   - A process that has not heard of a closing yet makes at most the calls that
//     its slots have under way: the first that fails tells all of them.
//   - What goes wrong with the gate itself is the database's fault, and no message's.
//
// # What a crash leaves, step by step
//
//	before the gate is closed    the next call finds out
//	with the probe in hand       a gate that the next one may probe store.ProbeTime
//	                             after it was claimed
//	after the call went well,    the same; the message itself is called for again,
//	before the gate is opened    with its key

// DefaultPace is how long gates stay closed where nobody says otherwise.
var DefaultCircuitBackoff = failures.CircuitBackoff{First: time.Second, Longest: 15 * time.Second, LongestAsked: time.Hour}

// Gates are the ways to those whom the workers of a process call. The zero value
// works once a worker that was declared with it runs; before that, and where
// there are none, every call goes.
type Breakers struct {
	// Pace is how long gates stay closed; zero means DefaultPace.
	Backoff failures.CircuitBackoff

	db     atomic.Pointer[store.DB]
	mu     sync.Mutex
	looked time.Time
	away   map[string]time.Time // since when it is believed; what is not in it is there
}

// Gated declares that the worker's calls go through gates: what it calls by
// Gates.Call, or has webcall call, is left alone while it is away.
func WithBreakers(gates *Breakers) Option { return func(w *Worker) { w.breakers = gates } }

// sight is how old may be what is believed of those who are there.
const sight = time.Second

// settleTime is how long it is tried to say how a call has ended, also by a process that was told to stop.
const settleTime = 5 * time.Second

// Call makes a call to a dependency if its gate is open or this call may probe
// it. An Unavailable error of the call's closes the gate; any other end of a
// probe opens it, for somebody has answered. The error is the call's, or an
// ErrNotCalled, or the database's.
func (g *Breakers) Call(ctx context.Context, dependency string, call func() error) error {
	if g == nil || g.db.Load() == nil {
		return call()
	}
	db := g.db.Load()
	probe, err := g.enter(ctx, db, dependency)
	if err != nil {
		return err
	}
	err = call()
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if away, is := asUnavailable(err); is {
		return g.close(settling, db, probe, unavailability{dependency, err, away.wait})
	}
	if probe != 0 && ctx.Err() == nil && failures.ResetCircuit(settling, db, dependency, probe) == nil {
		g.mark(dependency, false)
	} // a gate that could not be opened is probed again; what was called for is done
	return err
}

// enter gives the term of the probe that this call is to be, 0 when it is none.
func (g *Breakers) enter(ctx context.Context, db *store.DB, dependency string) (probe int64, err error) {
	away, err := g.believedAway(ctx, db, dependency)
	if err != nil || !away {
		return 0, err
	}
	gate, err := failures.RequestPermit(ctx, db, dependency)
	if err != nil {
		return 0, err
	}
	if gate.Refused {
		return 0, unavailability{dependency, fmt.Errorf("%w: %s is away", ErrCircuitOpen, dependency), gate.Wait}
	}
	if gate.Probe == 0 {
		g.mark(dependency, false)
	}
	return gate.Probe, nil
}

func (g *Breakers) close(ctx context.Context, db *store.DB, probe int64, away unavailability) error {
	pace := g.Backoff
	if pace == (failures.CircuitBackoff{}) {
		pace = DefaultCircuitBackoff
	}
	wait, err := failures.TripCircuit(ctx, db, away.dependency, probe, away.Error(), away.wait, pace)
	if err != nil {
		return fmt.Errorf("%w; %w", away, err)
	}
	g.mark(away.dependency, true)
	away.wait = wait
	return away
}

// believedAway tells what is believed of a dependency, and looks when that is old.
func (g *Breakers) believedAway(ctx context.Context, db *store.DB, dependency string) (away bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if began := time.Now(); began.Sub(g.looked) >= sight {
		g.looked = began // the others go by what is believed while this one looks
		g.mu.Unlock()
		gates, err := failures.OpenCircuits(ctx, db)
		g.mu.Lock()
		if err != nil {
			g.looked = time.Time{}
			return false, err
		}
		g.believe(gates, began)
	}
	_, away = g.away[dependency]
	return away, nil
}

// believe takes over what was read, but for what was found out since that began. The lock is held.
func (g *Breakers) believe(gates []failures.CircuitState, began time.Time) {
	read := make(map[string]time.Time, len(gates))
	for _, c := range gates {
		read[c.Name] = began
	}
	for name, since := range g.away {
		if since.After(began) {
			read[name] = since
		}
	}
	g.away = read
}

func (g *Breakers) mark(dependency string, away bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !away:
		delete(g.away, dependency)
	case g.away == nil:
		g.away = map[string]time.Time{dependency: time.Now()}
	default:
		g.away[dependency] = time.Now()
	}
}
