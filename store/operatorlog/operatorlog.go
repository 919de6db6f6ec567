// Package operatorlog keeps what operators and planners changed by command: who, when, what, why, before and after.
//
// Invariants:
//
//   - An entry commits with the change it tells of, or before it: before it where the change is at the broker, or is
//     made in several transactions, as imports are. The log may then have an entry of a change that a crash kept from
//     happening, never the reverse: when the entry cannot be written, nothing is changed.
//   - The topology alone is also changed without an entry: `composerp topology apply` repairs a broker while the
//     database is away or has no schema, and says that the entry is missing.
//   - Entries are never changed.
package operatorlog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Entry is one change. Before and After are written as JSON; nil where there was or is nothing.
type Entry struct {
	At       time.Time       `db:"at" json:"at"`
	Operator string          `db:"operator" json:"operator"`
	Action   string          `db:"action" json:"action"`   // "scale", "pause", "dlq redrive"
	Subject  string          `db:"subject" json:"subject"` // what was changed: a queue, a node, an order's number
	Reason   string          `db:"reason" json:"reason"`
	Before   json.RawMessage `db:"before" json:"before,omitempty"`
	After    json.RawMessage `db:"after" json:"after,omitempty"`
}

// By is who acts, and why.
type By struct{ Operator, Reason string }

var note = pg.SQL(`
INSERT INTO operator_log (operator, action, subject, reason, before, after) VALUES ($1, $2, $3, $4, $5::jsonb, $6::jsonb)`)

// Note records a change in the transaction that makes it. before and after are anything that JSON can say, nil for
// none.
func Note(ctx context.Context, tx store.Tx, by By, action, subject string, before, after any) error {
	was, err := jsonOf(before)
	if err != nil {
		return err
	}
	is, err := jsonOf(after)
	if err != nil {
		return err
	}
	return pg.Write(ctx, tx, "recording "+action+" in the operator log", note, by.Operator, action, subject, by.Reason, was, is)
}

// NoteAlone is Note in a transaction of its own, for a change that is made after it.
func NoteAlone(ctx context.Context, db *store.DB, by By, action, subject string, before, after any) error {
	return db.InTx(ctx, func(tx store.Tx) error { return Note(ctx, tx, by, action, subject, before, after) })
}

func jsonOf(value any) (any, error) {
	if value == nil {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding %v for the operator log: %w", value, err)
	}
	return string(text), nil
}

// Query chooses entries; a zero field does not matter.
type Query struct {
	Operator, Action string // Action also finds those that begin with it and a blank: "dlq"
	Since            time.Time
	Limit            int
}

var list = pg.SQL(`
SELECT at, operator, action, subject, reason, coalesce(before, 'null') AS before, coalesce(after, 'null') AS after FROM operator_log
WHERE ($1 = '' OR operator = $1) AND ($2 = '' OR action = $2 OR starts_with(action, $2 || ' ')) AND at >= $3
ORDER BY id DESC LIMIT NULLIF($4::int, 0)`)

// List reads entries, the newest first.
func List(ctx context.Context, db *store.DB, q Query) ([]Entry, error) {
	entries, err := pg.List[Entry](ctx, db, "reading the operator log", list, q.Operator, q.Action, q.Since, q.Limit)
	for i := range entries {
		entries[i].Before, entries[i].After = present(entries[i].Before), present(entries[i].After)
	}
	return entries, err
}

func present(text json.RawMessage) json.RawMessage {
	if string(text) == "null" {
		return nil
	}
	return text
}
