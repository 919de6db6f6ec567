package store_test

import (
	"bytes"
	"context"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/lib/pq"

	"github.com/composerp/composerp/store"
	_ "github.com/composerp/composerp/store/apikeys"
	_ "github.com/composerp/composerp/store/archive"
	_ "github.com/composerp/composerp/store/audit"
	_ "github.com/composerp/composerp/store/delays"
	_ "github.com/composerp/composerp/store/erasure"
	"github.com/composerp/composerp/store/eventlog"
	_ "github.com/composerp/composerp/store/eventquery"
	_ "github.com/composerp/composerp/store/failures"
	_ "github.com/composerp/composerp/store/findings"
	_ "github.com/composerp/composerp/store/grants"
	_ "github.com/composerp/composerp/store/imports"
	_ "github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	_ "github.com/composerp/composerp/store/lanes"
	_ "github.com/composerp/composerp/store/ledger"
	_ "github.com/composerp/composerp/store/limits"
	_ "github.com/composerp/composerp/store/lots"
	_ "github.com/composerp/composerp/store/masterdata"
	_ "github.com/composerp/composerp/store/misdated"
	_ "github.com/composerp/composerp/store/notifications"
	_ "github.com/composerp/composerp/store/operatorlog"
	_ "github.com/composerp/composerp/store/parking"
	_ "github.com/composerp/composerp/store/planning"
	_ "github.com/composerp/composerp/store/process"
	_ "github.com/composerp/composerp/store/projection"
	_ "github.com/composerp/composerp/store/purchasing"
	_ "github.com/composerp/composerp/store/replay"
	_ "github.com/composerp/composerp/store/scaling"
	_ "github.com/composerp/composerp/store/seal"
	_ "github.com/composerp/composerp/store/shadow"
	_ "github.com/composerp/composerp/store/stockhistory"
	_ "github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
	_ "github.com/composerp/composerp/store/stream"
	_ "github.com/composerp/composerp/store/trace"
	_ "github.com/composerp/composerp/store/versions"
	_ "github.com/composerp/composerp/store/whatif"
)

// Every statement of every package under store/ can be prepared against the migrated schema. This file imports all of
// these packages.
func TestEveryStatementPrepares(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	for _, dir := range packagesWithSQL(t) {
		if !slices.Contains(importsOf(t, "schema_test.go"), "github.com/composerp/composerp/store/"+dir) {
			t.Errorf("this file does not import store/%s, so its statements are not checked", dir)
		}
	}
	statements := pg.Statements()
	if len(statements) < 200 {
		t.Fatalf("only %d statements are registered", len(statements))
	}
	for _, q := range statements {
		st, err := p.SQL().PrepareContext(t.Context(), string(q))
		if err != nil {
			t.Errorf("%v in\n%s", err, q)
			continue
		}
		st.Close()
	}
}

// No statement goes through a list that it has made (WITH) once for each row of another: that takes the square of what
// there is to do.
func TestNoStatementScansAListForEachRow(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	conn := storetest.MustGet(p.SQL().Conn(t.Context()))(t)
	defer conn.Close()
	storetest.MustGet(conn.ExecContext(t.Context(), `SET plan_cache_mode = force_generic_plan`))(t)
	for _, q := range append(pg.Statements(), "WITH a AS MATERIALIZED (SELECT 1 AS n) SELECT (SELECT count(*) FROM a x WHERE x.n = a.n) FROM a") {
		if !strings.Contains(string(q), "WITH ") {
			continue
		}
		storetest.MustGet(conn.ExecContext(t.Context(), "PREPARE planned AS "+string(q)))(t)
		var n int
		storetest.Must(t, conn.QueryRowContext(t.Context(), `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'planned'`).Scan(&n))
		explain := "EXPLAIN EXECUTE planned"
		if n > 0 {
			explain += "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
		}
		lines := storetest.MustGet(conn.QueryContext(t.Context(), explain))(t)
		var plan []string
		for lines.Next() {
			var line string
			storetest.Must(t, lines.Scan(&line))
			plan = append(plan, line)
		}
		storetest.Must(t, lines.Err())
		lines.Close()
		storetest.MustGet(conn.ExecContext(t.Context(), "DEALLOCATE planned"))(t)
		planted := strings.Contains(string(q), "FROM a x")
		if list := scannedForEachRow(plan); (list != "") != planted {
			t.Errorf("%q is scanned for each row by\n%s\nplanned as\n%s", list, q, strings.Join(plan, "\n"))
		}
	}
}

// scannedForEachRow finds a list in a plan's text that is scanned in a subquery for each row.
func scannedForEachRow(plan []string) string {
	depth := -1 // of the subquery that the line is part of
	for _, line := range plan {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if depth >= 0 && indent <= depth {
			depth = -1
		}
		if subplan := strings.TrimSpace(line); depth < 0 && strings.HasPrefix(subplan, "SubPlan") && !hashed(plan, subplan) {
			depth = indent
		}
		const oneRow = "relay "
		if _, list, is := strings.Cut(line, "CTE Scan on "); is && depth >= 0 && !strings.HasPrefix(list, oneRow) {
			return list
		}
	}
	return ""
}

