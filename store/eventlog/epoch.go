package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Epochs
//
// Ticks and events are held against each other by transaction ids, and these
// belong to one server. Tables that were restored into another hold ids which
// this one has given to others long ago, or will give some day. So the life of
// the log is cut into epochs, one a server, and ids are compared within one
// epoch only.
//
// An epoch ends with a tick that has seen all of it, because its snapshot lies
// above every id. The next one begins with the tick after that, made in the same
// transaction, which has seen nothing of its own epoch:
//
//	tick     ... 811  812 | 813: the end, sees all | 814: the beginning, sees nothing | 815 ...
//	epoch    ... 1    1   | 1                      | 2                                | 2   ...
//
// Nothing is copied and no event is stamped anew. Whoever has not read the old
// epoch to its end, and be it in the middle of an interval, reads on by the old
// ids and snapshots, for which no server need be asked: which of two numbers is
// the smaller is the same everywhere.
//
// Invariants and what keeps them:
//
//   - No interval spans two epochs, but the empty one from the end of one to the
//     beginning of the next (nextTick). Both stay when ticks are thinned out.
//   - Places part the epochs: every event of the old one stands at the end's
//     max_seq or below, every one of the new one above it. The log is locked
//     against writers while the sequence is read and until the new epoch is
//     committed; whoever waited for that lock reads the new epoch's number and
//     draws later places. So the reader, whose branches are bounded by places,
//     pays nothing for epochs; whoever goes by ids alone uses seenBy.
//   - An event that somebody appended here before the new epoch is read too. It
//     bears the old epoch's number and an id of this server, by which the old
//     ticks may seem to have seen it. They had not: it stands past the max_seq
//     of the last of them, and what a tick has seen does not (tick.go). It is
//     given an id that the end has seen and the last tick has not.
//   - No number is drawn twice: the sequence is lifted to the last place in use,
//     for whoever restores the tables alone.
//   - A leader that slept through the restore is fenced. Terms were set back by
//     it, so that the next term may be one that the sleeper has, with places of
//     the lost life in its hand. Terms of leases and cursors leap by more than
//     there can ever have been. Until then a tick is made only where the epoch
//     fits (makeTick), and a cursor moves only to ticks that there are.
//
// Crash: all of it is one transaction. Before its commit nothing has happened
// but that the sequence may be higher, which is a gap like any other; after it
// the epoch fits, and the command run again finds nothing to do.

// ErrRestored means that the tables come from another cluster, or from its past, so that
// transaction ids in them say nothing about this one's.
var ErrRestored = errors.New("this database was restored from another server, and its log needs a new epoch before events can flow: stop the fleet and run `composerp epoch begin` (docs/howto/backup.md)")

// ErrFleetRunning means that a process holds the lease of the ticker, of the relay or another one.
var ErrFleetRunning = errors.New("a fleet is at work on this database")

// Epoch is a life of the log in one server.
type Epoch struct {
	Epoch            int       `db:"epoch" json:"epoch"`
	SystemIdentifier int64     `db:"system_identifier" json:"systemIdentifier,string"` // of the server, by pg_control_system()
	FirstTick        int64     `db:"first_tick" json:"firstTick"`
	FirstSeq         int64     `db:"first_seq" json:"firstSeq"` // the first place of the log that is its own
	BeganAt          time.Time `db:"began_at" json:"beganAt"`
	// Fits is true of the newest one where it is this server's: events can flow.
	Fits bool `db:"fits" json:"fits"`
}

// fitting gives a row where the newest epoch is this server's and its ids are
// not from this server's future: the newest tick, its epoch and the server.
const EpochFitsSQL = `
FROM (SELECT id, epoch, snapshot FROM tick ORDER BY id DESC LIMIT 1) last JOIN epoch e ON e.epoch = last.epoch, pg_control_system() c
WHERE e.system_identifier = c.system_identifier AND pg_snapshot_xmax(last.snapshot) <= pg_snapshot_xmax(pg_current_snapshot())`

var epochFits = pg.SQL(`SELECT EXISTS (SELECT ` + EpochFitsSQL + `)`)

var listEpochs = pg.SQL(`
SELECT s.epoch, s.system_identifier, s.first_tick, t.seq_before + 1 AS first_seq, s.began_at,
       EXISTS (SELECT ` + EpochFitsSQL + ` AND e.epoch = s.epoch) AS fits
FROM epoch s JOIN tick t ON t.id = s.first_tick ORDER BY s.epoch`)

// seenBy tells in SQL whether a tick, by its epoch and snapshot, has seen the
// event e: all of earlier epochs, and of its own what had ended.
func SeenBySQL(epoch, snapshot string) string {
	return `(e.epoch < ` + epoch + ` OR e.epoch = ` + epoch + ` AND pg_visible_in_snapshot(e.tx, ` + snapshot + `))`
}

// CheckEpoch is ErrRestored where the log needs a new epoch.
func CheckEpoch(ctx context.Context, db *store.DB) error {
	var fits bool
	if err := pg.Get(ctx, db, &fits, epochFits); err != nil {
		return fmt.Errorf("checking the log's epoch: %w", err)
	}
	if !fits {
		return ErrRestored
	}
	return nil
}

// Epochs lists the lives of the log, the oldest first.
func Epochs(ctx context.Context, db *store.DB) ([]Epoch, error) {
	var list []Epoch
	if err := pg.Select(ctx, db, &list, listEpochs); err != nil {
		return nil, fmt.Errorf("listing the log's epochs: %w", err)
	}
	return list, nil
}
