package failures

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/parking"
)

// Disposition is why a dead letter leaves its queue.
type Disposition int

const (
	// Redriven says that it goes back to its worker.
	Redriven Disposition = iota
	// Discarded says that it was exported, and is removed.
	Discarded
)

// Letters found in their queue become pending, whatever their rows said: the caller has recorded them first.
var findLetters = pg.SQL(`
UPDATE dead_letter d SET redriven_at = NULL, discarded_at = NULL, missed_at = NULL WHERE d.id = ANY ($1::uuid[]) AND NOT d.lies`)

var knownLetters = pg.SQL(`SELECT id FROM dead_letter WHERE id = ANY ($1::uuid[])`)

var chooseLetters = pg.SQL(`SELECT d.id FROM dead_letter d WHERE d.id = ANY ($11::uuid[]) AND ` + chosenLetters)

// ChooseDeadLetters takes the letters found in a queue and returns those of a filter. Afterwards all of them are
// pending in the log; entered is how many were missing or not pending.
func ChooseDeadLetters(ctx context.Context, db *store.DB, of LetterFilter, found []DeadLetter) (chosen map[uuid.UUID]bool, entered int, err error) {
	ids := make([]uuid.UUID, len(found))
	for i, l := range found {
		ids[i] = l.ID
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		unknown, err := recordUnknown(ctx, tx, found, ids)
		if err != nil {
			return err
		}
		left, err := pg.Exec(ctx, tx, findLetters, pg.UUIDs(ids))
		if err != nil {
			return err
		}
		entered = unknown + int(left)
		chosen, err = pg.Set[uuid.UUID](ctx, tx, "reading those of the filter", chooseLetters, of.arguments(pg.UUIDs(ids))...)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("choosing among %d dead letters: %w", len(found), err)
	}
	return chosen, entered, nil
}

// recordUnknown adds the letters that the dead-letter log lacks, and returns how many.
func recordUnknown(ctx context.Context, tx store.Tx, found []DeadLetter, ids []uuid.UUID) (int, error) {
	has, err := pg.Set[uuid.UUID](ctx, tx, "reading the known ones", knownLetters, pg.UUIDs(ids))
	if err != nil {
		return 0, err
	}
	var unknown []DeadLetter
	for _, l := range found {
		if !has[l.ID] {
			has[l.ID] = true
			unknown = append(unknown, l)
		}
	}
	if len(unknown) == 0 {
		return 0, nil
	}
	return len(unknown), RecordDeadLetters(ctx, tx, unknown)
}

var markRedriven = pg.SQL(`
UPDATE dead_letter SET redriven_at = clock_timestamp(), redrives = redrives + 1 WHERE id = ANY ($1::uuid[])`)

var markDiscarded = pg.SQL(`
UPDATE dead_letter SET discarded_at = clock_timestamp() WHERE id = ANY ($1::uuid[]) RETURNING consumer, event_id`)

// MarkDeadLetters records that these letters are about to leave their queue. What is parked behind one that is
// discarded goes on without it.
func MarkDeadLetters(ctx context.Context, db *store.DB, disposition Disposition, ids []uuid.UUID) error {
	doing := fmt.Sprintf("marking %d dead letters", len(ids))
	if disposition == Redriven {
		return pg.WriteAlone(ctx, db, doing, markRedriven, pg.UUIDs(ids))
	}
	return db.InTx(ctx, func(tx store.Tx) error {
		discarded, err := pg.List[struct {
			Consumer string
			EventID  uuid.NullUUID `db:"event_id"`
		}](ctx, tx, doing, markDiscarded, pg.UUIDs(ids))
		if err != nil {
			return err
		}
		events := map[string][]uuid.UUID{}
		for _, d := range discarded {
			if d.EventID.Valid {
				events[d.Consumer] = append(events[d.Consumer], d.EventID.UUID)
			}
		}
		for _, consumer := range slices.Sorted(maps.Keys(events)) {
			if _, err := parking.Advance(ctx, tx, consumer, events[consumer]); err != nil {
				return err
			}
		}
		return nil
	})
}

// A letter reaches the log and its queue at about the same time, and the walk may have begun in between. Times are by
// this server's clock.
var oldLetters = pg.SQL(`
SELECT id FROM dead_letter WHERE lies AND consumer = $1 AND recorded_at < $2::timestamptz - make_interval(secs => $3)`)

var markLost = pg.SQL(`UPDATE dead_letter SET missed_at = clock_timestamp() WHERE lies AND id = ANY ($1::uuid[])`)

// MarkLost takes the letters that a whole walk through a consumer's dead-letter queue, begun at the given time, has
// found, and marks the other pending ones as lost: they were moved by hand, or their queue was lost. It returns how
// many. Letters that the log had for less than age before the walk are left out.
func MarkLost(ctx context.Context, db *store.DB, consumer string, began time.Time, age time.Duration, found map[uuid.UUID]bool) (missed int, err error) {
	old, err := pg.List[uuid.UUID](ctx, db, "reading those of the log", oldLetters, consumer, began, age.Seconds())
	gone := slices.DeleteFunc(old, func(id uuid.UUID) bool { return found[id] })
	if err == nil && len(gone) > 0 {
		err = db.InTx(ctx, func(tx store.Tx) error {
			n, err := pg.Exec(ctx, tx, markLost, pg.UUIDs(gone))
			missed = int(n)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("marking lost dead letters of %s: %w", consumer, err)
	}
	return missed, nil
}