// hashed tells whether a subquery's rows are read once, into a hash.
func hashed(plan []string, subplan string) bool {
	return slices.ContainsFunc(plan, func(line string) bool { return strings.Contains(line, "hashed "+subplan+")") })
}

// packagesWithSQL are the folders under store/ that register statements.
func packagesWithSQL(t *testing.T) (dirs []string) {
	t.Helper()
	files := storetest.MustGet(filepath.Glob("*/*.go"))(t)
	for _, file := range files {
		text := storetest.MustGet(os.ReadFile(file))(t)
		if dir := filepath.Dir(file); bytes.Contains(text, []byte("pg.SQL(")) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func importsOf(t *testing.T, file string) (paths []string) {
	t.Helper()
	parsed := storetest.MustGet(parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly))(t)
	for _, i := range parsed.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

// emptyDatabase makes a database without a schema.
func emptyDatabase(t *testing.T) string {
	t.Helper()
	at := storetest.URL(t)
	storetest.Exec(t, at, `DROP SCHEMA public CASCADE`)
	storetest.Exec(t, at, `CREATE SCHEMA public`)
	return at
}

func TestMigrateIsIdempotentAndConcurrentSafe(t *testing.T) {
	t.Parallel()
	at := emptyDatabase(t)
	first := storetest.Open(t, at, 1)
	// A command that reports this must not make a schema by asking.
	storetest.IsError(t, store.CheckSchema(t.Context(), first), store.ErrSchema)
	applied := make([]int, 3)
	var run []func(context.Context) error
	for i := range applied {
		db := storetest.Open(t, at, 1)
		run = append(run, func(ctx context.Context) error {
			done, err := store.Migrate(ctx, db)
			applied[i] = len(done)
			return err
		})
	}
	storetest.Concurrently(t, run...)
	list, err := store.Migrations(t.Context(), first)
	storetest.Must(t, err)
	sum := 0
	for _, n := range applied {
		if n != 0 && n != len(list) {
			t.Errorf("one of three applied %d of %d migrations", n, len(list))
		}
		sum += n
	}
	if sum != len(list) || len(list) < 3 {
		t.Errorf("%d migrations were applied, there are %d", sum, len(list))
	}
	for _, m := range list {
		if !m.Applied || m.AppliedAt.IsZero() {
			t.Errorf("migration %s is not applied", m.Name)
		}
	}
	again, err := store.Migrate(t.Context(), first)
	storetest.Must(t, err)
	if len(again) != 0 {
		t.Errorf("migrating again applied %v", again)
	}
	storetest.Must(t, store.CheckSchema(t.Context(), first))
}

func TestSchemaThatLacksAMigrationSaysWhatToDo(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	storetest.Must(t, store.CheckSchema(t.Context(), p.DB))
	p.Exec(`DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	err := store.CheckSchema(t.Context(), p.DB)
	storetest.IsError(t, err, store.ErrSchema)
	if !strings.Contains(err.Error(), "composerp migrate up") || !strings.Contains(err.Error(), ".sql") {
		t.Errorf("%q does not say what to do", err)
	}
	p.Exec(`DROP TABLE lease`)
	_, err = store.AcquireLease(t.Context(), p.DB, "x", "y")
	storetest.IsError(t, err, store.ErrSchema)
}

// All transactions of a full pool use statements never used before: preparing them must not need another connection.
func TestAFullPoolOfNewTransactionsDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	one, two := p.OpenTx(), p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), one, storetest.Sales(1)))
	storetest.Must(t, eventlog.Append(t.Context(), two, storetest.Sales(1)))
	storetest.Must(t, eventlog.Append(t.Context(), one, storetest.Sales(1)))
	storetest.Must(t, one.Commit())
	storetest.Must(t, two.Commit())
	// From the next transaction on it is prepared on the connections.
	for range 3 {
		p.Append(storetest.Sale("a"))
	}
	tx := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), tx, storetest.Sales(1)))
	n := 0
	storetest.Must(t, pg.RawTx(tx).QueryRow(`SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%INSERT INTO event_log%'`).Scan(&n))
	if n != 1 {
		t.Errorf("the statement is prepared %d times on the connection", n)
	}
}

func TestSessionSettings(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	for name, want := range map[string]string{
		"lock_timeout": "10s", "statement_timeout": "1min", "idle_in_transaction_session_timeout": "5s", "TimeZone": "UTC", "jit": "off",
		"transaction_isolation": "read committed", "application_name": "test",
	} {
		if got := storetest.One[string](t, pg.Pool(db), `SELECT current_setting($1)`, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
