package whatif_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/whatif"
)

// archived: a run over a log whose first half is in a file finds the same with that file, and names it without.
func (l live) archived(t *testing.T, want whatif.Report) {
	t.Helper()
	const name = "half.ndjson.zst"
	dir := t.TempDir()
	cut := storetest.One[int64](t, l.SQL(), `SELECT max(seq) / 2 FROM event_log`)
	file, err := os.Create(filepath.Join(dir, name))
	l.Must(err)
	defer file.Close()
	w, err := archive.NewWriter(file)
	l.Must(err)
	rows, err := l.SQL().Query(`SELECT seq, epoch, tx::text, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body
		FROM event_log WHERE seq < $1 ORDER BY seq`, cut)
	l.Must(err)
	defer rows.Close()
	for rows.Next() {
		var r archive.Row
		l.Must(rows.Scan(&r.Seq, &r.Epoch, &r.Tx, &r.Publish, &r.OccurredAt, &r.EventID, &r.Tenant, &r.Type, &r.Version, &r.Aggregate, &r.BodySHA256, &r.Body))
		l.Must(w.Add(&r))
	}
	l.Must(rows.Err())
	written, err := w.End()
	l.Must(err)
	l.Exec(`INSERT INTO log_archive (file, low, high, events, first_seq, last_seq, bytes, sha256, first_seal, last_seal, logged_upto, operator, reason)
		VALUES ($1, 0, $2, $3, $4, $5, $6, $7, 0, 0, clock_timestamp(), 'ann', 'a test')`,
		name, cut, written.Events, written.FirstSeq, written.LastSeq, written.Bytes, written.FileSHA[:])
	l.Exec(`DELETE FROM event_log WHERE seq < $1`, cut)

	if _, err := whatif.Run(l.Context(), l.DB, asked()); !errors.Is(err, archive.ErrArchived) {
		t.Errorf("without the archive a run ends with %v", err)
	}
	a := asked()
	a.Archives, err = archive.Open(l.Context(), l.DB, dir)
	l.Must(err)
	defer a.Archives.Close()
	if r := l.run(a); figures(t, r) != figures(t, want) {
		t.Errorf("with the archive a run finds\n%s, and without one\n%s", figures(t, r), figures(t, want))
	}
}
