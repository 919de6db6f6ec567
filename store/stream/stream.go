package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
	"github.com/composerp/composerp/store/operatorlog"
)

// Consumer is the name of the feeders' lease, and of their cursor.
const Consumer = "stream"

var (
	// ErrOff means that the stream is off.
	ErrOff = errors.New("the stream is off; `composerp stream enable` switches it on")
	// ErrOn means that the stream is on with another retention.
	ErrOn = errors.New("the stream is on with another retention; a queue's arguments cannot be changed: `composerp stream disable --delete` first")
)

// Setting is how an operator wants the stream. The zero value is a stream that was never on.
type Setting struct {
	On            bool      `db:"enabled" json:"on"`
	MaxAgeSeconds int64     `db:"max_age_seconds" json:"maxAgeSeconds"`
	SegmentBytes  int64     `db:"segment_bytes" json:"segmentBytes"`
	MaxBytes      int64     `db:"max_bytes" json:"maxBytes"`
	UpdatedAt     time.Time `db:"updated_at" json:"-"`
	UpdatedBy     string    `db:"updated_by" json:"updatedBy,omitempty"`
	Reason        string    `db:"reason" json:"reason,omitempty"`
}

// SettingOf is a stream that is on, with a retention.
func SettingOf(r topology.Retention) Setting {
	return Setting{On: true, MaxAgeSeconds: int64(r.MaxAge / time.Second), SegmentBytes: r.SegmentBytes, MaxBytes: r.MaxBytes}
}

// Retention is how much the stream keeps.
func (s Setting) Retention() topology.Retention {
	return topology.Retention{MaxAge: time.Duration(s.MaxAgeSeconds) * time.Second, SegmentBytes: s.SegmentBytes, MaxBytes: s.MaxBytes}
}

// AddTo is a topology with the stream, where it is on.
func (s Setting) AddTo(t topology.Topology) topology.Topology {
	if !s.On {
		return t
	}
	return t.WithStream(s.Retention())
}

const settingColumns = `enabled, max_age_seconds, segment_bytes, max_bytes, updated_at, updated_by, reason`

var readSetting = pg.SQL(`SELECT ` + settingColumns + ` FROM stream`)

// Read reads the setting.
func Read(ctx context.Context, db *store.DB) (Setting, error) {
	rows, err := pg.List[Setting](ctx, db, "reading the setting of the stream", readSetting)
	if len(rows) == 0 {
		return Setting{}, err
	}
	return rows[0], err
}

// The first statement waits for another enabling or disabling, and the row is there then.
var (
	ensureSetting = pg.SQL(`
INSERT INTO stream (name, enabled, max_age_seconds, segment_bytes, max_bytes, updated_by, reason)
VALUES ('composerp.stream', false, $1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING`)
	lockSetting  = pg.SQL(`SELECT ` + settingColumns + ` FROM stream FOR UPDATE`)
	writeSetting = pg.SQL(`
UPDATE stream SET enabled = $1, max_age_seconds = $2, segment_bytes = $3, max_bytes = $4, updated_at = clock_timestamp(), updated_by = $5, reason = $6`)
	placeCursor = pg.SQL(`
INSERT INTO log_cursor (consumer, tick, upto, seq, term)
SELECT $1, at, at, 0, 0 FROM (SELECT CASE WHEN $2::boolean THEN 0 ELSE (SELECT max(id) FROM tick) END AS at) AS beginning`)
	removeCursor = pg.SQL(`DELETE FROM log_cursor WHERE consumer = $1`)
)

// Enable has the log copied from its beginning, or from now on. It reports false where the stream is on already, with
// the same retention; with another it is ErrOn.
func Enable(ctx context.Context, db *store.DB, by operatorlog.By, r topology.Retention, fromBeginning bool) (changed bool, err error) {
	want := SettingOf(r)
	err = db.InTx(ctx, func(tx store.Tx) error {
		changed = false
		if _, err := pg.Exec(ctx, tx, ensureSetting, want.MaxAgeSeconds, want.SegmentBytes, want.MaxBytes, by.Operator, by.Reason); err != nil {
			return err
		}
		var before Setting
		if err := pg.Get(ctx, tx, &before, lockSetting); err != nil {
			return err
		}
		if before.On && before.Retention() != r {
			return ErrOn
		}
		if before.On {
			return nil
		}
		if err := write(ctx, tx, by, want); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, removeCursor, Consumer); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, placeCursor, Consumer, fromBeginning); err != nil {
			return err
		}
		changed = true
		return operatorlog.Note(ctx, tx, by, "stream enable", topology.Stream, before, struct {
			Setting
			FromBeginning bool `json:"fromBeginning"`
		}{want, fromBeginning})
	})
	if err != nil {
		return false, fmt.Errorf("enabling the stream: %w", err)
	}
	return changed, nil
}

