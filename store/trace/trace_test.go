package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/store/trace"
)

// env is a log of sales that follow from each other as no sales do.
type env struct {
	*storetest.Env
	ids map[string]uuid.UUID
}

func newEnv(t *testing.T) *env {
	t.Helper()
	t.Parallel()
	return &env{Env: storetest.NewEnv(t, 2), ids: map[string]uuid.UUID{}}
}

// append logs an event that follows from another, or from none, with a correlation id and a sale's.
func (h *env) append(name, cause, correlation, sale string) {
	h.Helper()
	h.ids[name] = uuid.New()
	e := storetest.SaleWith(h.ids[name], sale, 1)
	causation := ""
	if cause != "" {
		causation = h.ids[cause].String()
	}
	e.Body = fmt.Appendf(nil, `{"eventId":%q,"aggregateId":%q,"payload":{"saleId":%q,"note":"a \"quoted\" %s"},"metadata":{"source":"till","correlationId":%q,"causationId":%q}}`,
		e.ID, sale, sale, name, correlation, causation)
	h.Append(e)
}

// find gives what is found as lines: the names, indented by depth, with a star where it is named.
func (h *env) find(q trace.Query) (lines string, found trace.Found) {
	h.Helper()
	found = storetest.MustGet(trace.Find(h.Context(), h.DB, q))(h)
	names := map[uuid.UUID]string{}
	for name, id := range h.ids {
		names[id] = name
	}
	for _, e := range found.Events {
		star := ""
		if e.Named {
			star = "*"
		}
		lines += strings.Repeat(" ", e.Depth) + names[e.ID] + star + "\n"
	}
	return lines, found
}

// What leads to what is named and what follows from it are there, and what else their causes have led to is not.
func TestATreeHasWhatLeadsToANameAndWhatFollows(t *testing.T) {
	h := newEnv(t)
	h.append("root", "", "", "S-1")
	root := h.ids["root"].String()
	h.append("left", "root", root, "S-2")
	h.append("right", "root", root, "S-3")
	h.append("other", "", "", "S-10")
	h.append("leaf", "left", root, "S-4")
	h.append("leaf of right", "right", root, "S-5")
	h.append("orphan", "missing", "elsewhere", "S-6")
	h.append("later", "", "", "D-1") // of the same order as leaf of right
	h.append("alone", "", "elsewhere", "S-4")
	h.append("plain", "", "", "R&D <1>") // as its publisher wrote it
	for _, c := range []struct {
		q    trace.Query
		want string
	}{
		{trace.Query{Name: "S-2"}, "root\n left*\n  leaf\n"},
		{trace.Query{Name: root}, "root*\n left\n  leaf\n right\n  leaf of right\n"},
		{trace.Query{Name: h.ids["leaf"].String()}, "root\n left\n  leaf*\n"},
		{trace.Query{Name: "S-1"}, "root*\n left\n  leaf\n right\n  leaf of right\n"}, // and not S-10
		{trace.Query{Name: "elsewhere"}, "orphan*\nalone*\n"},
		{trace.Query{Name: "S-4"}, "root\n left\n  leaf*\nalone*\n"},
		{trace.Query{Name: "S-4", Limit: 1}, "alone*\n"},
		{trace.Query{Name: `a "quoted" other`}, "other*\n"},
		{trace.Query{Name: "S-2", Tenant: "shop"}, "root\n left*\n  leaf\n"},
		{trace.Query{Name: "S-2", Tenant: "another"}, ""},
		{trace.Query{Name: "R&D <1>"}, "plain*\n"},
		{trace.Query{Name: "S"}, ""},
		{trace.Query{Name: "%"}, ""},
		{trace.Query{Name: uuid.NewString()}, ""},
	} {
		got, found := h.find(c.q)
		if got != c.want || found.More != (c.q.Limit > 0) {
			t.Errorf("%+v finds\n%s, and more: %v; want\n%s", c.q, got, found.More, c.want)
		}
	}
}

// An order has a number that its own events alone mention, and an id by which what comes later names it.
func TestWhatAllNamedEventsAreOfIsNamedToo(t *testing.T) {
	h := newEnv(t)
	h.append("created", "", "", "order-1")
	h.append("approved", "created", h.ids["created"].String(), "order-1")
	for _, name := range []string{"created", "approved"} {
		h.Exec(`UPDATE event_log SET body = replace(body, '"saleId":"order-1"', '"poNumber":"PO-7"') WHERE event_id = $1`, h.ids[name])
	}
	h.append("received", "", "", "D-9")
	h.Exec(`UPDATE event_log SET body = replace(body, '"saleId":"D-9"', '"orderId":"order-1"') WHERE event_id = $1`, h.ids["received"])
	if got, _ := h.find(trace.Query{Name: "PO-7"}); got != "created*\n approved*\nreceived*\n" {
		t.Errorf("the order's number finds\n%s", got)
	}
}

