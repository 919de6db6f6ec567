package store_test

import (
	"context"
	"strings"
	"testing"

	_ "github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

func TestEveryStatementPrepares(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	statements := pg.Statements()
	if len(statements) < 30 {
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

// emptyDatabase makes one without a schema.
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
	// The commands that say so are not to make a schema by asking about it.
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

// All transactions of a pool at once use statements that nobody has used
// before: preparing them must not need a connection more.
func TestAFullPoolOfNewTransactionsDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	one, two := p.OpenTx(), p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), one, storetest.AnySales(1)))
	storetest.Must(t, eventlog.Append(t.Context(), two, storetest.AnySales(1)))
	storetest.Must(t, eventlog.Append(t.Context(), one, storetest.AnySales(1)))
	storetest.Must(t, one.Commit())
	storetest.Must(t, two.Commit())
	// From the next transaction on it is prepared on the connections for good.
	for range 3 {
		p.Append(storetest.Sale("a"))
	}
	tx := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), tx, storetest.AnySales(1)))
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
