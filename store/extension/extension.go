// Package extension is the door to SQL for workers of modules outside this
// repository. Inside it the packages under store/ keep the SQL.
//
// A handler's statements run in its own transaction, with the inbox row and the
// emitted events: all of it commits or nothing.
//
// Invariants:
//
//   - A text is one statement that reads or writes rows: SELECT, INSERT, UPDATE,
//     DELETE, MERGE, VALUES, TABLE, or WITH before one of these. All others are
//     refused before the database sees them, by ErrRefused: what ends or splits the
//     transaction, what changes the session (SET, LISTEN, PREPARE), COPY, DO, CALL, DDL.
//   - Functions that change the session or notify by a plain SELECT are refused by
//     name, such as set_config, pg_notify and the advisory locks of a session.
//   - A module's tables and its list of applied migrations are in a schema of its own,
//     which Migrate makes. Statements name it: loyalty.points. No search_path is
//     changed on the fleet's connections.
//
// A function that a module's own migration creates is the module's responsibility:
// its body is not examined.
package extension

import (
	"context"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Exec runs a statement and returns the number of rows. The text is a constant: each
// is prepared once and kept for the life of the process; values are arguments.
func Exec(ctx context.Context, tx store.Tx, query string, args ...any) (int64, error) {
	if err := check(query); err != nil {
		return 0, err
	}
	return pg.Exec(ctx, tx, pg.Statement(query), args...)
}

// Select reads rows into dest, a pointer to a slice; a struct's fields are matched by their db tags.
func Select(ctx context.Context, tx store.Tx, dest any, query string, args ...any) error {
	if err := check(query); err != nil {
		return err
	}
	return pg.Select(ctx, tx, dest, pg.Statement(query), args...)
}

// Get reads one row into dest; store.ErrNotFound when there is none.
func Get(ctx context.Context, tx store.Tx, dest any, query string, args ...any) error {
	if err := check(query); err != nil {
		return err
	}
	return pg.Get(ctx, tx, dest, pg.Statement(query), args...)
}