// Each state of a delivery, and what was not to be delivered.
func TestWhereDeliveriesAre(t *testing.T) {
	h := newEnv(t)
	h.append("before", "", "c", "S-0")
	ticker, relay := h.NewTicker(), h.NewReader("relay")
	ticker.Tick()
	consumer := h.Consumer("ledger")
	states := []trace.State{trace.Handled, trace.Parked, trace.Discarded, trace.Quarantined, trace.Dead, trace.Unpublishable, trace.Deferred, trace.Retried, trace.Waiting}
	for _, s := range states {
		h.append(string(s), "", "c", "S-"+string(s))
	}
	letter := `INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, discarded_at, redriven_at)
		VALUES (gen_random_uuid(), 'ledger', $1::uuid, $1::uuid::text, 'SALE_COMPLETED', '', 'no', 1, $3::jsonb, '', now(), $2::timestamptz, $4::timestamptz)`
	failure := `INSERT INTO failure (try_id, consumer, event_id, message_id, type, version, attempt, error, fingerprint, class, dependency, outcome)
		VALUES (gen_random_uuid(), 'ledger', $1::uuid, $1::uuid::text, 'SALE_COMPLETED', '1.0', $2, $3, 'f', '', '', $4)`
	storetest.Must(t, h.InTx(t.Context(), func(tx store.Tx) error { h.Claims(tx, consumer, h.ids["handled"]); return nil }))
	h.Exec(`INSERT INTO parked_event (consumer, event_id, tenant_id, aggregate_id, message, body) VALUES ('ledger', $1, 'shop', 'S', '{}', '')`, h.ids["parked"])
	h.Exec(letter, h.ids["discarded"], "2026-02-09T12:00:00Z", "{}", nil)
	h.Exec(letter, h.ids["quarantined"], nil, `{"x-quarantine":"abc"}`, nil)
	h.Exec(letter, h.ids["dead"], nil, "{}", nil)
	h.Exec(letter, h.ids["waiting"], nil, "{}", "2026-02-09T12:00:00Z")
	h.Exec(`INSERT INTO unpublishable (seq, event_id, reason) SELECT seq, event_id, 'too large' FROM event_log WHERE event_id = $1`, h.ids["unpublishable"])
	h.Exec(failure, h.ids["deferred"], 1, "first", "retried")
	h.Exec(failure, h.ids["deferred"], 1, "second", "deferred")
	h.Exec(failure, h.ids["retried"], 1, "no stock", "retried")
	h.Exec(failure, h.ids["handled"], 1, "no stock", "retried")
	ticker.Tick()
	relay.ReadAll(100)
	h.append(string(trace.Unpublished), "", "c", "S-unpublished")

	_, found := h.find(trace.Query{Name: "c"})
	if len(found.Events) != len(states)+2 {
		t.Fatalf("%d events are found", len(found.Events))
	}
	for _, s := range append(states, trace.Unpublished) {
		e := storetest.MustGet(trace.Get(t.Context(), h.DB, h.ids[string(s)], nil, nil))(t)
		if e == nil || len(e.Deliveries) != 1 || e.Deliveries[0].Consumer != "ledger" || e.Deliveries[0].State != s {
			t.Errorf("want a delivery that is %s: %+v", s, e)
			continue
		}
		for _, f := range found.Events {
			if f.ID == e.ID && (len(f.Deliveries) != 1 || f.Deliveries[0].State != s) {
				t.Errorf("in the tree a delivery that is %s is %+v", s, f.Deliveries)
			}
		}
		want := map[trace.State]int{trace.Handled: 1, trace.Deferred: 2, trace.Retried: 1}[s]
		if tries := e.Deliveries[0].Tries; len(tries) != want || want == 2 && tries[1].Error != "second" {
			t.Errorf("a delivery that is %s has failed so: %+v", s, tries)
		}
	}
	if e := storetest.MustGet(trace.Get(t.Context(), h.DB, h.ids["before"], nil, nil))(t); e == nil || len(e.Deliveries) != 0 {
		t.Errorf("an event from before the subscription: %+v", e)
	}
}

// An event says what it is by its body as it was published, and progress ends at all there is.
func TestAnEventAsItWasPublished(t *testing.T) {
	h := newEnv(t)
	h.append("first", "", "", "S-1")
	h.append("second", "first", "c", "S-2")
	var read, all int64
	e := storetest.MustGet(trace.Get(t.Context(), h.DB, h.ids["second"], nil, func(r, a int64) { read, all = r, a }))(t)
	if e.Source != "till" || e.CorrelationID != "c" || e.CausationID != h.ids["first"].String() || e.Type != string(event.TypeSaleCompleted) ||
		!strings.Contains(string(e.Body), `"saleId":"S-2"`) || e.Publisher != "" || read != all || all == 0 {
		t.Errorf("the event is %+v, read to %d of %d", e, read, all)
	}
	if e := storetest.MustGet(trace.Get(t.Context(), h.DB, uuid.New(), nil, nil))(t); e != nil {
		t.Errorf("an event that is not there: %+v", e)
	}
}
