package extension_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/extension"
	"github.com/composerp/composerp/store/storetest"
)

var files = fstest.MapFS{
	"0001_points.sql": {Data: []byte("-- +goose Up\nCREATE TABLE points (customer text PRIMARY KEY, n bigint NOT NULL);\nSET search_path = pg_temp;\n")},
}

// Each is refused before the database sees it, however it is dressed.
func TestWhatMayNotRunIsRefused(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	for _, q := range []string{
		"COMMIT", "  rollback", "BEGIN", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s", "END", "ABORT", "START TRANSACTION", "PREPARE TRANSACTION 'x'",
		"-- a remark\nCOMMIT", "/* a /* nested */ one */ COMMIT", "/**/ROLLBACK", ";COMMIT", "(COMMIT)",
		"SET search_path = x", "SET LOCAL search_path = x", "RESET ALL", "DISCARD ALL", "LISTEN x", "UNLISTEN *", "NOTIFY x", "COPY t FROM STDIN", "COPY t TO PROGRAM 'x'",
		"DO $$ BEGIN COMMIT; END $$", "CALL p()", "PREPARE x AS SELECT 1", "EXECUTE x", "DEALLOCATE ALL", "EXPLAIN ANALYZE SELECT 1", "LOCK TABLE t", "TRUNCATE t", "VACUUM",
		"CREATE TABLE x (n int)", "DROP TABLE event_log", "ALTER TABLE t ADD n int", "GRANT ALL ON t TO x", "DECLARE c CURSOR FOR SELECT 1", "SET CONSTRAINTS ALL DEFERRED",
		"SELECT 1; COMMIT", "SELECT 1;SELECT 2", "SELECT 'a'';b'; COMMIT", `SELECT E'\''; COMMIT; --'`, "SELECT $a$ $$ $a$; COMMIT", "SELECT 1 --\n;COMMIT", "SELECT 1 /* ; */ ; COMMIT",
		"SELECT set_config('search_path', 'x', false)", `SELECT "set_config"('search_path', 'x', false)`, `SELECT pg_catalog . SET_CONFIG('a', 'b', false)`, "WITH a AS (SELECT pg_notify('x', 'y')) SELECT * FROM a",
		`SELECT U&"set\005fconfig"('a', 'b', false)`, "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock_all()", "SELECT pg_terminate_backend(1)", "SELECT pg_sleep(9)",
		"SELECT 1 INTO t", "WITH a AS (SELECT 1) SELECT * INTO t FROM a", "SELECT 'never ends", "SELECT /* never ends", "SELECT $x$ never ends", "", " -- nothing", ";",
	} {
		err := db.InTx(t.Context(), func(tx store.Tx) error {
			_, err := extension.Exec(t.Context(), tx, q)
			return err
		})
		if !errors.Is(err, extension.ErrRefused) {
			t.Errorf("%q: %v", q, err)
		}
		var rows []int
		if err := db.InTx(t.Context(), func(tx store.Tx) error { return extension.Select(t.Context(), tx, &rows, q) }); !errors.Is(err, extension.ErrRefused) {
			t.Errorf("Select %q: %v", q, err)
		}
	}
}

// A module's own rows commit and roll back with the handler's transaction.
func TestStatementsRunInTheHandlersTransaction(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	var run []func(context.Context) error
	applied := make([]int, 3)
	for i := range applied {
		run = append(run, func(ctx context.Context) (err error) {
			applied[i], err = extension.Migrate(ctx, db, "loyalty", files)
			return err
		})
	}
	storetest.Concurrently(t, run...)
	if applied[0]+applied[1]+applied[2] != 1 {
		t.Errorf("the file was applied %v times", applied)
	}
	add := func(fail error) error {
		return db.InTx(t.Context(), func(tx store.Tx) error {
			n, err := extension.Exec(t.Context(), tx, `
				-- points of a customer; the text and the name are no statements
				INSERT INTO loyalty.points AS p (customer, n) SELECT $1, length('a;COMMIT') /* 8 */
				ON CONFLICT (customer) DO UPDATE SET n = p.n + excluded.n;`, "ada")
			if err != nil || n != 1 {
				t.Errorf("adding gave %d, %v", n, err)
			}
			return fail
		})
	}
	storetest.Must(t, add(nil))
	no := errors.New("no")
	storetest.IsError(t, add(no), no)
	storetest.Must(t, add(nil))
	storetest.Must(t, db.InTx(t.Context(), func(tx store.Tx) error {
		var rows []struct {
			Customer string `db:"customer"`
			N        int64  `db:"n"`
		}
		if err := extension.Select(t.Context(), tx, &rows, `WITH "commit" AS (SELECT customer, n FROM loyalty.points) SELECT * FROM "commit"`); err != nil {
			return err
		}
		if len(rows) != 1 || rows[0].Customer != "ada" || rows[0].N != 16 {
			t.Errorf("the rows are %+v", rows)
		}
		var n int64
		storetest.IsError(t, extension.Get(t.Context(), tx, &n, `SELECT n FROM loyalty.points WHERE customer = $1`, "bob"), store.ErrNotFound)
		// The migration changed its own session's search_path, and the fleet's connections have theirs.
		var path string
		if err := extension.Get(t.Context(), tx, &path, `SELECT current_setting('search_path')`); err != nil {
			return err
		}
		if path != `"$user", public` {
			t.Errorf("search_path is %s", path)
		}
		return nil
	}))
	// Its list of migrations is its own: the fleet's schema is as it was.
	storetest.Must(t, store.CheckSchema(t.Context(), db))
	again, err := extension.Migrate(t.Context(), db, "loyalty", files)
	if err != nil || again != 0 {
		t.Errorf("once more: %d, %v", again, err)
	}
}

func TestASchemasNameIsChecked(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	for _, name := range []string{"", "public", "pg_x", "information_schema", "Loyalty", "a b", "x; DROP SCHEMA public", "1a"} {
		if _, err := extension.Migrate(t.Context(), db, name, files); err == nil {
			t.Errorf("the schema %q is accepted", name)
		}
	}
}

// The schemas of a program's modules are migrated together, and only once.
func TestRegisteredSchemasAreMigrated(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	extension.Register("stamps", files)
	for _, want := range []int{1, 0} {
		if n, err := extension.MigrateRegistered(t.Context(), db); err != nil || n != want {
			t.Errorf("%d files were applied, want %d: %v", n, want, err)
		}
	}
	storetest.Must(t, db.InTx(t.Context(), func(tx store.Tx) error {
		_, err := extension.Exec(t.Context(), tx, `INSERT INTO stamps.points (customer, n) VALUES ('ada', 1)`)
		return err
	}))
	defer func() {
		if recover() == nil {
			t.Error("a schema was registered twice")
		}
	}()
	extension.Register("stamps", files)
}
