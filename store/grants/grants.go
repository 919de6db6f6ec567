package grants

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

var rolesThere = pg.SQL(`SELECT rolname FROM pg_roles WHERE rolname = ANY ($1::text[])`)

var ownsLog = pg.SQL(`SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'event_log'::regclass`)

// Apply gives the roles that the database's cluster has their privileges on the schema, in place of those that they
// have, and returns these roles. The schema must be migrated. Where there are no roles, and for a role that does not
// own the schema, it does nothing.
func Apply(ctx context.Context, db *store.DB) ([]Role, error) {
	var there []Role
	err := db.InTx(ctx, func(tx store.Tx) error {
		var owns bool
		if err := pg.Get(ctx, tx, &owns, ownsLog); err != nil || !owns {
			return err
		}
		var found []string
		if err := pg.Select(ctx, tx, &found, rolesThere, pq.Array(users())); err != nil {
			return err
		}
		for _, r := range Roles {
			if slices.Contains(found, r.User()) {
				there = append(there, r)
			}
		}
		if len(there) == 0 {
			return nil
		}
		if err := eventlog.LockPartitions(ctx, tx); err != nil { // GRANT fails on a table that is being attached to
			return err
		}
		return pg.ExecText(ctx, tx, Privileges(there...))
	})
	if err != nil {
		return nil, fmt.Errorf("giving the roles their privileges: %w", err)
	}
	return there, nil
}

func users() (names []string) {
	for _, r := range Roles {
		names = append(names, r.User())
	}
	return names
}

// Privileges is the SQL by which the owner of the current schema gives roles, which exist, their privileges on it.
func Privileges(of ...Role) string {
	var b strings.Builder
	for _, r := range of {
		verbs, sequences := "SELECT", "SELECT"
		if r == Worker {
			verbs = "SELECT, INSERT, UPDATE, DELETE"
		}
		if r != Reader {
			sequences = "USAGE, SELECT"
		}
		fmt.Fprintf(&b, perRole, r.User(), verbs, sequences)
		for _, table := range slices.Sorted(maps.Keys(decisions)) {
			if verbs := decisions[table].of(r); verbs != "" {
				fmt.Fprintf(&b, "GRANT %s ON %s TO %s;\n", verbs, table, r.User())
			}
		}
		if r == Relay {
			// A restore may have left the migration's own REVOKE out.
			fmt.Fprintf(&b, "REVOKE ALL ON FUNCTION %s FROM PUBLIC;\n", strings.Join(keepers, ", "))
			fmt.Fprintf(&b, "GRANT EXECUTE ON FUNCTION %s TO %s;\n", strings.Join(keepers, ", "), r.User())
		}
	}
	return b.String()
}

// perRole takes the role, its verbs in the schemas of own workers, and those on sequences. Such a schema is known by
// its table of migrations. Tables of other owners, which an administrator may have put there, are left alone. A table
// that is made later can be read before the next Apply.
const perRole = `
DO $$
DECLARE
    own text := current_schema();
    thing record;
BEGIN
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %%I GRANT SELECT ON TABLES TO %[1]s', own);
    FOR thing IN
        SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition AND pg_has_role(c.relowner, 'USAGE')
          AND (n.nspname = own OR n.nspname !~ '^pg_' AND to_regclass(format('%%I.goose_db_version', n.nspname)) IS NOT NULL)
        ORDER BY 1, 2
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %%I TO %[1]s', thing.nspname);
        IF thing.relkind = 'S' THEN
            EXECUTE format('GRANT %[3]s ON SEQUENCE %%I.%%I TO %[1]s', thing.nspname, thing.relname);
        ELSIF thing.nspname = own THEN
            EXECUTE format('REVOKE ALL ON %%I.%%I FROM %[1]s', thing.nspname, thing.relname);
            EXECUTE format('GRANT SELECT ON %%I.%%I TO %[1]s', thing.nspname, thing.relname);
        ELSE
            EXECUTE format('GRANT %[2]s ON %%I.%%I TO %[1]s', thing.nspname, thing.relname);
        END IF;
    END LOOP;
END $$;
`

// of are the verbs of the role beside SELECT, as GRANT wants them.
func (d decision) of(r Role) string {
	letters := map[Role]string{Worker: d.worker, Relay: d.relay, Operator: d.operator, Gateway: d.gateway}[r]
	verbs := make([]string, 0, len(letters))
	for _, l := range letters {
		verbs = append(verbs, map[rune]string{'i': "INSERT", 'u': "UPDATE", 'd': "DELETE", 't': "TRUNCATE"}[l])
	}
	return strings.Join(verbs, ", ")
}
