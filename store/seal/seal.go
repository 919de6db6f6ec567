package seal

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// most bounds the events of a range.
const most = 4096

// Head is the newest seal; its zero value is the chain's beginning.
type Head struct {
	ID      int64 `db:"id" json:"seal"`
	LastSeq int64 `db:"last_seq" json:"lastSeq"` // the log is sealed up to this position
	Hash    Hash  `db:"hash" json:"hash"`
}

// The newest seal, and the floor: a transaction that may still write has an id of at least xmin, and a tick with an
// older id has read the sequence before any of those drew a number (store/eventlog, tick.go). In a restored database
// without its new epoch ids mean nothing, and nothing is sealed.
var newest = pg.SQL(`
SELECT s.id, s.last_seq, s.hash,
       coalesce((SELECT t.seq_before FROM tick t
                 WHERE t.epoch = (SELECT max(epoch) FROM epoch) AND t.tx < pg_snapshot_xmin(pg_current_snapshot()) AND EXISTS (SELECT ` + eventlog.EpochFitsSQL + `)
                 ORDER BY t.id DESC LIMIT 1), 0) AS floor
FROM (SELECT id, last_seq, hash FROM log_seal
      UNION ALL SELECT 0, 0, decode(repeat('00', 32), 'hex') ORDER BY id DESC LIMIT 1) s`)

var entries = pg.SQL(`SELECT ` + entryColumns + ` FROM event_log e WHERE e.seq > $1 AND e.seq <= $2 ORDER BY e.seq LIMIT $3`)

var insert = pg.SQL(`INSERT INTO log_seal (id, first_seq, last_seq, events, digests, hash) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`)

// Seal seals all of the log that is final, and returns the newest seal. Several processes may call it at once.
func Seal(ctx context.Context, db *store.DB) (Head, error) {
	for {
		head, sealed, err := sealNext(ctx, db)
		if err != nil || !sealed {
			return head, err
		}
	}
}

// sealNext seals one range, if there is an event to be sealed.
func sealNext(ctx context.Context, db *store.DB) (head Head, sealed bool, err error) {
	var found struct {
		Head
		Floor int64 `db:"floor"`
	}
	if err := pg.Get(ctx, db, &found, newest); err != nil {
		return head, false, fmt.Errorf("reading the newest seal: %w", err)
	}
	head = found.Head
	first, last, at := head.LastSeq+1, found.Floor, head.LastSeq
	l := newLink(head.Hash, head.ID+1, first)
	err = pg.Each(ctx, db, "reading what is to be sealed", entries, func(row *sql.Rows) error {
		var e entry
		if err := e.scan(row); err != nil {
			return err
		}
		at = e.seq
		l.add(at, e.digest())
		return nil
	}, head.LastSeq, last, most)
	if err != nil || l.events == 0 {
		return head, false, err
	}
	if l.events == most {
		last = at
	}
	failpoint.Hit("seal.read")
	next := Head{ID: head.ID + 1, LastSeq: last, Hash: l.end(last)}
	// Repeated, it finds its number taken.
	if _, err := pg.Repeat(ctx, db, insert, next.ID, first, last, l.events, l.digests, next.Hash[:]); err != nil {
		return head, false, fmt.Errorf("sealing the log up to %d: %w", last, err)
	}
	failpoint.Hit("seal.sealed")
	return next, true, nil
}

// State tells how far the log is sealed.
type State struct {
	Seals    int64      `db:"seals" json:"seals"`
	LastSeq  int64      `db:"last_seq" json:"lastSeq"`
	SealedAt *time.Time `db:"sealed_at" json:"sealedAt,omitempty"` // nil: nothing is sealed
	// Unsealed is how many events are newer than that, and Oldest when the first of them was logged.
	Unsealed int64      `db:"unsealed" json:"unsealed"`
	Oldest   *time.Time `db:"oldest" json:"oldest,omitempty"`
}

var state = pg.SQL(`
SELECT coalesce(s.id, 0) AS seals, coalesce(s.last_seq, 0) AS last_seq, s.sealed_at,
       (SELECT count(*) FROM event_log WHERE seq > coalesce(s.last_seq, 0)) AS unsealed,
       (SELECT logged_at FROM event_log WHERE seq > coalesce(s.last_seq, 0) ORDER BY seq LIMIT 1) AS oldest
FROM (VALUES (1)) one LEFT JOIN (SELECT id, last_seq, sealed_at FROM log_seal ORDER BY id DESC LIMIT 1) s ON true`)

// Read reads how far the log is sealed.
func Read(ctx context.Context, db *store.DB) (State, error) {
	return pg.One[State](ctx, db, "reading how far the log is sealed", state)
}
