package failures

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Dependencies
//
// Somebody outside whom workers call, by the name of his endpoint. One who is not
// there has a row in dependency, a closed gate; who has none is believed to be
// there. The gate is the whole fleet's: it is one row, and the database's clock
// decides.
//
// Invariants:
//
//   - Between closing and opening one call goes each interval, the probe's: that of
//     whoever finds opens_at and probe_until in the past and moves the latter into
//     the future, by one UPDATE. All others, in whatever process, find it there.
//   - Only the probe's answer counts: it lengthens the wait or takes the row away.
//     Calls that were under way when the gate was closed tell nothing of what is now;
//     one of them may move opens_at later, if it was asked to come later, and never
//     earlier. Terms come from a sequence, so that a probe of a former closing is
//     nobody's in this one.
//
// A process that dies with the probe leaves probe_until where its claim has set
// it, ProbeTime on: then another probes. One that dies before it has closed a gate
// leaves that to the next call.

// ProbeTime is how long a probe has the gate for itself: longer than a call takes.
const ProbeTime = 15 * time.Second

// GatePace is how long a gate stays closed: First after the first failure, twice
// as long after each probe in vain, Longest at most, each time with full jitter
// about it. Whoever was asked to come back after a while does not before; but
// LongestAsked is the longest that is heeded.
type CircuitBackoff struct {
	First, Longest, LongestAsked time.Duration
}

// ClosedGate is a dependency that is not known to be there. OpensIn is how long
// nobody calls, by the database's clock; 0 or less when the next one may.
type CircuitState struct {
	Name      string        `db:"name"`
	Failures  int           `db:"failures"` // answers in vain: the first and the probes'
	LastError string        `db:"last_error"`
	Since     time.Time     `db:"since"`
	RetryAt   time.Time     `db:"opens_at"`
	RetryIn   time.Duration `db:"-"`

	RetryInSeconds float64 `db:"opens_in"`
}

var openCircuits = pg.SQL(`
SELECT name, failures, last_error, since, opens_at, extract(epoch FROM opens_at - clock_timestamp()) AS opens_in FROM dependency ORDER BY name`)

// ClosedGates lists the dependencies that are not known to be there.
func OpenCircuits(ctx context.Context, db *store.DB) ([]CircuitState, error) {
	var gates []CircuitState
	if err := pg.Select(ctx, db, &gates, openCircuits); err != nil {
		return nil, fmt.Errorf("reading which dependencies are away: %w", err)
	}
	for i := range gates {
		gates[i].RetryIn = pg.Seconds(gates[i].RetryInSeconds)
	}
	return gates, nil
}

var claimProbe = pg.SQL(`
UPDATE dependency SET term = nextval('dependency_term'), probe_until = clock_timestamp() + make_interval(secs => $2)
WHERE name = $1 AND opens_at <= clock_timestamp() AND probe_until <= clock_timestamp()
RETURNING term`)

var circuitRetryIn = pg.SQL(`SELECT extract(epoch FROM opens_at - clock_timestamp()) FROM dependency WHERE name = $1`)

// Gate is what is known of a dependency's gate. The zero value is an open one.
type Permit struct {
	// Closed: nobody may call for Wait, or, where that is 0, while a probe is under way.
	Refused bool
	Wait    time.Duration
	// Probe, if it is not 0, is the term of a probe that whoever asked is to make, and to report.
	Probe int64
}

// EnterGate asks whether a dependency may be called, and claims the probe when it is due.
func RequestPermit(ctx context.Context, db *store.DB, name string) (g Permit, err error) {
	name = storable(name)
	err = db.InTx(ctx, func(tx store.Tx) error {
		g = Permit{}
		err := pg.Get(ctx, tx, &g.Probe, claimProbe, name, ProbeTime.Seconds())
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var opensIn float64
		err = pg.Get(ctx, tx, &opensIn, circuitRetryIn, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		g.Refused, g.Wait = true, max(0, pg.Seconds(opensIn))
		return err
	})
	if err != nil {
		return Permit{}, fmt.Errorf("asking whether %s may be called: %w", name, err)
	}
	return g, nil
}

// No row's term is 0, which is that of a call that is no probe.
var tripCircuit = pg.SQL(`
INSERT INTO dependency AS d (name, last_error, opens_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => greatest($4::float8, $5::float8 * (0.5 + random()))))
ON CONFLICT (name) DO UPDATE SET
    last_error = excluded.last_error,
    failures = d.failures + CASE WHEN d.term = $3 THEN 1 ELSE 0 END,
    probe_until = CASE WHEN d.term = $3 THEN '-infinity' ELSE d.probe_until END,
    opens_at = CASE WHEN d.term = $3
        THEN clock_timestamp() + make_interval(secs => greatest($4, least($6::float8, $5 * power(2, least(d.failures, 30))) * (0.5 + random())))
        ELSE greatest(d.opens_at, clock_timestamp() + make_interval(secs => $4)) END
RETURNING extract(epoch FROM opens_at - clock_timestamp())`)

// CloseGate records that a call found its dependency away, and gives for how long
// nobody is to call. asked is how long the other side wants to be left alone, 0
// if it has not said; probe is the term of EnterGate, 0 for a call that was none.
func TripCircuit(ctx context.Context, db *store.DB, name string, probe int64, cause string, asked time.Duration, p CircuitBackoff) (wait time.Duration, err error) {
	asked = min(max(0, asked), p.LongestAsked)
	var opensIn float64
	err = db.InTx(ctx, func(tx store.Tx) error {
		return pg.Get(ctx, tx, &opensIn, tripCircuit, storable(name), shortened(storable(firstLine(cause)), maxFailureText), probe, asked.Seconds(), p.First.Seconds(), p.Longest.Seconds())
	})
	if err != nil {
		return 0, fmt.Errorf("closing the gate of %s: %w", name, err)
	}
	return max(0, pg.Seconds(opensIn)), nil
}

var resetCircuit = pg.SQL(`DELETE FROM dependency WHERE name = $1 AND term = $2`)

// OpenGate records that a probe found its dependency there again.
func ResetCircuit(ctx context.Context, db *store.DB, name string, probe int64) error {
	err := db.InTx(ctx, func(tx store.Tx) error {
		_, err := pg.Exec(ctx, tx, resetCircuit, storable(name), probe)
		return err
	})
	if err != nil {
		return fmt.Errorf("opening the gate of %s: %w", name, err)
	}
	return nil
}
