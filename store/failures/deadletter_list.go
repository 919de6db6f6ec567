package failures

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// LetterFilter selects dead letters; empty fields select all. Only pending ones are selected, unless IncludeResolved is
// set.
type LetterFilter struct {
	Consumers       []string // whose
	Type            string
	Error           string // a part of the error, ignoring case, or its fingerprint
	Tenant          string
	NoTenant        bool // those that name no tenant, because their message could not be read
	Aggregate       string
	Quarantine      string
	Since, Until    time.Time // died at or after, and before
	IDs             []string  // of rows, events or messages
	IncludeResolved bool      // also those redriven, discarded or lost
}

// chosenLetters is a LetterFilter as a condition on dead_letter d.
const chosenLetters = `
    (cardinality($1::text[]) = 0 OR d.consumer = ANY ($1::text[])) AND ($2 = '' OR d.type = $2)
    AND ($3 = '' OR d.fingerprint = $3 OR position(lower($3) IN lower(d.error)) > 0)
    AND (cardinality($4::text[]) = 0 OR d.tenant_id = ANY ($4::text[])) AND ($5 = '' OR d.aggregate_id = $5) AND ($6 = '' OR d.quarantine = $6)
    AND d.died_at >= coalesce($7::timestamptz, '-infinity') AND d.died_at < coalesce($8::timestamptz, 'infinity')
    AND (cardinality($9::text[]) = 0 OR d.id::text = ANY ($9::text[]) OR d.event_id::text = ANY ($9::text[]) OR d.message_id = ANY ($9::text[]))
    AND ($10 OR d.lies)`

// arguments returns the statement's first ten parameters.
func (f LetterFilter) arguments(more ...any) []any {
	instant := func(t time.Time) sql.NullTime { return sql.NullTime{Time: t, Valid: !t.IsZero()} }
	list := func(texts []string) pq.StringArray { return append(pq.StringArray{}, texts...) }
	var tenants []string
	if f.Tenant != "" || f.NoTenant {
		tenants = append(tenants, f.Tenant)
	}
	return append([]any{
		list(f.Consumers), f.Type, f.Error, list(tenants), f.Aggregate, f.Quarantine, instant(f.Since), instant(f.Until), list(f.IDs), f.IncludeResolved,
	}, more...)
}

// ConsumerLetters counts one consumer's dead letters: how many are pending, since when, and how many are not.
type ConsumerLetters struct {
	Consumer  string       `db:"consumer"`
	Lying     int          `db:"lying"`
	Redriven  int          `db:"redriven"`
	Discarded int          `db:"discarded"`
	Missed    int          `db:"missed"`
	Oldest    sql.NullTime `db:"oldest"`
	Newest    sql.NullTime `db:"newest"`
}

var lettersByConsumer = pg.SQL(`
SELECT d.consumer, count(*) FILTER (WHERE d.lies) AS lying, count(d.redriven_at) AS redriven, count(d.discarded_at) AS discarded,
       count(d.missed_at) AS missed, min(d.died_at) FILTER (WHERE d.lies) AS oldest, max(d.died_at) FILTER (WHERE d.lies) AS newest
FROM dead_letter d WHERE ` + chosenLetters + ` GROUP BY d.consumer ORDER BY d.consumer`)

// LettersByConsumer counts the dead letters of a filter, of every disposition.
func LettersByConsumer(ctx context.Context, db *store.DB, of LetterFilter) ([]ConsumerLetters, error) {
	of.IncludeResolved = true
	return pg.List[ConsumerLetters](ctx, db, "counting dead letters", lettersByConsumer, of.arguments()...)
}

var oldestLetters = pg.SQL(`SELECT consumer, min(died_at) FROM dead_letter WHERE lies GROUP BY consumer`)

// OldestLetters is when the oldest pending dead letter of each consumer died that has one.
func OldestLetters(ctx context.Context, db *store.DB) (map[string]time.Time, error) {
	oldest := map[string]time.Time{}
	err := pg.Each(ctx, db, "reading the oldest dead letters", oldestLetters, func(row *sql.Rows) error {
		var consumer string
		var at time.Time
		err := row.Scan(&consumer, &at)
		oldest[consumer] = at
		return err
	})
	return oldest, err
}

// RedriveProgress is how far the letters of one consumer that went back to it since a time have come.
type RedriveProgress struct {
	Consumer string    `db:"consumer"`
	SentBack int       `db:"sent_back"` // and not among the dead letters again
	Again    int       `db:"again"`     // redriven before, and pending again
	Pending  int       `db:"pending"`   // all that are left
	Last     time.Time `db:"last"`      // when the last one went back
	// Began is when the first one of the latest redrive went back: none had gone back for RedrivePause before it.
	Began  time.Time `db:"began"`
	Latest int       `db:"latest"` // that have gone back since then
}

// RedrivePause is how long no letter goes back between two redrives.
const RedrivePause = 2 * time.Minute

// Rate is how many letters the latest redrive sends back in a second; 0 while that is not known.
func (r RedriveProgress) Rate() float64 {
	if !r.Last.After(r.Began) {
		return 0
	}
	return float64(r.Latest) / r.Last.Sub(r.Began).Seconds()
}

// Remaining is how long the letters that are left need at the rate of the latest redrive; 0 while that is not known.
func (r RedriveProgress) Remaining() time.Duration {
	rate := r.Rate()
	if rate == 0 {
		return 0
	}
	return time.Duration(float64(r.Pending) / rate * float64(time.Second))
}

