package whatif

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Schemas are the tables of one run: a schema for each of its sides.
type Schemas struct {
	live  string
	db    *store.DB
	lock  *sql.Conn // its session holds the lock of all of them
	sides []side
}

// side is one schema and the database that it is by itself.
type side struct {
	name string
	db   *store.DB
}

// mark is in the name of every schema of a run, between the live schema's and the run's number.
const mark = "_whatif_"

// lockKey is the key of the lock of a run's schemas, as SQL; the name of the schema up to the run's number is in $1.
const lockKey = `hashtextextended('composerp what-if ' || $1, 0)`

// Begin drops the schemas of runs that were killed, and makes n for this one. It needs the owner of the database's
// tables, who may make schemas. Close drops them.
func Begin(ctx context.Context, db *store.DB, n int) (*Schemas, error) {
	live, err := pg.One[string](ctx, db, "reading the live schema", currentSchema)
	if err != nil {
		return nil, err
	}
	s := &Schemas{live: live, db: db}
	if err := s.sweep(ctx); err != nil {
		return nil, err
	}
	if s.lock, err = pg.Pool(db).Conn(ctx); err != nil {
		return nil, fmt.Errorf("taking the lock of a what-if: %w", pg.MapError(err))
	}
	if err := s.make(ctx, n); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

var currentSchema = pg.SQL(`SELECT current_schema()`)

func (s *Schemas) make(ctx context.Context, n int) error {
	// The number is the session's: no other that lives has it.
	var run string
	if err := s.lock.QueryRowContext(ctx, `SELECT current_schema() || '`+mark+`' || pg_backend_pid()`).Scan(&run); err != nil {
		return fmt.Errorf("naming the tables of a what-if: %w", pg.MapError(err))
	}
	if _, err := s.lock.ExecContext(ctx, `SELECT pg_advisory_lock(`+lockKey+`)`, run); err != nil {
		return fmt.Errorf("taking the lock of a what-if: %w", pg.MapError(err))
	}
	for i := range n {
		name := fmt.Sprintf("%s_%d", run, i+1)
		db, err := pg.OpenSchema(s.db, name, 2, "SET synchronous_commit = off;") // it can be thrown away
		if err != nil {
			return err
		}
		s.sides = append(s.sides, side{name, db})
		if err := s.sides[i].makeTables(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Side is the database of one schema, from 0.
func (s *Schemas) Side(i int) *store.DB { return s.sides[i].db }

// Alive is an error once the session that holds the lock has ended.
func (s *Schemas) Alive(ctx context.Context) error {
	if _, err := s.lock.ExecContext(ctx, `SELECT`); err != nil {
		return fmt.Errorf("holding the lock of a what-if: %w", pg.MapError(err))
	}
	return nil
}

// Close drops the schemas and releases their lock.
func (s *Schemas) Close() error {
	ctx := context.Background() // also after the run was interrupted
	var failed []error
	for _, one := range s.sides {
		failed = append(failed, one.db.Close(), drop(ctx, s.db, one.name))
	}
	if _, err := s.lock.ExecContext(ctx, `SELECT pg_advisory_unlock_all()`); err != nil {
		failed = append(failed, pg.MapError(err))
	}
	return errors.Join(append(failed, s.lock.Close())...)
}

func drop(ctx context.Context, db *store.DB, schema string) error {
	err := db.InTx(ctx, func(tx store.Tx) error {
		return pg.ExecText(ctx, tx, "DROP SCHEMA IF EXISTS "+pq.QuoteIdentifier(schema)+" CASCADE")
	})
	if err != nil {
		return fmt.Errorf("dropping the schema %s of a what-if: %w", schema, err)
	}
	return nil
}

// The run of a schema is its name without the number of the side.
var schemasLeft = pg.SQL(`
SELECT n.nspname FROM pg_namespace n
CROSS JOIN LATERAL (SELECT hashtextextended('composerp what-if ' || regexp_replace(n.nspname, '_\d+$', ''), 0) AS key) k
WHERE n.nspname ~ ('^' || regexp_replace(current_schema(), '\W', '\\\&', 'g') || '` + mark + `\d+_\d+$')
  AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND l.classid::bigint << 32 | l.objid::bigint = k.key)
ORDER BY n.nspname`)

// Left are the schemas of runs that were killed.
func Left(ctx context.Context, db *store.DB) ([]string, error) {
	return pg.List[string](ctx, db, "looking for tables of killed what-ifs", schemasLeft)
}

var lockFree = pg.SQL(`SELECT pg_try_advisory_xact_lock(hashtextextended('composerp what-if ' || regexp_replace($1, '_\d+$', ''), 0))`)

// sweep drops what is left of killed runs, each under its lock: a run that begins under the same number waits.
func (s *Schemas) sweep(ctx context.Context) error {
	left, err := Left(ctx, s.db)
	for _, name := range left {
		err = errors.Join(err, s.db.InTx(ctx, func(tx store.Tx) error {
			var free bool
			if err := pg.Get(ctx, tx, &free, lockFree, name); err != nil || !free {
				return err
			}
			return pg.ExecText(ctx, tx, "DROP SCHEMA IF EXISTS "+pq.QuoteIdentifier(name)+" CASCADE")
		}))
	}
	if err != nil {
		return fmt.Errorf("dropping the schemas of killed what-ifs: %w", err)
	}
	return nil
}

// makeTables makes the schema and its tables.
func (s side) makeTables(ctx context.Context) error {
	files := store.MigrationFiles()
	paths, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	slices.Sort(paths)
	err = s.db.InTx(ctx, func(tx store.Tx) error {
		if err := pg.ExecText(ctx, tx, "CREATE SCHEMA "+pq.QuoteIdentifier(s.name)); err != nil {
			return fmt.Errorf("%w (this needs the owner of the database's tables, who may make schemas)", err)
		}
		for _, path := range paths {
			text, err := fs.ReadFile(files, path)
			if err != nil {
				return err
			}
			if err := pg.ExecText(ctx, tx, upward(string(text))); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return pg.ExecText(ctx, tx, forRuns)
	})
	if err != nil {
		return fmt.Errorf("making the schema %s of a what-if: %w", s.name, err)
	}
	return nil
}

// upward is the part of a migration that goes up, for one transaction on empty tables. CONCURRENTLY would wait for
// every transaction of the database.
func upward(migration string) string {
	up, _, _ := strings.Cut(migration, "-- +goose Down")
	return strings.ReplaceAll(up, " CONCURRENTLY", "")
}

// forRuns fits the tables to a run. A run hands each event to a worker once, so that the inbox has nothing to tell;
// and nothing reads its log. A table that is not logged may only be referenced by others that are not: those first.
const forRuns = `
CREATE RULE discard AS ON INSERT TO event_log DO INSTEAD NOTHING;
CREATE OR REPLACE FUNCTION claim_new(claimant smallint, ids uuid[]) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT cardinality(ids)::bigint';
ALTER TABLE replenishment_forecast SET UNLOGGED;
ALTER TABLE on_order_booking SET UNLOGGED;
ALTER TABLE replenishment_state SET UNLOGGED;
ALTER TABLE purchase_order_line SET UNLOGGED;
ALTER TABLE movement SET UNLOGGED;
ALTER TABLE demand SET UNLOGGED;
CREATE UNLOGGED TABLE planned_receipt (event_id uuid PRIMARY KEY, quantity numeric NOT NULL)`
