package failures

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// # Circuit breakers
//
// A dependency is an endpoint that workers call. While it fails it has a row in the table dependency: its circuit is
// open. Without a row the circuit is closed and calls go through. The circuit is shared by the whole fleet: it is one
// row, and the database's clock decides.
//
// Invariants:
//
//   - While the circuit is open, one call goes through each interval, the probe: the process that finds opens_at and
//     probe_until in the past moves the latter into the future by one UPDATE, and all others find it there.
//   - Only the probe's result counts: it lengthens the wait or deletes the row. Calls already under way when the
//     circuit opened say nothing about the present; one may only move opens_at later, when the dependency asked for
//     that. Terms come from a sequence, so that a late probe of a former outage is ignored.
//   - No call is the only one to probe while another waits: when the last loneProbes, over at least loneTime, failed
//     with the same call, any other may probe at once, and this one only othersTurn later. So a message that alone is
//     at fault keeps no others waiting, and one that is the only one is tried seldom. Whose fault it is shows when the
//     dependency takes another (package worker); until then the circuit tells which call it is.
//
// A process that dies during its probe leaves probe_until where the claim set it, probeTime ahead: then another
// process probes. One that dies before it has opened the circuit leaves that to the next call.

// probeTime is how long a probe may take: longer than a call.
const probeTime = 15 * time.Second

// When a probe is another call's turn, and for how long: messages that wait come back within a minute.
const (
	loneProbes = 3
	loneTime   = time.Minute
	othersTurn = time.Minute
)

// CircuitBackoff is how long a circuit stays open: First after the first failure, doubled after each failed probe, at
// most Longest, each with full jitter. A dependency may ask for a longer wait; at most LongestAsked is
// granted.
type CircuitBackoff struct {
	First, Longest, LongestAsked time.Duration
}

// CircuitState is a dependency whose circuit is open. OpensIn is how long it is not called, by the database's clock; 0
// or less when the next call is a probe.
type CircuitState struct {
	Name      string        `db:"name"`
	Failures  int           `db:"failures"` // the first failure and the failed probes
	LastError string        `db:"last_error"`
	Since     time.Time     `db:"since"`
	RetryAt   time.Time     `db:"opens_at"`
	RetryIn   time.Duration `db:"-"`

	RetryInSeconds float64 `db:"opens_in"`

	// ProbeKey is the call that failed last as a probe, or as the first, Probes how many in a row it was, since when.
	ProbeKey   string    `db:"probe_key"`
	Probes     int       `db:"probes"`
	ProbeSince time.Time `db:"probe_since"`
	Lone       bool      `db:"lone"` // the same call for so long that it may be at fault, not the dependency
}

// unasked is how long a circuit that may be probed counts as open without a probe. A message that waits for the
// dependency comes back sooner, by a retry queue of an hour as a rule: so none waits, as after a change of the
// dependency's address. The row stays, and the next call to it is a probe.
const unasked = time.Hour

// isLone tells of a row of dependency whether one call alone has probed it for long.
var isLone = fmt.Sprintf(`(probe_key <> '' AND probes >= %d AND probe_since <= clock_timestamp() - interval '%g s')`, loneProbes, loneTime.Seconds())

var openCircuits = pg.SQL(`
SELECT name, failures, last_error, since, opens_at, extract(epoch FROM opens_at - clock_timestamp()) AS opens_in, probe_key, probes, probe_since,
       ` + isLone + ` AS lone
FROM dependency
WHERE greatest(opens_at, probe_until) > clock_timestamp() - interval '` + fmt.Sprintf("%g s", unasked.Seconds()) + `' ORDER BY name`)

// OpenCircuits lists the dependencies whose circuits are open, and that a message waits for.
func OpenCircuits(ctx context.Context, db *store.DB) ([]CircuitState, error) {
	circuits, err := pg.List[CircuitState](ctx, db, "reading the open circuits", openCircuits)
	for i := range circuits {
		circuits[i].RetryIn = sqlvalue.Seconds(circuits[i].RetryInSeconds)
	}
	return circuits, err
}

var claimProbe = pg.SQL(`
UPDATE dependency SET term = nextval('dependency_term'), probe_until = clock_timestamp() + make_interval(secs => $2)
WHERE name = $1 AND opens_at + ` + turnOf + ` <= clock_timestamp() AND probe_until <= clock_timestamp()
RETURNING term`)

