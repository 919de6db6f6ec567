package failures

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # The failure log
//
// Every failed attempt of a message is a row of failure, written in a transaction of its own before the message is
// retried or dead-lettered; that transaction also decides whether its class is quarantined (quarantine.go). The
// harness's failure policy gives the order of the steps and what a crash leaves.
//
// The log is bounded: a row lives for FailureLife, and beyond MostFailures the oldest go earlier. The ticker's
// housekeeping deletes them, a few thousand at a time from the oldest on, so that no statement is long and no writer
// waits.

// FailureLife and MostFailures bound the failure log.
const (
	FailureLife  = 30 * 24 * time.Hour
	MostFailures = 1_000_000
)

// Outcome is what became of a message after a failed attempt.
type Outcome string

// The outcomes: to a retry queue; to a retry queue until its dependency is back; to the dead letters with its
// quarantined class; to the dead letters by itself.
const (
	OutcomeRetried     Outcome = "retried"
	OutcomeDeferred    Outcome = "deferred"
	OutcomeQuarantined Outcome = "quarantined"
	OutcomeDead        Outcome = "dead"
)

// Failure is a failed attempt. Try is the same when the same attempt is recorded again. Counts means that it counts
// for its class: rejections and server faults do not. Dependency is the dependency at fault, if any.
type Failure struct {
	Try        uuid.UUID
	Consumer   string
	EventID    uuid.NullUUID
	MessageID  string
	Type       string
	Version    string // of the event's schema
	Attempt    int    // the number of the attempt, from 1
	Error      string
	Dependency string
	Outcome    Outcome
	Counts     bool
}

// maxFailureText bounds the stored error, in bytes.
const maxFailureText = 4000

// firstLine is the part of an error for a list: the rest may be a stack.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

var recordFailure = pg.SQL(`
INSERT INTO failure (try_id, consumer, event_id, message_id, type, version, attempt, error, fingerprint, class, dependency, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (try_id) DO UPDATE SET error = excluded.error, fingerprint = excluded.fingerprint, class = excluded.class,
    dependency = excluded.dependency, outcome = excluded.outcome, failed_at = clock_timestamp()`)

// RecordFailure records a failed attempt, and returns the class it is quarantined with, "" when it is not. By a policy
// that quarantines, the failure that fills its class opens the quarantine and is the first to go into it.
func RecordFailure(ctx context.Context, db *store.DB, f Failure, p QuarantinePolicy) (class string, err error) {
	f.Consumer, f.Type, f.Version = storable(f.Consumer), storable(f.Type), storable(f.Version)
	f.Error = shortened(storable(f.Error), maxFailureText)
	fingerprint, counted := Fingerprint(f.Error), ""
	if f.Counts && f.EventID.Valid && p.quarantines() {
		counted = classOf(f.Consumer, f.Type, f.Version, fingerprint)
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		held, err := quarantined(ctx, tx, f, counted, fingerprint, p)
		if err != nil {
			return err
		}
		if class = ""; held {
			class, f.Outcome = counted, OutcomeQuarantined
		}
		_, err = pg.Exec(ctx, tx, recordFailure, f.Try, f.Consumer, f.EventID, storable(f.MessageID), f.Type, f.Version, f.Attempt,
			f.Error, fingerprint, counted, storable(f.Dependency), string(f.Outcome))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("recording the failure of message %s: %w", f.MessageID, err)
	}
	return class, nil
}

// The oldest rows past their life. They are no longer written to, so no writer waits.
var thinFailures = pg.SQL(`
WITH oldest AS (SELECT id, failed_at FROM failure ORDER BY id LIMIT $1)
DELETE FROM failure f USING oldest o
WHERE f.id = o.id AND (o.failed_at < clock_timestamp() - make_interval(secs => $2) OR f.id <= (SELECT max(id) FROM failure) - $3::bigint)`)

var thinQuarantine = pg.SQL(`DELETE FROM quarantine WHERE released_at < clock_timestamp() - make_interval(secs => $1)`)

// Dependencies that were not called for a day: the orders were cancelled, or the address has changed.
var thinDependencies = pg.SQL(`DELETE FROM dependency WHERE opens_at < clock_timestamp() - interval '1 day'`)

// failureBatch is how many failures are deleted at once.
const failureBatch = 5000

// ThinFailures deletes failures older than life and those beyond the newest most, and dependencies unused for a day.
func ThinFailures(ctx context.Context, db *store.DB, life time.Duration, most int64) error {
	for gone := int64(failureBatch); gone == failureBatch; {
		err := db.InTx(ctx, func(tx store.Tx) (err error) {
			gone, err = pg.Exec(ctx, tx, thinFailures, failureBatch, life.Seconds(), most)
			return err
		})
		if err != nil {
			return fmt.Errorf("thinning out failures: %w", err)
		}
	}
	err := db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, thinQuarantine, life.Seconds()); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, tx, thinDependencies)
		return err
	})
	if err != nil {
		return fmt.Errorf("thinning out quarantines and dependencies: %w", err)
	}
	return nil
}
