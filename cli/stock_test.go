package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/lots"
	"github.com/composerp/composerp/workers/stockview"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// stockroom is a database with something of everything that `stock` shows.
func stockroom(t *testing.T) string {
	t.Helper()
	url := storetest.URL(t)
	storetest.Exec(t, url, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ('acme', 'dairy', 3), ('acme', 'slow', 40)`)
	storetest.Exec(t, url, `INSERT INTO item (tenant_id, item_id, name) VALUES ('acme', 'milk', 'Milk, whole'), ('acme', 'tea', 'Tea, the very best of it, in a tin')`)
	storetest.Exec(t, url, `INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point)
		VALUES ('acme', 'milk', 'shop', 'dairy', 10), ('acme', 'tea', 'shop', 'slow', 4)`)
	var events []event.Any
	var sequence int64
	say := func(p event.Payload) {
		sequence++
		e := workertest.Event(t, p, func(env *event.Envelope) {
			env.Metadata.Sequence = sequence
			env.Timestamp = workertest.Day.Add(time.Duration(len(events)) * time.Hour)
		}, workertest.WithID(fmt.Sprintf("00000000-0000-4000-8000-%012d", sequence)))
		e.LogSeq = sequence
		events = append(events, e)
	}
	move := func(item string, kind event.TransactionType, onHand, quantity, lot string, expiry event.Date) {
		say(event.InventoryUpdated{
			ItemID: item, LocationID: "shop", OnHand: workertest.Decimal(onHand), Available: workertest.Decimal(onHand), Change: workertest.Decimal(quantity),
			TransactionID: "x", TransactionType: kind, LotNumber: lot, ExpiryDate: expiry,
		})
	}
	move("milk", event.TransactionReceipt, "30", "30", "M1", "2024-03-20")
	move("milk", event.TransactionReceipt, "42.5", "12.5", "M2", "9999-12-31")
	move("tea", event.TransactionSale, "-2", "-2", "", "")
	move("rye", event.TransactionReceipt, "7", "7", "", "2024-02-28")
	move("oat", event.TransactionReceipt, "5", "5", "", "")
	forecast := func(item, daily string) {
		say(event.ForecastGenerated{
			ItemID: item, LocationID: "shop", ModelType: "BASELINE", ForecastCount: 1, StartDate: "2024-03-02", EndDate: "2024-03-02",
			DailyDemand: []event.Decimal{workertest.Decimal(daily)},
		})
	}
	forecast("milk", "5")
	forecast("tea", "0.3")
	forecast("rye", "2")
	order := func(id, item, supplier string) {
		say(event.PurchaseOrderCreated{
			PurchaseOrderID: id, PONumber: "PO-2024-" + id, SupplierID: supplier, LocationID: "shop", Status: event.PurchaseOrderPending,
			Lines: []event.PurchaseOrderLine{{ItemID: item, Quantity: workertest.Decimal("12")}},
		})
	}
	order("000001", "tea", "slow")
	order("000002", "fig", "dairy")
	say(event.PurchaseOrderApproved{PurchaseOrderID: "000002", ApprovedBy: "policy", ApprovedAt: workertest.Day})
	say(event.InventoryLowStock{ItemID: "tea", LocationID: "shop", Available: workertest.Decimal("-2"), Threshold: workertest.Decimal("3")})
	db := storetest.Open(t, url, 2)
	if _, err := workertest.Handle(t, db, stockview.New(), events...); err != nil {
		t.Fatal(err)
	}
	var moved []event.Any
	for _, e := range events {
		if e.Type == event.TypeInventoryUpdated {
			moved = append(moved, e)
		}
	}
	if _, err := workertest.Handle(t, db, lots.New(), moved...); err != nil {
		t.Fatal(err)
	}
	return url
}

func TestStockIsFilteredAndSorted(t *testing.T) {
	t.Parallel()
	url := stockroom(t)
	for _, c := range []struct{ args, want string }{
		{"", "fig milk oat rye tea"},
		{"--item milk", "milk"},
		{"--location none", ""},
		{"--tenant acme --limit 2", "fig milk"},
		{"--low", "tea"},
		{"--negative", "tea"},
		{"--on-order", "fig tea"},
		{"--supplier slow", "tea"},
		{"--supplier dairy", "fig milk"},
		{"--cover-below 8.5", "rye tea"},
		{"--cover-below 8.5001", "milk rye tea"},
		{"--sort item --desc", "tea rye oat milk fig"},
		{"--sort on-hand", "tea fig oat rye milk"},
		{"--sort on-hand --desc", "milk rye oat fig tea"},
		{"--sort available --desc --limit 1", "milk"},
		{"--sort cover", "tea rye milk fig oat"},
		{"--sort cover --desc", "milk rye tea fig oat"},
		{"--sort last-movement", "milk tea rye oat fig"},
		{"--sort last-movement --desc", "oat rye tea milk fig"},
		{"--sort next-order", "fig milk tea oat rye"},
		{"--sort next-order --desc --on-order", "tea fig"},
	} {
		r := command(t, append(strings.Fields("stock -o json --database-url "+url), strings.Fields(c.args)...)...)
		var rows []struct{ ItemID string }
		if err := json.Unmarshal([]byte(r.out), &rows); r.code != exit.OK || err != nil {
			t.Fatalf("stock %s: exit %d, %v: %s", c.args, r.code, err, r.errors)
		}
		var items []string
		for _, row := range rows {
			items = append(items, row.ItemID)
		}
		if got := strings.Join(items, " "); got != c.want {
			t.Errorf("stock %s: want %s, got %s", c.args, c.want, got)
		}
	}
}

func TestStockAskedWrongly(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"--sort colour": "want one of item", "--cover-below soon": "want a number of days", "--limit -1": "--limit -1", "--lots --low": "does not go with --lots",
	} {
		if r := command(t, append([]string{"stock"}, strings.Fields(args)...)...); r.code != exit.WrongUsage || !strings.Contains(r.errors, says) {
			t.Errorf("stock %s: exit %d, %s", args, r.code, r.errors)
		}
	}
}

// What people and programs read, to the letter.
func TestStockIsGolden(t *testing.T) {
	t.Parallel()
	url := stockroom(t)
	for name, args := range map[string]string{"stock.txt": "", "stock.json": "-o json", "lots.txt": "--lots", "lots.json": "--lots -o json"} {
		r := command(t, append(strings.Fields("stock --database-url "+url), strings.Fields(args)...)...)
		if r.code != exit.OK {
			t.Fatalf("stock %s: exit %d: %s", args, r.code, r.errors)
		}
		golden.Compare(t, filepath.Join("testdata", "stock", name), r.out)
		for line := range strings.Lines(r.out) {
			if strings.HasSuffix(name, ".txt") && len([]rune(line)) > 121 {
				t.Errorf("stock %s is wider than a terminal: %s", args, line)
			}
		}
	}
}
