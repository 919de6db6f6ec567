package workers_test

import (
	"reflect"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// auditOf is an audit of a copy, with the expected failures.
func auditOf(t *testing.T, db *store.DB, scope audit.Scope, checks, name string) audit.Proof {
	t.Helper()
	p, err := audit.Run(t.Context(), db, scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, p, checks, name)
	if t.Failed() {
		t.FailNow()
	}
	return p
}

// From a checkpoint on the totals are those of a full audit.
func testTotals(t *testing.T, h *history) {
	db, _ := h.copy(t)
	full := auditOf(t, db, audit.Scope{Full: true, Forget: true}, "", "")
	for range 2 {
		since := auditOf(t, db, audit.Scope{}, "", "")
		if !reflect.DeepEqual(since.Checks, full.Checks) || !reflect.DeepEqual(since.Counts, full.Counts) {
			t.Errorf("from a checkpoint of %d events on: %+v, %+v\nin all: %+v, %+v", since.Since.Events, since.Checks, since.Counts, full.Checks, full.Counts)
		}
	}
}

// What came straight over AMQP moves stock before it is logged. It is passed on
// from checkpoint to checkpoint until intake has logged it, or cannot any more.
func testStraightOnItsWay(t *testing.T, h *history) {
	db, at := h.copy(t)
	storetest.Exec(t, at, `DELETE FROM event_log WHERE event_id = $1`, h.straight.ID.String())
	storetest.Exec(t, at, `DELETE FROM admission WHERE event_id = $1`, h.straight.ID.String())
	for i, scope := range []audit.Scope{
		{Fewest: map[string]int64{"intake": 0}}, // it has moved since, and its message may have been there just now
		{Fewest: map[string]int64{"intake": 1}},
		{Fewest: map[string]int64{}, Full: true},
	} {
		p := auditOf(t, db, scope, "", "")
		if len(p.Flights) != 1 || p.Flights[0].Consumer != "intake" || p.Flights[0].Events != 1 || !p.Made {
			t.Errorf("audit %d: in flight are %+v", i, p.Flights)
		}
	}
	auditOf(t, db, audit.Scope{Fewest: map[string]int64{"intake": 0}, Full: true}, "implied", "has moved stock and is not in the log")
	auditOf(t, db, audit.Scope{Fewest: map[string]int64{"intake": 0}}, "implied", "has moved stock and is not in the log")
	auditOf(t, db, audit.Scope{}, "implied", "has moved stock and is not in the log")
	if _, err := eventlog.AdmitOnce(t.Context(), db, []event.Any{h.straight}, false); err != nil {
		t.Fatal(err)
	}
	since, full := auditOf(t, db, audit.Scope{}, "", ""), auditOf(t, db, audit.Scope{Full: true}, "", "")
	if !reflect.DeepEqual(since.Checks, full.Checks) || len(since.Flights) != 0 {
		t.Errorf("from a checkpoint on: %+v\nin all: %+v", since.Checks, full.Checks)
	}
}

// Once all is proven: what an audit from a checkpoint on sees of changes to it, and what a full one sees.
func testChangedAfterTheProof(t *testing.T, h *history) {
	const told = `(SELECT event_id FROM event_log WHERE type = 'INVENTORY_UPDATED' AND body::jsonb -> 'metadata' ->> 'causationId' = $1)`
	for name, c := range map[string]struct{ sql, since, full, names string }{
		"an inbox row is gone":  {`DELETE FROM inbox WHERE event_id = $1`, "", "handled", ""},
		"an old event is gone":  {`DELETE FROM event_log WHERE event_id = $1`, "", "log implied", ""},
		"a movement is gone":    {`DELETE FROM movement WHERE event_id = $1 AND line = 0`, "", "implied movements positions balance told", ""},
		"a movement is written": {`UPDATE movement SET quantity = quantity - 1 WHERE event_id = $1 AND line = 0`, "movements", "implied movements positions balance told", "after that was proven"},
		"one more line":         {`INSERT INTO movement SELECT event_id, 4, position_id, sequence, quantity, on_hand, type, occurred_at FROM movement WHERE event_id = $1 AND line = 0`, "implied movements", "implied movements positions balance", "has moved -3 more, as line 4"},
		"it is told again": {`INSERT INTO event_log SELECT pg_current_xact_id(), nextval('event_log_seq'), epoch, false, occurred_at, gen_random_uuid(), tenant_id, type, version,
			aggregate_id, body_sha256, body FROM event_log WHERE event_id = ` + told, "handled told", "handled told", ""},
		"an effect is doubled, and all sums agree": {`WITH m AS (INSERT INTO movement SELECT '00000000-0000-4000-8000-000000000001', m.line, m.position_id, p.sequence + 1,
			m.quantity, p.on_hand + m.quantity, m.type, m.occurred_at FROM movement m JOIN position p ON p.id = m.position_id WHERE event_id = $1 RETURNING *)
			UPDATE position p SET on_hand = m.on_hand, sequence = m.sequence FROM m WHERE m.position_id = p.id`,
			"implied told stock planned lots", "implied told stock planned lots", "00000000-0000-4000-8000-000000000001"},
		"a position is changed": {`UPDATE position SET on_hand = on_hand + 1 WHERE location_id = 'depot' AND $1 <> ''`, "positions stock planned lots", "positions stock planned lots", "acme/A/depot"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, at := h.copy(t)
			auditOf(t, db, audit.Scope{}, "", "")
			storetest.Exec(t, at, c.sql, h.sale.ID.String())
			auditOf(t, db, audit.Scope{Forget: true}, c.since, c.names)
			auditOf(t, db, audit.Scope{Forget: true, Full: true}, c.full, "")
		})
	}
}
