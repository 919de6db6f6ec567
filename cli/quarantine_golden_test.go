package cli_test

import (
	"github.com/composerp/composerp/store/storetest"
)

// quarantineGoldens are those of classes that are held back. They come last: the doctor warns of them.
func quarantineGoldens(h *environment) []goldenLine {
	quarantined := func() {
		storetest.Exec(h, h.database, `INSERT INTO quarantine (class, consumer, type, version, fingerprint, sample, released_at) VALUES
			('procurement-0a3f5c1e8f0b', 'procurement', 'PURCHASE_ORDER_APPROVED', '1.0', '0011223344556677',
			 'sending order o-1 to supplier smith: smith.example answered 500 Internal Server Error', NULL),
			('ledger-0a3f5c1e8f0c', 'ledger', 'SALE_COMPLETED', '1.0', '8899aabbccddeeff', 'no such item: "cup"', clock_timestamp())`)
		storetest.Exec(h, h.database, `INSERT INTO dead_letter (id, consumer, message_id, type, routing_key, error, attempt, headers, body, died_at)
			SELECT gen_random_uuid(), 'procurement', '', '', '', '', 1, '{"x-quarantine": "procurement-0a3f5c1e8f0b"}', '', now() FROM generate_series(1, 3)`)
	}
	return []goldenLine{
		{command: "quarantine list", before: quarantined},
		{command: "quarantine list", as: "quarantine_list_all", args: []string{"--all"}},
		{command: "quarantine release", args: []string{"procurement-0a3f5c1e8f0b"}, noTable: true},
	}
}
