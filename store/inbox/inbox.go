package inbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// rotationLock is the key of the advisory lock between claims and rotation. claim_new (migration 0036) has it too, and
// a test holds the two together: processes of the version before take this key as well, so neither can change alone.
const rotationLock = 7_316_001

// GenerationLife is how long a generation is written to, and how long it is kept at least after that: a redelivered
// event is recognised within it.
const GenerationLife = 7 * 24 * time.Hour

var consumerID = pg.SQL(`SELECT id FROM consumer WHERE name = $1`)

// Only a missing name is inserted: a conflicting insert draws an id too, and 32767 starts of workers would exhaust
// them.
var registerConsumer = pg.SQL(`
INSERT INTO consumer (name) SELECT $1 WHERE NOT EXISTS (SELECT FROM consumer WHERE name = $1)
ON CONFLICT DO NOTHING`)

var subscribe = pg.SQL(`
INSERT INTO subscription (consumer, type, from_tick)
SELECT $1, t, (SELECT max(id) FROM tick) FROM unnest($2::text[]) t
ON CONFLICT DO NOTHING`)

var unsubscribe = pg.SQL(`DELETE FROM subscription WHERE consumer = $1 AND NOT type = ANY ($2::text[])`)

// ConsumerID identifies a consumer in the inbox.
type ConsumerID int16

// Subscribe registers a consumer and the event types it handles, new types from now on. Pending deliveries and audit
// read the subscriptions.
func Subscribe(ctx context.Context, db *store.DB, name string, types []string) (ConsumerID, error) {
	var id ConsumerID
	err := db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, registerConsumer, name); err != nil {
			return err
		}
		if err := pg.Get(ctx, tx, &id, consumerID, name); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, unsubscribe, id, pq.StringArray(types)); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, tx, subscribe, id, pq.StringArray(types))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("subscribing %s: %w", name, err)
	}
	return id, nil
}

var lockRotationShared = pg.SQL(`SELECT pg_advisory_xact_lock_shared($1)::text`)

// The older generations are an array, and the subquery is kept apart by OFFSET 0, so that each lookup is by primary key
// whatever the planner estimates. (As a join it read all of the consumer's rows for each batch while the tables had no
// statistics.)
var claimEvents = pg.SQL(`
INSERT INTO inbox (generation, consumer, event_id)
SELECT (SELECT max(generation) FROM inbox_generation), $1, m.event_id
FROM unnest($2::uuid[]) AS m(event_id)
WHERE NOT EXISTS (
    SELECT FROM inbox i
    WHERE i.generation = ANY (ARRAY(SELECT generation FROM inbox_generation WHERE generation < (SELECT max(generation) FROM inbox_generation)))
      AND i.consumer = $1 AND i.event_id = m.event_id OFFSET 0)
ORDER BY m.event_id
ON CONFLICT DO NOTHING
RETURNING event_id`)

// Claim enters events into the consumer's inbox and returns the new ones: this transaction, and no other, handles
// them. An event given twice is claimed once: the caller handles one copy.
func Claim(ctx context.Context, tx store.Tx, consumer ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	if err := pg.Write(ctx, tx, "locking the inbox against rotation", lockRotationShared, rotationLock); err != nil {
		return nil, err
	}
	claimed := make(map[uuid.UUID]bool, len(ids))
	err := pg.Each(ctx, tx, fmt.Sprintf("claiming %d events", len(ids)), claimEvents, func(row *sql.Rows) error {
		var id uuid.UUID
		err := row.Scan(&id)
		claimed[id] = true
		return err
	}, int(consumer), pg.UUIDs(ids))
	return claimed, claimFault(err)
}

// ErrNewGeneration says that the session has not learnt yet of the partition of a generation that was just opened: it
// was seen once in thousands of rotations. Nothing is claimed, and the next transaction knows it.
var ErrNewGeneration = fmt.Errorf("the inbox was rotated just now: %w", store.ErrRetryable)

// checkViolation is said of a row without a partition too, without the name of a constraint then.
const checkViolation = "23514"

func claimFault(err error) error {
	var refused *pq.Error
	if errors.As(err, &refused) && refused.Code == checkViolation && refused.Constraint == "" {
		return fmt.Errorf("%w: %w", ErrNewGeneration, err)
	}
	return err
}

// What refuses a claim: an event was claimed before; aggregates of the consumer are held (package parking).
var (
	ErrClaimed = errors.New("an event was claimed before")
	ErrHeld    = errors.New("an aggregate is held")
)

// One round trip locks and claims (migration 0036). Without ON CONFLICT a row costs the database a fifth less time and
// WAL, and without RETURNING nothing is sent back.
var claimNew = pg.SQL(`SELECT claim_new($1, $2)`)

// The same, unless an aggregate of the consumer is held. To ask which ones are would be a round trip for each batch,
// and seldom is one.
var claimNewUnheld = pg.SQL(`
SELECT CASE WHEN EXISTS (SELECT FROM held_aggregate WHERE consumer = (SELECT name FROM consumer WHERE id = $1)) THEN -1 ELSE claim_new($1, $2) END`)

const uniqueViolation = "23505"

// ClaimNew is Claim of events that are all expected to be new, each given once. ErrClaimed when one is not: the
// transaction can only be rolled back, and Claim tells in another which ones are new.
func ClaimNew(ctx context.Context, tx store.Tx, consumer ConsumerID, ids []uuid.UUID) error {
	return claimAllNew(ctx, tx, claimNew, consumer, ids)
}

