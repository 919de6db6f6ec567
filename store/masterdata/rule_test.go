package masterdata_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
)

// publishedRules returns the RULE_CHANGED events of the log, in its order, as "item version time".
func publishedRules(p *storetest.Env) string {
	p.Helper()
	rows, err := p.SQL().Query(`SELECT body FROM event_log WHERE type = 'RULE_CHANGED' AND publish ORDER BY seq`)
	storetest.Must(p, err)
	defer rows.Close()
	var said []string
	for rows.Next() {
		var body []byte
		storetest.Must(p, rows.Scan(&body))
		e, err := event.Decode(body)
		storetest.Must(p, err)
		changed, ok := event.As[event.RuleChanged](e)
		if !ok {
			p.Fatalf("%s is no RULE_CHANGED", body)
		}
		k := masterdata.PositionKey{Tenant: e.TenantID, Item: changed.Payload.ItemID, Location: changed.Payload.LocationID}
		if id := masterdata.RuleID(k); changed.Payload.RuleID != id || e.AggregateID != id || e.Metadata.Source != "planner" {
			p.Errorf("want the rule's id %s, published by planner, got %s", id, body)
		}
		said = append(said, fmt.Sprintf("%s %d %s", k.Item, e.Metadata.Sequence, e.Timestamp.Format("2006-01-02")))
	}
	storetest.Must(p, rows.Err())
	return strings.Join(said, ", ")
}

func TestARuleChangedIsEmittedExactlyWhenARuleChanges(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	supplier(p, "acme")
	p.Exec(`INSERT INTO stock VALUES ('shop', 'cup', 'S1', 5, 0, 5, 1, '2011-03-04 05:06:07Z', 'SALE')`)
	cup := masterdata.Rule{Tenant: "shop", Item: "cup", Location: "S1", Supplier: "acme", ReorderPoint: storetest.DecimalPtr(t, "5"), OrderUpTo: storetest.DecimalPtr(t, "20")}
	pot := masterdata.Rule{Tenant: "shop", Item: "pot", Location: "S1", LowStockThreshold: storetest.DecimalPtr(t, "2.50")}
	for _, step := range []struct {
		rules   []masterdata.Rule
		changed int
		said    string
	}{
		{[]masterdata.Rule{pot, cup}, 2, "pot 1 2026-02-09, cup 1 2011-03-04"},
		{[]masterdata.Rule{cup, pot}, 0, "pot 1 2026-02-09, cup 1 2011-03-04"},
		{[]masterdata.Rule{cup, {Tenant: "shop", Item: "pot", Location: "S1", LowStockThreshold: storetest.DecimalPtr(t, "2.5"), Mode: "fixed", CoverDays: 14}}, 0,
			"pot 1 2026-02-09, cup 1 2011-03-04"},
		{[]masterdata.Rule{cup, {Tenant: "shop", Item: "pot", Location: "S1"}}, 1, "pot 1 2026-02-09, cup 1 2011-03-04, pot 2 2026-02-09"},
		{[]masterdata.Rule{cup, cup}, 0, "pot 1 2026-02-09, cup 1 2011-03-04, pot 2 2026-02-09"},
		{nil, 0, "pot 1 2026-02-09, cup 1 2011-03-04, pot 2 2026-02-09"},
	} {
		changed, err := masterdata.SetRules(t.Context(), p.DB, step.rules, storetest.Morning)
		storetest.Must(t, err)
		if changed != step.changed {
			t.Errorf("%d rules changed, want %d", changed, step.changed)
		}
		if said := publishedRules(p); said != step.said {
			t.Errorf("said is %s, want %s", said, step.said)
		}
	}
	if got := storetest.One[string](t, p.SQL(), `SELECT string_agg(item_id || ' ' || incomplete, ', ' ORDER BY item_id) FROM item`); got != "cup true, pot true" {
		t.Errorf("the items made on the way are %s", got)
	}
	if got := storetest.One[string](t, p.SQL(), `SELECT string_agg(location_id || ' ' || kind, ', ') FROM location`); got != "S1 stock" {
		t.Errorf("the locations made on the way are %s", got)
	}
}

