package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// withRoles gives a migrated database on a server of the test's own, with the roles, and a URL for each of them: roles
// are the whole server's.
func withRoles(t *testing.T) (owner *store.DB, urls map[grants.Role]string) {
	t.Helper()
	servers := storetest.MustGet(local.Start(t.Context(), local.Config{Dir: t.TempDir(), PostgresOnly: true}))(t)
	t.Cleanup(func() { _ = servers.Discard(context.Background()) })
	super := storetest.MustGet(servers.Superuser())(t)
	defer super.Close()
	passwords := map[grants.Role]string{}
	for _, r := range grants.Roles {
		passwords[r] = "secret of " + string(r)
	}
	if _, err := super.ExecContext(t.Context(), storetest.MustGet(grants.Script(passwords))(t)); err != nil {
		t.Fatal(err)
	}
	owner = storetest.Open(t, servers.DatabaseURL, 3)
	storetest.MustGet(store.Migrate(t.Context(), owner))(t)
	if _, err := super.ExecContext(t.Context(), "CREATE TABLE another_owners (n int)"); err != nil {
		t.Fatal(err)
	}
	there := storetest.MustGet(grants.Apply(t.Context(), owner))(t)
	if !slices.Equal(there, grants.Roles) {
		t.Fatalf("Apply gives privileges to %v", there)
	}
	urls = map[grants.Role]string{}
	for _, r := range grants.Roles {
		u := storetest.MustGet(url.Parse(servers.DatabaseURL))(t)
		u.User = url.UserPassword(r.User(), passwords[r])
		urls[r] = u.String()
	}
	return owner, urls
}

// Which statements of the fleet PostgreSQL refuses to each role: the golden file has a line for each. A new statement
// that no grant covers shows up there, and so does a grant that goes too far.
func TestTheServerKeepsEachRoleToItsStatements(t *testing.T) {
	t.Parallel()
	_, urls := withRoles(t)
	for _, r := range grants.Roles {
		var refused strings.Builder
		db := storetest.Open(t, urls[r], 1)
		for _, q := range pg.Statements() {
			switch err := explain(t.Context(), pg.Pool(db), string(q)); {
			case isRefusal(err):
				fmt.Fprintf(&refused, "%s\n", oneLine(string(q)))
			case err != nil:
				t.Errorf("%v in %s", err, q)
			}
		}
		golden.Compare(t, "testdata/refused_"+string(r)+".txt", refused.String())
	}
}

// explain has the server check the privileges that a statement needs, without running it.
func explain(ctx context.Context, db *sql.DB, q string) error {
	if _, err := db.ExecContext(ctx, "DEALLOCATE ALL"); err != nil { // a rollback keeps what is prepared
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if strings.HasPrefix(strings.TrimSpace(q), "LOCK") {
		_, err := tx.ExecContext(ctx, q)
		return err
	}
	if _, err := tx.ExecContext(ctx, "PREPARE asked AS "+q); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(cardinality(parameter_types), 0) FROM pg_prepared_statements WHERE name = 'asked'").Scan(&n); err != nil {
		return err
	}
	call := "EXPLAIN EXECUTE asked"
	if n > 0 {
		call += "(" + strings.TrimSuffix(strings.Repeat("NULL,", n), ",") + ")"
	}
	_, err = tx.ExecContext(ctx, call)
	return err
}

func isRefusal(err error) bool {
	var refused *pq.Error
	return errors.As(err, &refused) && refused.Code == "42501"
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return text[:min(len(text), 60)]
}

// The ticker's role keeps the log and the inbox in partitions without owning them, and in no other way.
func TestTheRelayMakesAndDropsPartitions(t *testing.T) {
	t.Parallel()
	owner, urls := withRoles(t)
	db := storetest.Open(t, urls[grants.Relay], 2)
	storetest.Must(t, eventlog.EnsurePartitions(t.Context(), db))
	if rotated := storetest.MustGet(inbox.Rotate(t.Context(), db, 0))(t); !rotated {
		t.Error("the inbox was not rotated")
	}
	if _, err := pg.Pool(owner).ExecContext(t.Context(), "DELETE FROM inbox_generation WHERE generation = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := pg.Pool(db).ExecContext(t.Context(), "SELECT drop_inbox_partition(1)"); err != nil {
		t.Errorf("a generation that is forgotten is not dropped: %v", err)
	}
	for _, q := range []string{
		"DROP TABLE inbox_2", "CREATE TABLE x (n int)", "ALTER TABLE event_log ADD COLUMN x int", "SELECT drop_inbox_partition(2)",
		"TRUNCATE inbox", "DELETE FROM inbox", "DELETE FROM event_log", "UPDATE event_log SET body = ''",
	} {
		if _, err := pg.Pool(db).ExecContext(t.Context(), q); err == nil {
			t.Errorf("the relay's role may: %s", q)
		}
	}
}

// Apply takes away what a role has too much, gives a worker the tables of own workers' schemas, and leaves alone what
// others own.
func TestApplyAgain(t *testing.T) {
	t.Parallel()
	owner, urls := withRoles(t)
	exec := func(db *store.DB, q string) error { _, err := pg.Pool(db).ExecContext(t.Context(), q); return err }
	storetest.Must(t, exec(owner, `GRANT DELETE ON movement TO composerp_worker; GRANT EXECUTE ON FUNCTION drop_inbox_partition TO PUBLIC;
		CREATE SCHEMA loyalty; CREATE TABLE loyalty.goose_db_version (n int); CREATE TABLE loyalty.points (n int);
		CREATE SCHEMA another; CREATE TABLE another.secret (n int)`))
	storetest.MustGet(grants.Apply(t.Context(), owner))(t)
	worker, reader := storetest.Open(t, urls[grants.Worker], 1), storetest.Open(t, urls[grants.Reader], 1)
	for _, c := range []struct {
		db    *store.DB
		q     string
		works bool
	}{
		{worker, "DELETE FROM movement", false},
		{worker, "SELECT drop_inbox_partition(1)", false},
		{worker, "INSERT INTO loyalty.points VALUES (1)", true},
		{worker, "SELECT FROM another.secret", false},
		{worker, "SELECT FROM another_owners", false},
		{reader, "SELECT FROM loyalty.points", true},
		{reader, "SELECT FROM movement", true},
		{reader, "INSERT INTO loyalty.points VALUES (1)", false},
		{reader, "UPDATE item SET name = ''", false},
	} {
		if err := exec(c.db, c.q); c.works != (err == nil) || !c.works && !isRefusal(err) {
			t.Errorf("%s: %v", c.q, err)
		}
	}
	if there, err := grants.Apply(t.Context(), worker); err != nil || there != nil {
		t.Errorf("a role that is not the owner gives %v privileges: %v", there, err)
	}
}
