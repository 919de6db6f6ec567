package eventlog

import (
	"context"
	"errors"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Epochs
//
// Ticks and events are compared by transaction ids, and these belong to one server. Tables restored into another
// server hold ids that it has given, or will give, to other transactions. So the log is cut into epochs, one a server,
// and ids are compared within one epoch only.
//
// An epoch ends with a tick that has seen all of it, because its snapshot lies above every id. The next epoch begins
// with the following tick, made in the same transaction, which has seen nothing of its own epoch:
//
//	tick     ... 811  812 | 813: the end, sees all | 814: the beginning, sees nothing | 815 ...
//	epoch    ... 1    1   | 1                      | 2                                | 2   ...
//
// Nothing is copied and no event is changed. A reader that has not finished the old epoch reads on by the old ids and
// snapshots, even from the middle of an interval: comparing two numbers needs no server.
//
// Invariants:
//
//   - No interval spans two epochs, except the empty one from the end of one to the beginning of the next (nextTick).
//     Both ticks survive thinning.
//   - Log positions separate the epochs: every event of the old epoch stands at or below the end's max_seq, every
//     event of the new one above it. The log is locked against writers from reading the sequence until the new epoch
//     commits; a writer that waited for the lock reads the new epoch's number and draws later positions. So the
//     reader, bounded by positions, pays nothing for epochs; statements that go by ids alone use SeenBySQL.
//   - An event appended on this server before the new epoch is read too. It bears the old epoch's number and an id of
//     this server, by which the old ticks may seem to have seen it. They have not: it stands past the last tick's
//     max_seq. It gets an id that the end has seen and the last tick has not.
//   - No number is drawn twice: the sequence is lifted to the last position in use, in case only tables were restored.
//   - A leader that slept through the restore is fenced. The restore set terms back, so the next term may be one that
//     the sleeping leader holds; terms of leases and cursors therefore leap by more than was ever used. Until then a
//     tick is made only where the epoch fits (makeTick), and a cursor moves only to existing ticks.
//
// Crash: all of it is one transaction. Before its commit only the sequence may be higher, a gap like any other; after
// it the epoch fits, and running the command again does nothing.

// ErrRestored says that the tables come from another server, or from this one's past, so their transaction ids mean
// nothing here.
var ErrRestored = errors.New("this database was restored from another server, and its log needs a new epoch before events can flow: stop the fleet and run `composerp epoch begin` (docs/howto/backup.md)")

// ErrFleetRunning says that a process holds a lease (ticker, relay or another).
var ErrFleetRunning = errors.New("a fleet is at work on this database")

// Epoch is the part of the log written by one server.
type Epoch struct {
	Epoch            int       `db:"epoch" json:"epoch"`
	SystemIdentifier int64     `db:"system_identifier" json:"systemIdentifier,string"` // by pg_control_system()
	FirstTick        int64     `db:"first_tick" json:"firstTick"`
	FirstSeq         int64     `db:"first_seq" json:"firstSeq"` // its first log position
	BeganAt          time.Time `db:"began_at" json:"beganAt"`
	// Fits is true for the newest epoch when it is this server's: events can flow.
	Fits bool `db:"fits" json:"fits"`
}

// EpochFitsSQL yields a row (newest tick, its epoch, the server) where the newest epoch is this server's and its ids
// are not in this server's future.
const EpochFitsSQL = `
FROM (SELECT id, epoch, snapshot FROM tick ORDER BY id DESC LIMIT 1) last JOIN epoch e ON e.epoch = last.epoch, pg_control_system() c
WHERE e.system_identifier = c.system_identifier AND pg_snapshot_xmax(last.snapshot) <= pg_snapshot_xmax(pg_current_snapshot())`

var epochFits = pg.SQL(`SELECT EXISTS (SELECT ` + EpochFitsSQL + `)`)

var listEpochs = pg.SQL(`
SELECT s.epoch, s.system_identifier, s.first_tick, t.seq_before + 1 AS first_seq, s.began_at,
       EXISTS (SELECT ` + EpochFitsSQL + ` AND e.epoch = s.epoch) AS fits
FROM epoch s JOIN tick t ON t.id = s.first_tick ORDER BY s.epoch`)

// SeenBySQL is a condition in SQL: the tick with this epoch and snapshot has seen event e. It has seen all earlier
// epochs, and of its own the transactions that had ended.
func SeenBySQL(epoch, snapshot string) string {
	return `(e.epoch < ` + epoch + ` OR e.epoch = ` + epoch + ` AND pg_visible_in_snapshot(e.tx, ` + snapshot + `))`
}

// CheckEpoch returns ErrRestored when the log needs a new epoch.
func CheckEpoch(ctx context.Context, db *store.DB) error {
	fits, err := pg.One[bool](ctx, db, "checking the log's epoch", epochFits)
	if err == nil && !fits {
		err = ErrRestored
	}
	return err
}

// Epochs lists the log's epochs, the oldest first.
func Epochs(ctx context.Context, db *store.DB) ([]Epoch, error) {
	return pg.List[Epoch](ctx, db, "listing the log's epochs", listEpochs)
}
