package store_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"

	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// What is in transit when 0021 is applied is entered: with its transfer where the log has it, and what replenishment
// has not handled yet is left to it.
func TestWhatIsInTransitIsEnteredByTheMigration(t *testing.T) {
	t.Parallel()
	at := emptyDatabase(t)
	db := storetest.Open(t, at, 4)
	provider, err := goose.NewProvider(goose.DialectPostgres, pg.Pool(db), os.DirFS("migrations"))
	storetest.Must(t, err)
	_, err = provider.UpTo(t.Context(), 20)
	storetest.Must(t, err)
	storetest.Exec(t, at, `INSERT INTO consumer (name) VALUES ('replenishment')`)
	log := func(kind, body string) uuid.UUID {
		id := uuid.New()
		storetest.Exec(t, at, `INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
			VALUES (1, true, '2026-03-01Z', $1, 'shop', $2, '1.0', 'a', '', $3)`, id, kind, body)
		return id
	}
	// moved logs an event and the ledger's of it, which replenishment has handled or not.
	moved := func(kind, payload, quantity string, handled bool) {
		cause := log(kind, fmt.Sprintf(`{"payload":{"itemId":"cup",%s}}`, payload))
		id := log("INVENTORY_UPDATED", fmt.Sprintf(`{"payload":{"itemId":"cup","quantity":%s,"transactionType":"TRANSFER"},"metadata":{"causationId":"%s"}}`, quantity, cause))
		if handled {
			storetest.Exec(t, at, `INSERT INTO inbox (generation, consumer, event_id) SELECT 1, id, $1 FROM consumer`, id)
		}
	}
	moved("TRANSFER_INITIATED", `"transferId":"t1","toLocationId":"north"`, "-10", true)
	moved("RECEIPT_COMPLETED", `"transferId":"t1","locationId":"north"`, "4", true)
	moved("RECEIPT_COMPLETED", `"transferId":"t1","locationId":"south"`, "1", true)
	moved("TRANSFER_INITIATED", `"transferId":"t2","toLocationId":"north"`, "-20", false)
	storetest.Exec(t, at, `INSERT INTO item (tenant_id, item_id) VALUES ('shop', 'cup')`)
	storetest.Exec(t, at, `INSERT INTO location (tenant_id, location_id, kind) VALUES ('shop', '@transit', 'transit')`)
	// 5 of t1, 20 of t2, and 7 of transfers that the log has dropped.
	storetest.Exec(t, at, `INSERT INTO position (tenant_id, item_id, location_id, on_hand) VALUES ('shop', 'cup', '@transit', 32)`)
	_, err = provider.UpTo(t.Context(), 21)
	storetest.Must(t, err)
	got := storetest.Value[string](t, at, `SELECT string_agg(concat_ws(' ', nullif(transfer_id, ''), nullif(location_id, ''), sent, received), ', ' ORDER BY transfer_id, location_id) FROM transfer`)
	if want := "7 0, t1 north 10 4, t1 south 0 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = provider.DownTo(t.Context(), 20)
	storetest.Must(t, err)
}
