package audit

import (
	"context"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Result is what an audit came to.
type Result struct {
	EndedAt  time.Time `db:"ended_at"`
	Result   string    `db:"result"` // its verdict
	Findings int64     `db:"findings"`
}

// resultLife is how long results are kept.
const resultLife = 90 * 24 * time.Hour

var noteResult = pg.SQL(`
WITH old AS (DELETE FROM audit_run WHERE ended_at < clock_timestamp() - make_interval(secs => $3))
INSERT INTO audit_run (result, findings) VALUES ($1, $2)`)

// NoteResult keeps what an audit came to.
func NoteResult(ctx context.Context, db *store.DB, r Result) error {
	return pg.WriteAlone(ctx, db, "keeping what the audit came to", noteResult, r.Result, r.Findings, resultLife.Seconds())
}

var lastResult = pg.SQL(`SELECT ended_at, result, findings FROM audit_run ORDER BY id DESC LIMIT 1`)

// LastResult is what the newest audit came to; store.ErrNotFound before the first.
func LastResult(ctx context.Context, db *store.DB) (Result, error) {
	return pg.One[Result](ctx, db, "reading the last audit's result", lastResult)
}