// All or nothing: a refused batch leaves neither a rule nor an event.
func TestRulesThatCannotWork(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	supplier(p, "acme")
	good := masterdata.Rule{Tenant: "shop", Item: "cup", Location: "S1"}
	for field, bad := range map[string]masterdata.Rule{
		"tenantId": {}, "itemId": {Item: strings.Repeat("x", 65)}, "locationId": {Location: "@customer"},
		"mode": {Mode: "Auto"}, "supplierId": {Supplier: "unknown"}, "reorderPoint": {ReorderPoint: storetest.DecimalPtr(t, "-1")},
		"orderUpTo":         {ReorderPoint: storetest.DecimalPtr(t, "5"), OrderUpTo: storetest.DecimalPtr(t, "5")},
		"orderQuantity":     {OrderUpTo: storetest.DecimalPtr(t, "5"), OrderQuantity: storetest.DecimalPtr(t, "5")},
		"packSize":          {PackSize: storetest.DecimalPtr(t, "0")},
		"minimumOrder":      {MinimumOrder: storetest.Decimal(t, "-0.1")},
		"serviceLevel":      {ServiceLevel: storetest.Decimal(t, "0.5")},
		"coverDays":         {CoverDays: -1},
		"lowStockThreshold": {LowStockThreshold: storetest.DecimalPtr(t, "-1")},
	} {
		for _, part := range []*string{&bad.Tenant, &bad.Item, &bad.Location} {
			if *part == "" && !(field == "tenantId" && part == &bad.Tenant) {
				*part = "x"
			}
		}
		_, err := masterdata.SetRules(t.Context(), p.DB, []masterdata.Rule{good, bad}, storetest.Morning)
		var invalid *masterdata.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != field || invalid.Index != 1 {
			t.Errorf("%s: got error %v (%+v)", field, err, invalid)
		}
	}
	fixed := masterdata.Rule{Tenant: "shop", Item: "x", Location: "x", Supplier: "acme", ReorderPoint: storetest.DecimalPtr(t, "1")}
	if _, err := masterdata.SetRules(t.Context(), p.DB, []masterdata.Rule{fixed}, storetest.Morning); err == nil || !strings.Contains(err.Error(), "needs orderQuantity or orderUpTo") {
		t.Errorf("a rule that orders an unknown quantity: %v", err)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT (SELECT count(*) FROM replenishment_rule) + (SELECT count(*) FROM event_log) + (SELECT count(*) FROM item)`); n != 0 {
		t.Errorf("%d rows stayed of what was refused", n)
	}
}

// Each editor changes a field of its own, of the same rules: no edit is lost, and each version emits one event.
func TestRulesAreEditedByManyAtOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	const rounds = 10
	fields := []func(r *masterdata.Rule, n int64){
		func(r *masterdata.Rule, n int64) { d := event.NewDecimal(n); r.LowStockThreshold = &d },
		func(r *masterdata.Rule, n int64) { d := event.NewDecimal(n); r.PackSize = &d },
		func(r *masterdata.Rule, n int64) { r.MinimumOrder = event.NewDecimal(n) },
		func(r *masterdata.Rule, n int64) { r.CoverDays = int(n) + 100 },
	}
	var run []func(context.Context) error
	for i, change := range fields {
		run = append(run, func(ctx context.Context) error {
			for n := range int64(rounds) {
				var edits []masterdata.Edit[masterdata.Rule]
				for at := range 5 {
					if i%2 == 1 {
						at = 4 - at
					}
					edits = append(edits, masterdata.Edit[masterdata.Rule]{
						Of:     masterdata.Rule{Tenant: "shop", Item: fmt.Sprintf("i%d", at), Location: "S1"},
						Change: func(r *masterdata.Rule) { change(r, n+1) },
					})
				}
				if _, err := masterdata.EditRules(ctx, p.DB, edits, storetest.Morning, false); err != nil {
					return err
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, run...)
	want := fmt.Sprintf("%d %d %d %d v%d", rounds, rounds, rounds, rounds+100, rounds*len(fields))
	got := storetest.One[string](t, p.SQL(), `
		SELECT string_agg(DISTINCT low_stock_threshold || ' ' || pack_size || ' ' || minimum_order || ' ' || cover_days || ' v' || version, ', ')
		FROM replenishment_rule`)
	if got != want {
		t.Errorf("the rules are %s, want all %s", got, want)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(DISTINCT event_id) FROM event_log`); n != 5*rounds*len(fields) {
		t.Errorf("%d different events, want %d", n, 5*rounds*len(fields))
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 5*rounds*len(fields) {
		t.Errorf("%d events, want %d", n, 5*rounds*len(fields))
	}
}

// Two create the same rule at once, each a field of it: the second waits, and finds what the first has made.
func TestConcurrentEditsCreateARuleOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	inTheWay := p.OpenTx()
	if _, err := pg.RawTx(inTheWay).Exec(`INSERT INTO replenishment_rule (tenant_id, item_id, location_id) VALUES ('shop', 'cup', 'S1')`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for _, change := range []func(r *masterdata.Rule){
		func(r *masterdata.Rule) { r.CoverDays = 99 },
		func(r *masterdata.Rule) { r.Mode = masterdata.RuleAuto },
	} {
		go func() {
			_, err := masterdata.EditRules(context.Background(), p.DB, []masterdata.Edit[masterdata.Rule]{{Of: masterdata.Rule{Tenant: "shop", Item: "cup", Location: "S1"}, Change: change}}, storetest.Morning, false)
			done <- err
		}()
	}
	p.AwaitLockWaiters(2) // both have got as far as they can
	storetest.Must(t, inTheWay.Rollback())
	storetest.Must(t, <-done)
	storetest.Must(t, <-done)
	if got := storetest.One[string](t, p.SQL(), `SELECT mode || ' ' || cover_days || ' v' || version FROM replenishment_rule`); got != "auto 99 v2" {
		t.Errorf("the rule is %s, want auto 99 v2", got)
	}
}

// A rule and its event are one transaction: when it cannot commit neither exists.
func TestAFailedEditEmitsNoRuleChanged(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 3)
	p.Exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$`)
	p.Exec(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON replenishment_rule DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	if _, err := masterdata.SetRules(t.Context(), p.DB, []masterdata.Rule{{Tenant: "shop", Item: "cup", Location: "S1"}}, storetest.Morning); err == nil {
		t.Fatal("the rule was set")
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 0 {
		t.Errorf("%d events were said", n)
	}
}

func TestADryRunWritesNothing(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	edit := []masterdata.Edit[masterdata.Rule]{{Of: masterdata.Rule{Tenant: "shop", Item: "cup", Location: "S1"}, Change: func(r *masterdata.Rule) { r.CoverDays = 3 }}}
	for _, want := range []masterdata.Written{{New: 1}, {New: 1}} {
		got, err := masterdata.EditRules(t.Context(), p.DB, edit, storetest.Morning, true)
		storetest.Must(t, err)
		if got != want {
			t.Errorf("a dry run gives %+v, want %+v", got, want)
		}
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT (SELECT count(*) FROM replenishment_rule) + (SELECT count(*) FROM event_log) + (SELECT count(*) FROM item)`); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}

// supplier makes a supplier, by SQL.
func supplier(p *storetest.Env, id string) {
	p.Helper()
	p.Exec(`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ('shop', $1, 3)`, id)
}
