package workers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// What the audit must find: a way to break a true history, the checks that fail
// by it, and a name that one of the findings must give.
type breakage struct {
	name   string
	sql    string
	args   []any
	checks string // in the audit's order
	names  string
}

// since are the checks that fail when only what is new since a checkpoint is
// looked at, where they are others.
var since = map[string]string{}

func (b breakage) sinceThen() string {
	if checks, ok := since[b.name]; ok {
		return checks
	}
	return b.checks
}

func breakages(h *history) []breakage {
	id := func(e event.Any) string { return e.ID.String() }
	one := func(e event.Any) []any { return []any{id(e)} }
	const told = `(SELECT event_id FROM event_log WHERE type = 'INVENTORY_UPDATED' AND body::jsonb -> 'metadata' ->> 'causationId' = $1)`
	return []breakage{
		{"an event of the log is gone", `DELETE FROM event_log WHERE event_id = $1`, one(h.sale), "log implied", id(h.sale)},
		{"an external publisher's event is not in the log", `WITH a AS (DELETE FROM admission WHERE event_id = $1) DELETE FROM event_log WHERE event_id = $1`,
			one(h.straight), "implied", id(h.straight) + " acme/B/shop has moved stock and is not in the log"},
		{"a body is altered", `UPDATE event_log SET body = replace(body, '"quantity":3', '"quantity":4') WHERE event_id = $1`, one(h.sale), "log implied", id(h.sale)},
		{"a body is no JSON any more", `UPDATE event_log SET body = '{' WHERE event_id = $1`, one(h.sale), "log implied", id(h.sale)},
		{"a body and its hash are altered", `UPDATE event_log SET body = replace(body, '"quantity":3', '"quantity":4'),
			body_sha256 = sha256(convert_to(replace(body, '"quantity":3', '"quantity":4'), 'UTF8')) WHERE event_id = $1`, one(h.sale), "log implied", id(h.sale)},
		{"two events stand in each other's place", `UPDATE admission SET seq = CASE event_id WHEN $1 THEN (SELECT seq FROM admission WHERE event_id = $2)
			ELSE (SELECT seq FROM admission WHERE event_id = $1) END WHERE event_id IN ($1, $2)`, []any{id(h.sale), id(h.count)}, "log", "where event " + id(h.count) + " was admitted"},
		{"an event is logged twice", `INSERT INTO event_log SELECT tx, nextval('event_log_seq'), epoch, publish, occurred_at, event_id, tenant_id, type, version,
			aggregate_id, body_sha256, body FROM event_log WHERE event_id = $1`, one(h.sale), "log", id(h.sale)},
		{"the cursor stands before everything", `UPDATE log_cursor SET tick = 0, upto = 0, seq = 0`, nil, "published", id(h.sale)},
		{"the cursor stands within an interval", `UPDATE log_cursor SET tick = 0, seq = (SELECT max(seq) - 1 FROM event_log WHERE publish)`, nil, "published", "INVENTORY_UPDATED"},
		{"an event is unpublishable", `INSERT INTO unpublishable SELECT seq, event_id, 'too large' FROM event_log WHERE event_id = $1`, one(h.sale), "published", "too large"},
		{"the ledger has not handled an event", `DELETE FROM inbox WHERE event_id = $1`, one(h.sale), "handled", "for ledger: neither handled nor dead"},
		{"stockview has not handled an event", `DELETE FROM inbox WHERE event_id IN ` + told, one(h.sale), "handled", "for stockview: neither handled nor dead"},
		{"a dead letter is not recorded", `DELETE FROM dead_letter`, nil, "handled implied", id(h.poison)},
		{"a dead letter was put back, and is nowhere", `UPDATE dead_letter SET redriven_at = now()`, nil, "handled implied", id(h.poison)},
		{"a dead letter is another consumer's", `UPDATE dead_letter SET consumer = 'stockview'`, nil, "handled implied", id(h.poison)},
		{"a movement is gone", `DELETE FROM movement WHERE event_id = $1 AND line = 0`, one(h.sale), "implied movements positions balance told", "acme/A/shop has moved no stock at its own location"},
		{"a number is left out", `UPDATE movement SET sequence = sequence + 1 WHERE event_id = $1 AND line = 0`, one(h.last), "movements told",
			"is number 7 of its position, and the one before is number 5"},
		{"a balance is wrong after a movement", `UPDATE movement SET on_hand = on_hand + 1 WHERE event_id = $1 AND line = 0`, one(h.last), "movements told",
			"is number 6 of its position: 7 and -1 is not 7"},
		{"a count ended elsewhere", `UPDATE movement SET on_hand = on_hand + 1 WHERE event_id = $1 AND line = 0`, one(h.count), "implied movements told",
			"counted 7, and on hand was 8 afterwards"},
		{"a late count is of another quantity", `UPDATE movement SET quantity = quantity + 1, on_hand = on_hand + 1 WHERE event_id = $1 AND line = 0`, one(h.lateCount),
			"implied movements positions balance told", "counted 5, and on hand was 6 afterwards"},
		{"a correction is of another quantity", `UPDATE movement SET quantity = quantity + 1 WHERE event_id = $1 AND line = 2`, one(h.late),
			"implied movements positions balance told", "corrects a count by 3 at acme/D/shop, and has moved -2"},
		{"a correction has one side", `DELETE FROM movement WHERE event_id = $1 AND line = 3`, one(h.late),
			"implied positions balance", "has one side of a correction"},
		{"a correction is of no count", `UPDATE movement SET occurred_at = occurred_at - interval '2 hours' WHERE event_id = $1 AND line > 1`, one(h.late),
			"implied", "corrects a count that is not after it"},
		{"a correction is not told", `DELETE FROM event_log WHERE type = 'INVENTORY_UPDATED' AND body::jsonb -> 'metadata' ->> 'causationId' = $1 AND body::jsonb -> 'payload' ->> 'transactionType' = 'COUNT'`, one(h.late),
			"told", "has moved stock, and no INVENTORY_UPDATED reports it"},
		{"the other side moved more", `UPDATE movement SET quantity = quantity + 1 WHERE event_id = $1 AND line = 1`, one(h.sale), "implied movements positions balance",
			"has moved -3, and 4 at @customer"},
		{"the last movement is gone", `DELETE FROM movement WHERE event_id = $1 AND line = 0`, one(h.last), "implied positions balance told", id(h.last)},
		{"a counterpart is gone", `DELETE FROM movement WHERE event_id = $1 AND line = 1`, one(h.transfer), "implied movements positions balance", id(h.transfer) + " acme/A/shop has moved no stock at @transit"},
		{"a quantity is changed", `UPDATE movement SET quantity = quantity - 1 WHERE event_id = $1 AND line = 0`, one(h.sale),
			"implied movements positions balance told", id(h.sale)},
		{"two movements have one number", `UPDATE movement SET sequence = sequence - 1 WHERE event_id = $1 AND line = 0`, one(h.last), "movements told", "acme/A/shop is number 5 of its position, and so is another"},
		{"an event has moved more, and all sums agree", `WITH m AS (UPDATE movement SET quantity = quantity * 2, on_hand = on_hand + quantity WHERE event_id = $1
			RETURNING position_id, quantity / 2 AS q) UPDATE position p SET on_hand = on_hand + q FROM m WHERE m.position_id = p.id`,
			one(h.last), "implied told stock planned lots", id(h.last)},
		{"an effect is doubled, and all sums agree", `WITH m AS (INSERT INTO movement SELECT '00000000-0000-4000-8000-000000000001', m.line, m.position_id, p.sequence + 1,
			m.quantity, p.on_hand + m.quantity, m.type, m.occurred_at FROM movement m JOIN position p ON p.id = m.position_id WHERE event_id = $1 RETURNING *)
			UPDATE position p SET on_hand = m.on_hand, sequence = m.sequence FROM m WHERE m.position_id = p.id`,
			one(h.sale), "implied told stock planned lots", "00000000-0000-4000-8000-000000000001"},
		{"an event has moved twice, and all sums agree", `WITH m AS (INSERT INTO movement SELECT event_id, m.line + 2, m.position_id, p.sequence + 1,
			m.quantity, p.on_hand + m.quantity, m.type, m.occurred_at FROM movement m JOIN position p ON p.id = m.position_id WHERE event_id = $1 RETURNING *)
			UPDATE position p SET on_hand = m.on_hand, sequence = m.sequence FROM m WHERE m.position_id = p.id`,
			one(h.sale), "implied told stock planned lots", id(h.sale)},
		{"a position is changed", `UPDATE position SET on_hand = on_hand + 1 WHERE location_id = 'depot'`, nil, "positions stock planned lots", "acme/A/depot"},
		{"a position counts wrong", `UPDATE position SET sequence = sequence + 1 WHERE location_id = '@transit'`, nil, "positions", "acme/A/@transit"},
		{"a position is gone", `DELETE FROM position WHERE location_id = '@transit'`, nil, "implied movements positions", "is not there"},
		{"a derived event is gone", `DELETE FROM event_log WHERE event_id = ` + told, one(h.count), "told", id(h.count) + " acme/A/shop has moved stock, and no INVENTORY_UPDATED reports it"},
		{"a derived event is said twice", `INSERT INTO event_log SELECT tx, nextval('event_log_seq'), epoch, publish, occurred_at, gen_random_uuid(), tenant_id, type, version,
			aggregate_id, body_sha256, body FROM event_log WHERE event_id = ` + told, one(h.count), "handled told", "2 of them report the movement by event " + id(h.count)},
		{"a derived event says another figure", `UPDATE event_log SET body = replace(body, '"onHand":7', '"onHand":8'),
			body_sha256 = sha256(convert_to(replace(body, '"onHand":7', '"onHand":8'), 'UTF8')) WHERE event_id = ` + told, one(h.count), "told", id(h.count)},
		{"a derived event says another place", `UPDATE event_log SET body = replace(body, '"locationId":"shop"', '"locationId":"depot"'),
			body_sha256 = sha256(convert_to(replace(body, '"locationId":"shop"', '"locationId":"depot"'), 'UTF8')) WHERE event_id = ` + told,
			one(h.count), "told", "as of acme/A/depot"},
		{"a derived event tells of nothing", `DELETE FROM movement WHERE event_id = $1`, one(h.last), "implied positions told", "reports a movement by event " + id(h.last)},
		{"the read model is behind", `UPDATE stock SET sequence = sequence - 1 WHERE location_id = 'depot'`, nil, "stock", "acme/A/depot"},
		{"the read model lacks a row", `DELETE FROM stock WHERE location_id = 'depot'`, nil, "stock", "acme/A/depot"},
		{"the read model has a row too many", `INSERT INTO stock SELECT tenant_id, item_id, 'nowhere', on_hand, reserved, available, sequence, last_movement_at,
			last_movement_type FROM stock WHERE location_id = 'depot'`, nil, "stock", "acme/A/nowhere"},
		{"more is on order than was ordered", `UPDATE replenishment_state SET on_order = on_order + 1 WHERE item_id = 'B'`, nil, "orders on order", "its open lines await 11"},
		{"an order was made for no need", `UPDATE purchase_order_line SET reorder_point = -10`, nil, "orders", "above the reorder point -10"},
		{"an order was forgotten", `WITH l AS (DELETE FROM purchase_order_line) DELETE FROM on_order_booking`, nil, "orders", "B at shop"},
		{"replenishment has missed a movement", `UPDATE replenishment_state SET sequence = sequence - 1 WHERE location_id = 'depot'`, nil, "planned", "acme/A/depot"},
		{"replenishment has goods in transit twice", `UPDATE transfer SET sent = sent + 1`, nil, "in transit", "acme/A/@transit has 1 in transit by its transfers, and 0 on hand"},
		{"planners are shown another order", `UPDATE stock_supply SET on_order = 0`, nil, "on order", "acme/B/shop has 0 on order"},
		{"an order is not with its supplier", `DELETE FROM dispatch`, nil, "sent", "is unknown to procurement"},
		{"an order was sent before it was approved", `UPDATE purchase_order SET status = 'PENDING', decided_by = '', decided_at = NULL`, nil, "sent", "awaits a decision"},
		{"a lot holds too much", `UPDATE lot SET quantity = quantity + 1 WHERE location_id = 'depot'`, nil, "lots", "acme/A/depot has 5 in lots"},
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	t.Run("proves the true history", func(t *testing.T) { testTrueHistory(t, h) })
	t.Run("breaks", func(t *testing.T) {
		for _, b := range breakages(h) {
			t.Run(b.name, func(t *testing.T) {
				t.Parallel()
				db, at := h.copy(t)
				storetest.Exec(t, at, b.sql, b.args...)
				expect(t, proof(t, db), b.checks, b.names)
				expect(t, proofSince(t, db), b.sinceThen(), b.names)
			})
		}
		for _, e := range []event.Any{h.sale, h.refund, h.receipt, h.transfer, h.arrival, h.adjustment, h.count, h.straight} {
			t.Run("lines of "+string(e.Type), func(t *testing.T) { t.Parallel(); testLines(t, h, e) })
		}
		t.Run("transfers that were reported otherwise", func(t *testing.T) { t.Parallel(); testReportedTransfers(t, h) })
		t.Run("two generations", func(t *testing.T) { t.Parallel(); testTwoGenerations(t, h) })
		t.Run("unpublished", func(t *testing.T) { t.Parallel(); testUnpublished(t, h) })
		t.Run("dead instead of handled", func(t *testing.T) { t.Parallel(); testDeadInsteadOfHandled(t, h) })
		t.Run("a stranger's zero character", func(t *testing.T) { t.Parallel(); testZeroCharacter(t, h) })
		t.Run("totals", func(t *testing.T) { t.Parallel(); testTotals(t, h) })
		t.Run("straight, on its way", func(t *testing.T) { t.Parallel(); testStraightOnItsWay(t, h) })
		t.Run("changed after the proof", func(t *testing.T) { testChangedAfterTheProof(t, h) })
		t.Run("many findings", func(t *testing.T) { t.Parallel(); testManyFindings(t, h) })
	})
}

func proof(t testing.TB, db *store.DB) audit.Proof {
	t.Helper()
	p, err := audit.Run(t.Context(), db, audit.Scope{Full: true, Forget: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// proofSince looks at what is new since the checkpoint.
func proofSince(t testing.TB, db *store.DB) audit.Proof {
	t.Helper()
	p, err := audit.Run(t.Context(), db, audit.Scope{Forget: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Since == nil || p.Since.Events != 2 {
		t.Fatalf("it goes on from checkpoint %+v, want one of 2 events", p.Since)
	}
	return p
}

// expect holds the failed checks against those wanted, and one finding against a name.
func expect(t testing.TB, p audit.Proof, checks, name string) {
	t.Helper()
	var failed, texts []string
	for _, c := range p.Checks {
		if !c.OK {
			failed = append(failed, c.Name)
		}
		for _, f := range c.Findings {
			texts = append(texts, c.Name+": "+f.String())
		}
	}
	if got := strings.Join(failed, " "); got != checks {
		t.Errorf("checks %q failed, want %q", got, checks)
	}
	if !strings.Contains(strings.Join(texts, "\n"), name) {
		t.Errorf("no finding names %q", name)
	}
	if t.Failed() {
		t.Logf("findings:\n%s", strings.Join(texts, "\n"))
	}
}

// What warehouses reported of transfers and orders is named, and the fleet is proven all the same: a checkpoint is
// made.
func testReportedTransfers(t *testing.T, h *history) {
	db, at := h.copy(t)
	storetest.Exec(t, at, `INSERT INTO transfer (tenant_id, transfer_id, item_id, location_id, sent, received, sent_at, received_at) VALUES
		('acme', 'lost', 'A', 'shop', 3, 0, '2020-01-01Z', NULL), ('acme', 'found', 'A', 'depot', 0, 3, NULL, '2020-01-01Z')`)
	storetest.Exec(t, at, `INSERT INTO stock_receipt (tenant_id, item_id, location_id, event_id, log_seq, position_seq, purchase_order_id, quantity)
		VALUES ('acme', 'A', 'shop', gen_random_uuid(), 1, 1, 'PO-none', 2)`)
	p, err := audit.Run(t.Context(), db, audit.Scope{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, p, "", "acme/A/shop 3 of transfer lost is in transit since 2020-01-01, for longer than 14 days")
	expect(t, p, "", "acme/A/shop a receipt of 2 names order PO-none, which nothing matches")
	for name, want := range map[string]int64{"transfers": 2, "receipts": 1} {
		i := slices.IndexFunc(p.Checks, func(c audit.Check) bool { return c.Name == name })
		if c := p.Checks[i]; c.Reported != want || c.Wrong != 0 || c.Count < want {
			t.Errorf("of %d %s %d are reported and %d wrong", c.Count, name, c.Reported, c.Wrong)
		}
	}
	if !p.Made {
		t.Errorf("no checkpoint was made: %v", p.Unmade)
	}
}

func testTrueHistory(t *testing.T, h *history) {
	db, _ := h.copy(t)
	report := h.audit(db, false)
	if !report.Proven() {
		t.Fatalf("not proven:\n%s", report.Table())
	}
	for _, c := range report.Checks {
		if c.Count == 0 && c.Skipped == "" {
			t.Errorf("check %s passes, and looked at nothing", c.Name)
		}
	}
	c := report.Counts
	// Fourteen events moved stock or died, one of them also back, and each movement was told of; one order was asked for,
	// made and approved.
	if c.Events != 31 || c.Published != 30 || c.ByType["SALE_COMPLETED"] != 6 || c.ByType["INVENTORY_UPDATED"] != 14 {
		t.Errorf("%d events, %d published, %v", c.Events, c.Published, c.ByType)
	}
	if c.Movements != 28 || c.Items != 4 || c.Positions != 14 || c.UnitsNet.String() != "19" {
		t.Errorf("%d movements, %d items, %d positions, %s units", c.Movements, c.Items, c.Positions, c.UnitsNet)
	}
	want := []audit.ConsumerCounts{
		{Consumer: "alert"}, {Consumer: "analytics"}, {Consumer: "approval", Handled: 1}, {Consumer: "forecasting", Handled: 14},
		{Consumer: "ledger", Handled: 13, Dead: 1}, {Consumer: "lots", Handled: 14}, {Consumer: "notification", Handled: 2},
		{Consumer: "procurement", Handled: 2}, {Consumer: "replenishment", Handled: 14}, {Consumer: "stockview", Handled: 17},
	}
	if !slices.Equal(c.Consumers, want) {
		t.Errorf("consumers %+v, want %+v", c.Consumers, want)
	}
}

// Every kind of event is read by the audit on its own: the wrong side, the wrong
// place and the wrong amount of each are seen.
func testLines(t *testing.T, h *history, e event.Any) {
	for _, breaking := range []string{
		`UPDATE movement SET quantity = -quantity WHERE event_id = $1`,
		`UPDATE movement SET position_id = (SELECT id FROM position WHERE location_id = '@supplier' AND item_id = 'A') WHERE event_id = $1 AND line = 0`,
		`UPDATE movement SET position_id = (SELECT id FROM position WHERE location_id = 'depot') WHERE event_id = $1 AND line = 1`,
		`UPDATE movement SET on_hand = on_hand + 1, quantity = quantity + 1 WHERE event_id = $1 AND line = 0`,
	} {
		db, at := h.copy(t)
		storetest.Exec(t, at, breaking, e.ID.String())
		found := ""
		for _, c := range proof(t, db).Checks {
			if c.Name == "implied" && len(c.Findings) == 1 {
				found = c.Findings[0].EventID
			}
		}
		counted := e.Type == event.TypeStockCounted && strings.Contains(breaking, "-quantity")
		if found != e.ID.String() && !counted { // a count's quantity is not in its event: other checks see it
			t.Errorf("%s: check implied names %q, want %s", breaking, found, e.ID)
		}
	}
}

func testTwoGenerations(t *testing.T, h *history) {
	db, at := h.copy(t)
	if rotated, err := inbox.Rotate(t.Context(), db, 0); err != nil || !rotated {
		t.Fatalf("rotating: %v, %v", rotated, err)
	}
	expect(t, proof(t, db), "", "")
	storetest.Exec(t, at, `INSERT INTO inbox SELECT 2, consumer, event_id FROM inbox WHERE event_id = $1`, h.sale.ID.String())
	expect(t, proof(t, db), "handled", h.sale.ID.String())
}

// An event that is in the log and nowhere else yet is missing everywhere, and
// counts as what moved since an earlier look.
func testUnpublished(t *testing.T, h *history) {
	db, _ := h.copy(t)
	before, err := eventlog.ReadState(t.Context(), db, "")
	if err != nil || before.Unpublished != 0 || before.Moved != 0 {
		t.Fatalf("at rest: %+v, %v", before, err)
	}
	late := workertest.Sale(t, "A", "shop", "1")
	if _, err := eventlog.AdmitOnce(t.Context(), db, []event.Any{late}, true); err != nil {
		t.Fatal(err)
	}
	p, err := audit.Run(t.Context(), db, audit.Scope{Forget: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, p, "published handled implied", late.ID.String())
	after, err := eventlog.ReadState(t.Context(), db, before.Position)
	if err != nil || after.Unpublished != 1 || after.Moved != 1 {
		t.Errorf("with one more event: %+v, %v", after, err)
	}
}

// A recorded dead letter settles a pending delivery; if it was handled as well, it is a copy.
func testDeadInsteadOfHandled(t *testing.T, h *history) {
	db, at := h.copy(t)
	const die = `INSERT INTO dead_letter SELECT gen_random_uuid(), 'ledger', $1, 'm', 'SALE_COMPLETED', '', 'why', 1, '{}', '', now()`
	storetest.Exec(t, at, die, h.sale.ID.String())
	p := proof(t, db)
	expect(t, p, "", "")
	ledger := slices.IndexFunc(p.Counts.Consumers, func(c audit.ConsumerCounts) bool { return c.Consumer == "ledger" })
	if c := p.Counts.Consumers[ledger]; c.Dead != 2 || c.Copies != 1 {
		t.Errorf("the ledger has %+v, want 2 dead and 1 of them a copy", c)
	}
	storetest.Exec(t, at, `DELETE FROM inbox WHERE event_id = $1`, h.sale.ID.String())
	expect(t, proof(t, db), "", "")
	// Handled goes before dead: an event that was redriven must have its effect.
	storetest.Exec(t, at, `INSERT INTO inbox SELECT 1, id, $1 FROM consumer WHERE name = 'ledger'`, h.poison.ID.String())
	expect(t, proof(t, db), "implied", h.poison.ID.String())
}

// A field that is not read may hold what no jsonb can.
func testZeroCharacter(t *testing.T, h *history) {
	db, at := h.copy(t)
	storetest.Exec(t, at, `UPDATE event_log SET body = '{"note":"a\u0000b\\u0000",' || substr(body, 2) WHERE event_id = $1`, h.sale.ID.String())
	storetest.Exec(t, at, `UPDATE event_log SET body_sha256 = sha256(convert_to(body, 'UTF8')) WHERE event_id = $1`, h.sale.ID.String())
	storetest.Exec(t, at, `UPDATE admission a SET body_sha256 = e.body_sha256 FROM event_log e WHERE e.seq = a.seq`)
	expect(t, proof(t, db), "", "")
}

// Of many findings the first ten are named and all are counted.
func testManyFindings(t *testing.T, h *history) {
	db, at := h.copy(t)
	deliveries := storetest.Value[int64](t, at, `SELECT count(*) FROM inbox`)
	storetest.Exec(t, at, `DELETE FROM inbox`)
	for _, c := range proof(t, db).Checks {
		if c.Name == "handled" && (c.Wrong != deliveries || deliveries < 50 || len(c.Findings) != 10) {
			t.Errorf("%d findings, %d named; want %d and 10", c.Wrong, len(c.Findings), deliveries)
		}
	}
}