// ClaimNewUnheld is ClaimNew for a consumer whose events may have to wait for others: with ErrHeld nothing is claimed.
func ClaimNewUnheld(ctx context.Context, tx store.Tx, consumer ConsumerID, ids []uuid.UUID) error {
	return claimAllNew(ctx, tx, claimNewUnheld, consumer, ids)
}

func claimAllNew(ctx context.Context, tx store.Tx, claim pg.Statement, consumer ConsumerID, ids []uuid.UUID) error {
	var n int
	err := pg.Get(ctx, tx, &n, claim, int(consumer), pg.UUIDs(ids))
	var refused *pq.Error
	switch {
	case err == nil && n < 0:
		return ErrHeld
	case errors.As(err, &refused) && refused.Code == uniqueViolation, err == nil && n < len(ids):
		return ErrClaimed
	case err != nil:
		return fmt.Errorf("claiming %d new events: %w", len(ids), claimFault(err))
	}
	return nil
}

var isHandled = pg.SQL(`SELECT EXISTS (
    SELECT FROM inbox i WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = $1 AND i.event_id = $2)`)

// Handled reports whether the consumer's inbox has the event. It claims nothing: a "no" may be outdated when it is
// read.
func Handled(ctx context.Context, db *store.DB, consumer ConsumerID, id uuid.UUID) (bool, error) {
	return pg.One[bool](ctx, db, fmt.Sprintf("reading the inbox for %s", id), isHandled, consumer, id)
}

// By primary key, as in a claim.
var areHandled = pg.SQL(`SELECT DISTINCT m.event_id FROM unnest($2::uuid[]) AS m(event_id)
WHERE EXISTS (SELECT FROM inbox i WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = $1 AND i.event_id = m.event_id OFFSET 0)`)

// HandledAmong is Handled for several events at once.
func HandledAmong(ctx context.Context, db *store.DB, consumer ConsumerID, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	return pg.Set[uuid.UUID](ctx, db, fmt.Sprintf("reading the inbox for %d events", len(ids)), areHandled, consumer, pg.UUIDs(ids))
}

var newestGeneration = pg.SQL(`SELECT generation, opened_at < clock_timestamp() - make_interval(secs => $1) AS old
FROM inbox_generation ORDER BY generation DESC LIMIT 1`)

var openGeneration = pg.SQL(`INSERT INTO inbox_generation (generation) VALUES ($1) ON CONFLICT DO NOTHING`)

// While rotation waits for open claims, new claims wait for it: so not for long.
var setRotationTimeout = pg.SQL(`SELECT set_config('lock_timeout', $1, true)`)

const rotationLockTimeout = time.Second

var lockRotation = pg.SQL(`SELECT pg_advisory_xact_lock($1)::text`)

// Rotate opens a new generation when the newest is older than age, and reports whether it did. It waits at most a
// second for open claims (ErrRetryable then); claims begun meanwhile wait for it. Several processes may call it at
// once: one opens the generation.
func Rotate(ctx context.Context, db *store.DB, age time.Duration) (bool, error) {
	var newest struct {
		Generation int  `db:"generation"`
		Old        bool `db:"old"`
	}
	if err := pg.Get(ctx, db, &newest, newestGeneration, age.Seconds()); err != nil {
		return false, fmt.Errorf("reading the inbox's generation: %w", err)
	}
	if !newest.Old {
		return false, nil
	}
	next := newest.Generation + 1
	// The partition is made first, without the lock: ATTACH does not wait for writers.
	if err := createGeneration(ctx, db, next); err != nil {
		return false, fmt.Errorf("making generation %d of the inbox: %w", next, err)
	}
	failpoint.Hit("generation.made")
	var opened int64
	err := db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, setRotationTimeout, fmt.Sprint(rotationLockTimeout.Milliseconds())); err != nil {
			return err
		}
		if _, err := pg.Exec(ctx, tx, lockRotation, rotationLock); err != nil {
			return err
		}
		var err error
		opened, err = pg.Exec(ctx, tx, openGeneration, next)
		failpoint.Hit("generation.opened")
		return err
	})
	if err != nil {
		return false, fmt.Errorf("rotating the inbox: %w", err)
	}
	failpoint.Hit("generation.committed")
	return opened > 0, nil
}

func createGeneration(ctx context.Context, db *store.DB, next int) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		name := fmt.Sprintf("inbox_%d", next)
		if missing, err := eventlog.LockUnlessExists(ctx, tx, name); err != nil || !missing {
			return err
		}
		_, err := pg.Exec(ctx, tx, makePartition, next)
		return err
	})
}

// makePartition and dropPartition run as the inbox's owner, also for another role.
var (
	makePartition = pg.SQL(`SELECT make_inbox_partition($1)::text`)
	dropPartition = pg.SQL(`SELECT drop_inbox_partition($1)::text`)
)

// ConsumerByName returns the consumer of a name; ErrNotFound when it never subscribed.
func ConsumerByName(ctx context.Context, db *store.DB, name string) (ConsumerID, error) {
	return pg.One[ConsumerID](ctx, db, fmt.Sprintf("reading consumer %s", name), consumerID, name)
}