// A letter begins a redrive when none went back to its consumer for a while before it.
var redriveProgress = pg.SQL(`
WITH chosen AS (
    SELECT d.consumer, d.redriven_at, d.redrives, d.lies, d.redriven_at - lag(d.redriven_at) OVER (PARTITION BY d.consumer ORDER BY d.redriven_at) AS pause
    FROM dead_letter d WHERE ` + chosenLetters + `),
latest AS (
    SELECT c.consumer, max(c.redriven_at) AS began FROM chosen c
    WHERE c.redriven_at IS NOT NULL AND (c.pause IS NULL OR c.pause > make_interval(secs => $12)) GROUP BY c.consumer)
SELECT c.consumer, count(*) FILTER (WHERE c.redriven_at >= $11) AS sent_back, count(*) FILTER (WHERE c.lies AND c.redrives > 0) AS again,
       count(*) FILTER (WHERE c.lies) AS pending, max(c.redriven_at) AS last, l.began, count(*) FILTER (WHERE c.redriven_at >= l.began) AS latest
FROM chosen c JOIN latest l ON l.consumer = c.consumer GROUP BY c.consumer, l.began HAVING max(c.redriven_at) >= $11 ORDER BY last DESC, c.consumer`)

// RedrivesSince returns the consumers to which letters of a filter went back since a time, the last redrive first.
func RedrivesSince(ctx context.Context, db *store.DB, of LetterFilter, since time.Time) ([]RedriveProgress, error) {
	of.IncludeResolved = true
	return pg.List[RedriveProgress](ctx, db, "reading how far redrives have come", redriveProgress, of.arguments(since, RedrivePause.Seconds())...)
}

// LetterGroup is dead letters of one consumer, event type and error fingerprint.
type LetterGroup struct {
	Consumer    string    `db:"consumer"`
	Type        string    `db:"type"`
	Fingerprint string    `db:"fingerprint"`
	Quarantine  string    `db:"quarantine"`
	Count       int       `db:"count"`
	Oldest      time.Time `db:"oldest"`
	Newest      time.Time `db:"newest"`
	Error       string    `db:"error"` // of the newest
	Example     uuid.UUID `db:"example"`
}

var letterGroups = pg.SQL(`
SELECT g.*, newest.error, newest.id AS example
FROM (SELECT d.consumer, d.type, d.fingerprint, d.quarantine, count(*) AS count, min(d.died_at) AS oldest, max(d.died_at) AS newest
      FROM dead_letter d WHERE ` + chosenLetters + ` GROUP BY d.consumer, d.type, d.fingerprint, d.quarantine) g
CROSS JOIN LATERAL (
    SELECT d.error, d.id FROM dead_letter d
    WHERE d.consumer = g.consumer AND d.type = g.type AND d.fingerprint = g.fingerprint AND d.quarantine = g.quarantine AND d.died_at = g.newest
      AND ($10 OR d.lies) ORDER BY d.id LIMIT 1) newest
ORDER BY g.count DESC, g.newest DESC, g.consumer, g.type, g.fingerprint, g.quarantine LIMIT $11`)

// LetterGroups groups the dead letters of a filter by consumer, event type and fingerprint, the largest group first,
// at most limit of them; 0 means all.
func LetterGroups(ctx context.Context, db *store.DB, of LetterFilter, limit int) ([]LetterGroup, error) {
	return pg.List[LetterGroup](ctx, db, "grouping dead letters", letterGroups, of.arguments(sqlvalue.AtMost(limit))...)
}

var pageOfLetters = pg.SQL(`
SELECT ` + deadLetterColumns + ` FROM dead_letter d
WHERE ` + chosenLetters + ` AND (d.died_at, d.id) > (coalesce($11::timestamptz, '-infinity'), $12::uuid)
ORDER BY d.died_at, d.id LIMIT $13`)

// letterPage is how many letters are read at once: they may be large.
const letterPage = 64

// EachDeadLetter calls do for the dead letters of a filter, the oldest first, at most limit of them; 0 means all. It
// holds one page in memory, and no transaction open.
func EachDeadLetter(ctx context.Context, db *store.DB, of LetterFilter, limit int, do func(DeadLetter) error) error {
	var from sql.NullTime
	var after uuid.UUID
	for done := 0; ; {
		size := letterPage
		if limit > 0 {
			size = min(size, limit-done)
		}
		var page []DeadLetter
		if err := pg.Select(ctx, db, &page, pageOfLetters, of.arguments(from, after, size)...); err != nil {
			return fmt.Errorf("reading dead letters: %w", err)
		}
		for _, l := range page {
			if err := do(l); err != nil {
				return err
			}
		}
		if done += len(page); len(page) < letterPage || done == limit {
			return nil
		}
		last := page[len(page)-1]
		from, after = sql.NullTime{Time: last.DiedAt, Valid: true}, last.ID
	}
}

var lettersByID = pg.SQL(`SELECT ` + deadLetterColumns + ` FROM dead_letter d WHERE d.id = ANY ($1::uuid[])`)

// DeadLettersByID returns those letters of these ids that exist.
func DeadLettersByID(ctx context.Context, db *store.DB, ids []uuid.UUID) (map[uuid.UUID]DeadLetter, error) {
	var list []DeadLetter
	if err := pg.Select(ctx, db, &list, lettersByID, pg.UUIDs(ids)); err != nil {
		return nil, fmt.Errorf("reading %d dead letters: %w", len(ids), err)
	}
	letters := make(map[uuid.UUID]DeadLetter, len(list))
	for _, l := range list {
		letters[l.ID] = l
	}
	return letters, nil
}
