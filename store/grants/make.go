package grants

import (
	"context"
	"fmt"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Make makes the roles, or gives them new passwords, by Script. The database is opened as an administrator: a
// superuser, or a role that may create roles and grant pg_read_all_stats.
func Make(ctx context.Context, db *store.DB, passwords map[Role]string) error {
	script, err := Script(passwords)
	if err != nil {
		return err
	}
	if err := db.InTx(ctx, func(tx store.Tx) error { return pg.ExecText(ctx, tx, script) }); err != nil {
		return fmt.Errorf("making the fleet's roles: %w", err)
	}
	return nil
}

var mayMakeRoles = pg.SQL(`SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user`)

// There are the names of the roles that the database's cluster has already, and whether the session's own role may make
// the others.
func There(ctx context.Context, db *store.DB) (names []string, mayMake bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		if err := pg.Get(ctx, tx, &mayMake, mayMakeRoles); err != nil {
			return err
		}
		return pg.Select(ctx, tx, &names, rolesThere, pq.Array(users()))
	})
	if err != nil {
		return nil, false, fmt.Errorf("asking for the fleet's roles: %w", err)
	}
	return names, mayMake, nil
}
