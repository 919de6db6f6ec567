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

// # The journal of failures
//
// Every try of a message that failed is a row of failure, written in a
// transaction of its own before the message is sent on, which is where it is
// decided whether its class is quarantined (quarantine.go). The harness's
// judge.go says in what order, and what a crash leaves.
//
// The journal is bounded: a row lives for FailureLife, and of more than
// MostFailures the oldest go earlier. The ticker's housekeeping takes them away,
// a few thousand at a time from the oldest on, so that no statement of it is long
// and none waits for those who write.

// FailureLife and MostFailures bound the journal of failures.
const (
	FailureLife  = 30 * 24 * time.Hour
	MostFailures = 1_000_000
)

// Outcome is what became of a message whose try failed.
type Outcome string

// The outcomes: back by way of its ladder; back once its dependency is there
// again; among the dead with its whole class; among the dead by itself.
const (
	OutcomeRetried     Outcome = "retried"
	OutcomeDeferred    Outcome = "deferred"
	OutcomeQuarantined Outcome = "quarantined"
	OutcomeDead        Outcome = "dead"
)

// Failure is a try that failed. Try is the same for the same try, written down
// again. Counts tells whether it counts for its class: what no retry can help,
// and what was a server's fault, does not. Dependency is whose fault it was, if anybody's.
type Failure struct {
	Try        uuid.UUID
	Consumer   string
	EventID    uuid.NullUUID
	MessageID  string
	Type       string
	Version    string // of the event's schema
	Attempt    int    // which try it was, from 1
	Error      string
	Dependency string
	Outcome    Outcome
	Counts     bool
}

// maxFailureText bounds what is kept of an error, in bytes.
const maxFailureText = 4000

// firstLine is what of an error says it in a list: what follows may be a stack.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

var recordFailure = pg.SQL(`
INSERT INTO failure (try_id, consumer, event_id, message_id, type, version, attempt, error, fingerprint, class, dependency, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (try_id) DO UPDATE SET error = excluded.error, fingerprint = excluded.fingerprint, class = excluded.class,
    dependency = excluded.dependency, outcome = excluded.outcome, failed_at = clock_timestamp()`)

// RecordFailure writes a failed try down, and gives the class it is quarantined
// with, "" when it is not. By a policy that quarantines, the failure that fills
// its class opens the quarantine and is the first to go into it.
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
		return "", fmt.Errorf("writing down that message %s failed: %w", f.MessageID, err)
	}
	return class, nil
}

// Those of the oldest that have had their time. Nobody writes to rows so old: nobody is waited for.
var thinFailures = pg.SQL(`
WITH oldest AS (SELECT id, failed_at FROM failure ORDER BY id LIMIT $1)
DELETE FROM failure f USING oldest o
WHERE f.id = o.id AND (o.failed_at < clock_timestamp() - make_interval(secs => $2) OR f.id <= (SELECT max(id) FROM failure) - $3::bigint)`)

var thinQuarantine = pg.SQL(`DELETE FROM quarantine WHERE released_at < clock_timestamp() - make_interval(secs => $1)`)

// Nobody has had anything to ask of it for a day: its orders were cancelled, or its address is another by now.
var thinDependencies = pg.SQL(`DELETE FROM dependency WHERE opens_at < clock_timestamp() - interval '1 day'`)

// failureBite is how many failures are taken away at once.
const failureBite = 5000

// ThinFailures takes away what is older than life, of failures also what is
// beyond the newest so many, and dependencies nobody has asked for in a day.
func ThinFailures(ctx context.Context, db *store.DB, life time.Duration, most int64) error {
	for gone := int64(failureBite); gone == failureBite; {
		err := db.InTx(ctx, func(tx store.Tx) (err error) {
			gone, err = pg.Exec(ctx, tx, thinFailures, failureBite, life.Seconds(), most)
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
		return fmt.Errorf("thinning out what was quarantined and away: %w", err)
	}
	return nil
}