// Disable ends the copying. It reports whether the stream was on.
func Disable(ctx context.Context, db *store.DB, by operatorlog.By) (changed bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		changed = false
		var before Setting
		if err := pg.Get(ctx, tx, &before, lockSetting); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		}
		if !before.On {
			return nil
		}
		after := before
		after.On = false
		if err := write(ctx, tx, by, after); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, removeCursor, Consumer); err != nil {
			return err
		}
		changed = true
		return operatorlog.Note(ctx, tx, by, "stream disable", topology.Stream, before, after)
	})
	if err != nil {
		return false, fmt.Errorf("disabling the stream: %w", err)
	}
	return changed, nil
}

func write(ctx context.Context, tx store.Tx, by operatorlog.By, s Setting) error {
	_, err := pg.Exec(ctx, tx, writeSetting, s.On, s.MaxAgeSeconds, s.SegmentBytes, s.MaxBytes, by.Operator, by.Reason)
	return err
}

var (
	setBack = pg.SQL(`
UPDATE log_cursor c SET (tick, upto, seq) = (SELECT max(t.id), max(t.id), 0 FROM tick t WHERE t.id <= c.tick)
WHERE consumer = $1 AND term <= $2 AND NOT EXISTS (SELECT FROM tick t WHERE t.id = c.tick)`)
	openCursor = pg.SQL(`
UPDATE log_cursor SET term = $2 WHERE consumer = $1 AND term <= $2 RETURNING consumer, tick, upto, seq, term`)
)

// Open returns the feeder's cursor and fences every earlier term. ErrOff when there is none; ErrNotLeader when a later
// term has opened it.
func Open(ctx context.Context, db *store.DB, lease store.Lease) (eventlog.Cursor, error) {
	var c eventlog.Cursor
	err := db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, setBack, Consumer, lease.Term); err != nil {
			return err
		}
		return pg.Get(ctx, tx, &c, openCursor, Consumer, lease.Term)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrOff
	}
	if err != nil {
		return eventlog.Cursor{}, fmt.Errorf("opening the cursor of the stream: %w", err)
	}
	return c, nil
}

// State is the setting, and how far the stream has come.
type State struct {
	Setting
	Holder string `db:"holder" json:"holder"` // the process that feeds it; empty: none
	// Waiting is about how many log positions are not in the stream, as eventlog.Lag counts them; Behind is for how
	// long the oldest of them could have been. Position is the last one that is known to be in it.
	Waiting  int64         `db:"waiting" json:"waiting"`
	Behind   time.Duration `db:"-" json:"-"`
	Position int64         `db:"position" json:"position"`

	BehindSeconds float64 `db:"behind_seconds" json:"-"`
}

var readState = pg.SQL(`
SELECT coalesce(s.enabled, false) AS enabled, coalesce(s.max_age_seconds, 0) AS max_age_seconds, coalesce(s.segment_bytes, 0) AS segment_bytes,
       coalesce(s.max_bytes, 0) AS max_bytes, coalesce(s.updated_at, 'epoch') AS updated_at, coalesce(s.updated_by, '') AS updated_by,
       coalesce(s.reason, '') AS reason,
       coalesce((SELECT holder FROM lease WHERE name = $1 AND expires_at > clock_timestamp()), '') AS holder,
       CASE WHEN c.consumer IS NULL THEN 0
            ELSE greatest(0, coalesce(pg_sequence_last_value('event_log_seq'), 0) - greatest(c.seq, t.max_seq)) END AS waiting,
       coalesce(greatest(c.seq, t.max_seq), 0) AS position,
       coalesce(extract(epoch FROM clock_timestamp() - (SELECT n.made_at FROM tick n WHERE n.id > c.tick ORDER BY n.id LIMIT 1)), 0) AS behind_seconds
FROM (SELECT) AS one LEFT JOIN stream s ON true LEFT JOIN log_cursor c ON c.consumer = $1 LEFT JOIN tick t ON t.id = c.tick`)

// ReadState reads the state. Its cost does not grow with the log.
func ReadState(ctx context.Context, db *store.DB) (State, error) {
	s, err := pg.OneAlone[State](ctx, db, "reading the state of the stream", readState, Consumer)
	if s.Waiting > 0 {
		s.Behind = sqlvalue.Seconds(s.BehindSeconds)
	}
	return s, err
}
