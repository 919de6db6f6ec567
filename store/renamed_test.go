package store_test

import (
	"database/sql"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/pressly/goose/v3"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/notifications"
	"github.com/composerp/composerp/store/storetest"
)

// The statements of the version before 0016, word for word, on the two tables that 0016 renames.
const (
	oldRecord = `
INSERT INTO notice AS n (event_id, channel, tenant_id, type, about, summary, occurred_at, told, answer)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[], $9::text[])
ON CONFLICT (event_id, channel) DO UPDATE
SET told = excluded.told, answer = excluded.answer, attempts = n.attempts + 1, said_at = clock_timestamp()
WHERE NOT n.told`
	oldTold = `SELECT channel FROM notice WHERE event_id = $1 AND told`
	oldList = `
SELECT id, event_id, tenant_id, type, about, summary, occurred_at, channel, told, attempts, answer, said_at
FROM notice WHERE ($1 = '' OR tenant_id = $1) AND (NOT $2::boolean OR NOT told) ORDER BY id DESC LIMIT nullif($3::bigint, 0)`
	oldSetAside = `INSERT INTO set_aside (seq, event_id, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	oldHealth   = `SELECT (SELECT count(*) FROM set_aside) AS set_aside`
	oldAudit    = `SELECT count(*) FROM event_log e LEFT JOIN set_aside a ON a.seq = e.seq WHERE a.seq IS NOT NULL OR NOT EXISTS (SELECT FROM set_aside a WHERE a.seq = e.seq)`
)

// oldNotice records what one channel answered, as the version before does it.
func oldNotice(t *testing.T, db *sql.Stmt, event uuid.UUID, channel string, told bool, answer string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), pq.Array([]string{event.String()}), pq.Array([]string{channel}), pq.Array([]string{"t"}), pq.Array([]string{"LOT_EXPIRING"}),
		pq.Array([]string{"cup at shop"}), pq.Array([]string{"a cup"}), pq.Array([]string{"2026-02-09T12:00:00Z"}), pq.Array([]bool{told}), pq.Array([]string{answer}))
	storetest.Must(t, err)
}

// A database of the version before is migrated while a session of that version has its
// statements prepared. Both versions then write and read the same rows.
func TestTheVersionBeforeWritesToRenamedTables(t *testing.T) {
	t.Parallel()
	at := emptyDatabase(t)
	db := storetest.Open(t, at, 4)
	provider, err := goose.NewProvider(goose.DialectPostgres, pg.Pool(db), os.DirFS("migrations"))
	storetest.Must(t, err)
	_, err = provider.UpTo(t.Context(), 15)
	storetest.Must(t, err)

	old, err := sql.Open("postgres", at)
	storetest.Must(t, err)
	t.Cleanup(func() { _ = old.Close() })
	old.SetMaxOpenConns(1)
	prepare := func(query string) *sql.Stmt {
		t.Helper()
		st, err := old.PrepareContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%v in\n%s", err, query)
		}
		return st
	}
	record, told, list := prepare(oldRecord), prepare(oldTold), prepare(oldList)
	setAside, health, auditing := prepare(oldSetAside), prepare(oldHealth), prepare(oldAudit)
	before, after := uuid.New(), uuid.New()
	oldNotice(t, record, before, "webhook", false, "502")
	_, err = setAside.ExecContext(t.Context(), 1, before, "too large")
	storetest.Must(t, err)
	storetest.Exec(t, at, `GRANT SELECT, INSERT ON notice, set_aside TO PUBLIC`)

	_, err = store.Migrate(t.Context(), db)
	storetest.Must(t, err)

	// The old version's next try of what it had begun, and one of a new event.
	oldNotice(t, record, before, "webhook", true, "200")
	oldNotice(t, record, before, "webhook", false, "late")
	oldNotice(t, record, after, "alertmanager", false, "502")
	var rows []notifications.Notification
	rows, err = notifications.List(t.Context(), db, "t", false, 0)
	storetest.Must(t, err)
	if len(rows) != 2 || rows[1].Attempts != 2 || !rows[1].Delivered || rows[1].Answer != "200" || rows[0].Delivered || rows[0].Attempts != 1 {
		t.Errorf("the rows that the old version wrote are %+v", rows)
	}
	// This version delivers what the old one did not, and the old one knows.
	storetest.Must(t, db.InTx(t.Context(), func(tx store.Tx) error {
		rows[0].Delivered, rows[0].Answer = true, "200"
		return notifications.Record(t.Context(), tx, rows[:1])
	}))
	var channel string
	storetest.Must(t, told.QueryRowContext(t.Context(), after).Scan(&channel))
	undelivered, err := list.QueryContext(t.Context(), "", true, 0)
	storetest.Must(t, err)
	if channel != "alertmanager" || undelivered.Next() {
		t.Errorf("the old version does not see that %s is delivered", channel)
	}
	storetest.Must(t, undelivered.Err())
	storetest.Must(t, undelivered.Close())

	_, err = setAside.ExecContext(t.Context(), 1, before, "too large, found again")
	storetest.Must(t, err)
	_, err = setAside.ExecContext(t.Context(), 2, after, "too deep")
	storetest.Must(t, err)
	storetest.Must(t, eventlog.MarkUnpublishable(t.Context(), db, eventlog.Entry{Seq: 2, EventID: after}, "found by both"))
	storetest.Must(t, eventlog.MarkUnpublishable(t.Context(), db, eventlog.Entry{Seq: 3, EventID: uuid.New()}, "found by this one"))
	n := 0
	storetest.Must(t, health.QueryRowContext(t.Context()).Scan(&n))
	if now := storetest.Value[int](t, at, `SELECT count(*) FROM unpublishable WHERE marked_at IS NOT NULL`); n != 3 || now != 3 {
		t.Errorf("by its old name the table has %d events, by its new one %d, want 3", n, now)
	}
	storetest.Must(t, auditing.QueryRowContext(t.Context()).Scan(&n))
	_, err = old.ExecContext(t.Context(), `DELETE FROM set_aside WHERE seq = 3; UPDATE set_aside SET reason = 'x' WHERE seq = 1; DELETE FROM notice WHERE told`)
	storetest.Must(t, err)
	if left := storetest.Value[string](t, at, `SELECT string_agg(reason, ', ' ORDER BY seq) || (SELECT count(*) FROM notification) FROM unpublishable`); left != "x, too deep0" {
		t.Errorf("what the old version changed and deleted is %q", left)
	}
	// What is granted on the old name is granted on the new one, and stays so on the old one.
	for _, name := range []string{"notice", "notification", "set_aside", "unpublishable"} {
		may := storetest.Value[string](t, at, `SELECT concat_ws(' ', has_table_privilege('public', '`+name+`', 'SELECT'),
			has_table_privilege('public', '`+name+`', 'INSERT'), has_table_privilege('public', '`+name+`', 'DELETE'))`)
		if may != "t t f" {
			t.Errorf("on %s everyone may select, insert, delete: %s", name, may)
		}
	}
	_, err = provider.DownTo(t.Context(), 15)
	storetest.Must(t, err)
	oldNotice(t, record, uuid.New(), "log", true, "")
}
