package cli_test

import "github.com/composerp/composerp/store/storetest"

// archiveGoldens show the log's first partition, and an archive of a position that no event has, whose file is missing.
func archiveGoldens(h *environment) []goldenLine {
	noted := func() {
		storetest.Exec(h, h.database, `
INSERT INTO log_archive (file, low, high, events, first_seq, last_seq, bytes, sha256, first_seal, last_seal, logged_upto, archived_at, operator, reason)
VALUES ('events-000000000000000-000000000000000.ndjson.zst', 0, 1, 0, 0, 0, 33, sha256('x'), 0, 0, '2026-02-09T12:00:00Z', '2026-02-10T12:00:00Z', 'ann', 'a year is enough')`)
	}
	return []goldenLine{
		{command: "log archive", args: []string{"--dry-run", "--until", "2026-02-09T12:00:00Z"}, mask: []string{"size"}, noTable: true},
		{command: "log archive list", before: noted},
		{command: "log archive verify", args: []string{"nowhere"}, code: 2},
	}
}
