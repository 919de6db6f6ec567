package whatif_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/store/whatif"
)

// The tables of a run whose process was killed are dropped by the next; those of one that lives are left alone.
func TestAKilledRunIsSwept(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	schemas := func() int {
		return storetest.One[int](t, p.SQL(), `SELECT count(*) FROM pg_namespace WHERE nspname ~ '_whatif_'`)
	}
	killed := storetest.MustGet(whatif.Begin(t.Context(), p.DB, 2))(t)
	if left := storetest.MustGet(whatif.Left(t.Context(), p.DB))(t); len(left) != 0 || schemas() != 2 {
		t.Errorf("of a run that lives %v are left", left)
	}
	storetest.One[bool](t, p.SQL(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objsubid = 1`)
	storetest.Eventually(t, "its tables are left over", func() bool {
		return len(storetest.MustGet(whatif.Left(t.Context(), p.DB))(t)) == 2
	})
	if killed.Alive(t.Context()) == nil {
		t.Error("the killed run holds its lock")
	}
	living := storetest.MustGet(whatif.Begin(t.Context(), p.DB, 1))(t)
	if schemas() != 1 {
		t.Errorf("%d schemas are there after the next run has begun", schemas())
	}
	another := storetest.MustGet(whatif.Begin(t.Context(), p.DB, 1))(t)
	if schemas() != 2 {
		t.Errorf("%d schemas are there beside a run that lives", schemas())
	}
	storetest.Must(t, living.Alive(t.Context()))
	storetest.Must(t, another.Close())
	storetest.Must(t, living.Close())
	if schemas() != 0 {
		t.Errorf("%d schemas are there after the last run", schemas())
	}
}

// A role that may make no schema is told which may.
func TestARoleThatMayMakeNoSchema(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(`DO $do$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM PUBLIC, CURRENT_USER', current_database()); END $do$`)
	if _, err := whatif.Begin(t.Context(), p.DB, 1); err == nil || !strings.Contains(err.Error(), "the owner of the database's tables") {
		t.Errorf("it is told %v", err)
	}
}