// turnOf is how much later than others the call $3 may probe.
var turnOf = fmt.Sprintf(`CASE WHEN probe_key = $3 AND `+isLone+` THEN interval '%g s' ELSE interval '0' END`, othersTurn.Seconds())

var circuitRetryIn = pg.SQL(`
SELECT extract(epoch FROM opens_at + ` + strings.ReplaceAll(turnOf, "$3", "$2") + ` - clock_timestamp()) FROM dependency WHERE name = $1`)

// Permit is the answer to RequestPermit. The zero value allows the call.
type Permit struct {
	// Refused: no call for Wait, or, when that is 0, while a probe is under way.
	Refused bool
	Wait    time.Duration
	// Probe, when not 0, is the term of a probe that the caller must make and report.
	Probe int64
}

// RequestPermit asks whether the call with this key may be made to a dependency, and claims the probe when it is due.
func RequestPermit(ctx context.Context, db *store.DB, name, key string) (g Permit, err error) {
	name, key = storable(name), storable(key)
	err = db.InTx(ctx, func(tx store.Tx) error {
		g = Permit{}
		err := pg.Get(ctx, tx, &g.Probe, claimProbe, name, probeTime.Seconds(), key)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var opensIn float64
		err = pg.Get(ctx, tx, &opensIn, circuitRetryIn, name, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		g.Refused, g.Wait = true, max(0, sqlvalue.Seconds(opensIn))
		return err
	})
	if err != nil {
		return Permit{}, fmt.Errorf("requesting a permit to call %s: %w", name, err)
	}
	return g, nil
}

// No row has the term 0, which stands for a call that is no probe.
var tripCircuit = pg.SQL(`
INSERT INTO dependency AS d (name, last_error, opens_at, probe_key, probes)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => greatest($4::float8, $5::float8 * (0.5 + random()))), $7, 1)
ON CONFLICT (name) DO UPDATE SET
    last_error = excluded.last_error,
    failures = d.failures + CASE WHEN d.term = $3 THEN 1 ELSE 0 END,
    probe_until = CASE WHEN d.term = $3 THEN '-infinity' ELSE d.probe_until END,
    probe_key = CASE WHEN d.term = $3 THEN excluded.probe_key ELSE d.probe_key END,
    probes = CASE WHEN d.term <> $3 THEN d.probes WHEN d.probe_key = excluded.probe_key THEN d.probes + 1 ELSE 1 END,
    probe_since = CASE WHEN d.term = $3 AND d.probe_key <> excluded.probe_key THEN clock_timestamp() ELSE d.probe_since END,
    opens_at = CASE WHEN d.term = $3
        THEN clock_timestamp() + make_interval(secs => greatest($4, least($6::float8, $5 * power(2, least(d.failures, 30))) * (0.5 + random())))
        ELSE greatest(d.opens_at, clock_timestamp() + make_interval(secs => $4)) END
RETURNING extract(epoch FROM opens_at - clock_timestamp()) AS opens_in, ` + isLone + ` AS lone`)

// TripCircuit records that the call with this key failed because the dependency is away. It returns how long not to
// call it, and whether one call alone has probed it for so long that it may be at fault. requested is the wait that the
// dependency requested, 0 for none; probe is the Permit's term, 0 for a call that was no probe.
func TripCircuit(ctx context.Context, db *store.DB, name, key string, probe int64, cause string, requested time.Duration, p CircuitBackoff) (wait time.Duration, lone bool, err error) {
	requested = min(max(0, requested), p.LongestAsked)
	tripped, err := pg.OneAlone[struct {
		Lone    bool
		OpensIn float64 `db:"opens_in"`
	}](ctx, db, "opening the circuit of "+name, tripCircuit, storable(name),
		shortened(storable(firstLine(cause)), maxFailureText), probe, requested.Seconds(), p.First.Seconds(), p.Longest.Seconds(), storable(key))
	return max(0, sqlvalue.Seconds(tripped.OpensIn)), tripped.Lone, err
}

var resetCircuit = pg.SQL(`DELETE FROM dependency WHERE name = $1 AND term = $2`)

// ResetCircuit records that a probe succeeded: the circuit closes.
func ResetCircuit(ctx context.Context, db *store.DB, name string, probe int64) error {
	return pg.WriteAlone(ctx, db, fmt.Sprintf("closing the circuit of %s", name), resetCircuit, storable(name), probe)
}
