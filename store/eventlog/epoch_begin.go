package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// This file begins an epoch; epoch.go states the invariants and the crash analysis.

// BeginEpoch begins a new epoch when the newest does not fit this server, or in any case with force, and reports
// whether it did; the operator log has it then. It waits for as long as a killed leader keeps its lease;
// ErrFleetRunning when a leader is alive.
func BeginEpoch(ctx context.Context, db *store.DB, by operatorlog.By, force bool) (begun bool, err error) {
	if err := CheckEpoch(ctx, db); !force && !errors.Is(err, ErrRestored) {
		return false, err
	}
	if err := awaitLeaders(ctx, db); err != nil {
		return false, err
	}
	if err := db.InTx(ctx, func(tx store.Tx) error { return analyze(ctx, tx) }); err != nil {
		return false, fmt.Errorf("gathering statistics of the restored tables: %w", err)
	}
	err = db.InTx(ctx, func(tx store.Tx) error { return beginEpoch(ctx, tx, by, force) })
	if errors.Is(err, errBegun) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("beginning a new epoch: %w", err)
	}
	return true, nil
}

// analyze gathers statistics. A restored database has none, and what reads it before PostgreSQL has gathered them by
// itself is planned without: an audit takes minutes instead of seconds.
func analyze(ctx context.Context, tx store.Tx) error {
	if _, err := pg.Exec(ctx, tx, epochSettings); err != nil {
		return err
	}
	return pg.ExecText(ctx, tx, "ANALYZE")
}

// errBegun: another process has begun the new epoch meanwhile.
var errBegun = errors.New("a new epoch has been begun")

var liveLeases = pg.SQL(`SELECT name, holder, term, expires_at FROM lease WHERE expires_at >= clock_timestamp() ORDER BY name`)

// awaitLeaders returns when no lease is alive. A lease that is not renewed for its whole life has no leader, whatever
// the clock of the server that wrote it. Leases acquired after that are fenced.
func awaitLeaders(ctx context.Context, db *store.DB) error {
	type held struct {
		Name, Holder string
		Term         int64
		ExpiresAt    time.Time `db:"expires_at"`
	}
	var first []held
	for began := time.Now(); ; {
		var now []held
		if err := pg.Select(ctx, db, &now, liveLeases); err != nil {
			return fmt.Errorf("reading the live leases: %w", err)
		}
		if first == nil {
			first = now
		}
		for _, l := range now {
			if !slices.ContainsFunc(first, func(f held) bool { return f.Name == l.Name && f.Term == l.Term && f.ExpiresAt.Equal(l.ExpiresAt) }) {
				return fmt.Errorf("%w: %s leads the %s; stop it first", ErrFleetRunning, l.Holder, l.Name)
			}
		}
		if len(now) == 0 || time.Since(began) > store.LeaseTTL {
			return nil
		}
		if !clock.Sleep(ctx, store.LeaseTTL/6) {
			return ctx.Err()
		}
	}
}

// A restored log may hold many events that were appended before its new epoch.
var epochSettings = pg.SQL(`SELECT set_config('statement_timeout', '30min', true)`)

// termsApart is the distance by which terms leap.
const termsApart = 1_000_000_000

var fenceLeaders = pg.SQL(`UPDATE lease SET term = term + $1, expires_at = '-infinity'`)

var fenceReaders = pg.SQL(`UPDATE log_cursor SET term = term + $1`)

// It waits for open appends to end, and blocks appends and other new epochs until the commit.
var lockLog = pg.SQL(`LOCK TABLE event_log IN SHARE ROW EXCLUSIVE MODE`)

var liftSequence = pg.SQL(`
SELECT setval('event_log_seq', used)
FROM (SELECT greatest((SELECT max(seq) FROM event_log), (SELECT max_seq FROM tick ORDER BY id DESC LIMIT 1)) AS used) log
WHERE used > coalesce(pg_sequence_last_value('event_log_seq'), 0)`)

var adoptUncovered = pg.SQL(`
UPDATE event_log SET tx = $4::xid8 WHERE seq > $1 AND (tx = $2::xid8 OR pg_visible_in_snapshot(tx, $3::pg_snapshot))`)

// aboveAllIDs is above every transaction id and fits into a bigint.
const aboveAllIDs = `9223372036854775807`

var writeEpoch = pg.SQL(`
WITH drawn AS MATERIALIZED (
    SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0) AS last
), ended AS (
    INSERT INTO tick (id, tx, epoch, snapshot, seq_before, max_seq)
    SELECT $1::bigint + 1, '` + aboveAllIDs + `', $2::int, '` + aboveAllIDs + `:` + aboveAllIDs + `:', last, last FROM drawn
), began AS (
    INSERT INTO epoch (epoch, system_identifier, first_tick) SELECT $2::int + 1, system_identifier, $1::bigint + 2 FROM pg_control_system()
)
INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
SELECT $1::bigint + 2, $2::int + 1, pg_current_snapshot(), last, last FROM drawn`)

// beginEpoch returns errBegun when the epoch fits already.
func beginEpoch(ctx context.Context, tx store.Tx, by operatorlog.By, force bool) error {
	if _, err := pg.Exec(ctx, tx, epochSettings); err != nil {
		return err
	}
	// Leases first, as every leader locks them: from here on no tick is made.
	if _, err := pg.Exec(ctx, tx, fenceLeaders, termsApart); err != nil {
		return fmt.Errorf("fencing leaders: %w", err)
	}
	if _, err := pg.Exec(ctx, tx, lockLog); err != nil {
		return fmt.Errorf("waiting for open appends to the log: %w", err)
	}
	var fits bool
	if err := pg.Get(ctx, tx, &fits, epochFits); err != nil {
		return err
	}
	if fits && !force {
		return errBegun
	}
	var last tick
	if err := pg.Get(ctx, tx, &last, lastTick); err != nil {
		return fmt.Errorf("reading the last tick: %w", err)
	}
	if err := adoptEvents(ctx, tx, last); err != nil {
		return err
	}
	if _, err := pg.Exec(ctx, tx, fenceReaders, termsApart); err != nil {
		return fmt.Errorf("fencing readers: %w", err)
	}
	if err := pg.Write(ctx, tx, fmt.Sprintf("ending epoch %d", last.Epoch), writeEpoch, last.ID, last.Epoch); err != nil {
		return err
	}
	return operatorlog.Note(ctx, tx, by, "epoch begin", strconv.Itoa(last.Epoch+1), nil, map[string]any{"force": force})
}

// adoptEvents repairs what stands past the last tick: the sequence, and this server's events that bear the old
// epoch's number.
func adoptEvents(ctx context.Context, tx store.Tx, last tick) error {
	if err := last.parse(); err != nil {
		return err
	}
	if _, err := pg.Exec(ctx, tx, liftSequence); err != nil {
		return fmt.Errorf("lifting the log's sequence: %w", err)
	}
	unseen := max(last.snapshot.xmax, last.Tx+1)
	return pg.Write(ctx, tx, "adopting events of this server", adoptUncovered, last.MaxSeq, strconv.FormatUint(last.Tx, 10), last.Snapshot, strconv.FormatUint(unseen, 10))
}
