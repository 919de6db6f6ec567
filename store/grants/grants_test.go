package grants_test

import (
	"testing"

	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/storetest"
)

// A table without a decision, and a decision without a table, are mistakes of a migration.
func TestEveryTableIsDecidedOn(t *testing.T) {
	t.Parallel()
	db := storetest.NewEnv(t, 1)
	var tables []string
	rows, err := db.SQL().QueryContext(t.Context(), `SELECT relname FROM pg_class
		WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'goose_db_version'`)
	storetest.Must(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		storetest.Must(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	storetest.Must(t, rows.Err())
	for _, problem := range grants.Undecided(tables) {
		t.Error(problem)
	}
	if len(grants.Undecided(append(tables, "new_table"))) == 0 {
		t.Error("a new table needs no decision")
	}
}
