package eventquery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/storetest"
)

// logged appends an event with a body of the test's own and returns its id.
func logged(p *storetest.Env, kind event.Type, tenant, aggregate string, at time.Time, body string) uuid.UUID {
	p.Helper()
	id := uuid.New()
	p.Append(event.Any{
		Envelope: event.Envelope{ID: id, Type: kind, AggregateID: aggregate, TenantID: tenant, Timestamp: at, Version: "1.0"},
		Body:     []byte(strings.ReplaceAll(body, "ID", id.String())),
	})
	return id
}

// found are the events of a query, one text each.
func found(t *testing.T, p *storetest.Env, q eventquery.Query) (names []string, result eventquery.Result) {
	t.Helper()
	result, err := eventquery.Each(t.Context(), p.DB, q, func(events []eventquery.Event) error {
		for _, e := range events {
			names = append(names, e.Aggregate)
		}
		return nil
	})
	storetest.Must(t, err)
	return names, result
}

func TestFilters(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 3)
	p.Exec(`INSERT INTO location (tenant_id, location_id, kind, timezone) VALUES ('shop', 'TYO', 'stock', 'Asia/Tokyo')`)
	p.Exec(`INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, created_at)
		VALUES ('shop', 'order-1', 'PO-2026-000001', 's', 'TYO', 0, true, 'PENDING', now())`)
	noon := storetest.Morning // 12:00 UTC of 9 February: 21:00 in Tokyo
	first := logged(p, event.TypeSaleCompleted, "shop", "a", noon, `{"eventId":"ID","payload":{"saleId":"S1","itemId":"café","locationId":"TYO","quantity":12.5}}`)
	logged(p, event.TypeInventoryUpdated, "shop", "b", noon.Add(4*time.Hour), `{"eventId":"ID","payload":{"itemId":"caf\u00e9","locationId":"TYO","quantity":-3},"metadata":{"correlationId":"`+first.String()+`"}}`)
	logged(p, event.TypePurchaseOrderCreated, "shop", "c", noon.Add(time.Hour), `{"eventId":"ID","payload":{"purchaseOrderId":"order-1","poNumber":"PO-2026-000001","lines":[{"itemId":"café","quantity":4},{"itemId":"tea","quantity":40}]}}`)
	logged(p, event.TypeReceiptCompleted, "other", "d", noon.Add(24*time.Hour), `{"eventId":"ID","payload":{"itemId":"tea","locationId":"LON","purchaseOrderId":"order-1","quantity":40,"note":"caf\u0000é"},"metadata":{"history":true}}`)
	logged(p, event.TypeTransferInitiated, "shop", "e", noon, `{"eventId":"ID","payload":{"itemId":"tea","fromLocationId":"TYO","toLocationId":"LON","quantity":"x"}}`)
	logged(p, event.TypeSaleCompleted, "shop", "f", noon, `no JSON at all`)
	later := time.Now().Truncate(time.Hour).Add(24 * time.Hour) // than all ticks
	p.Exec(`UPDATE event_log SET logged_at = $1::timestamptz + seq * interval '1 hour'`, later)
	day := event.Date("2026-02-09")
	for name, c := range map[string]struct {
		eventquery.Filter
		want string
		bad  int // bodies that cannot be read
	}{
		"nothing":            {want: "a b c d e f"},
		"types":              {Filter: eventquery.Filter{Types: []event.Type{event.TypeSaleCompleted, event.TypeReceiptCompleted}}, want: "a d f"},
		"tenant":             {Filter: eventquery.Filter{Tenant: "other"}, want: "d"},
		"aggregate":          {Filter: eventquery.Filter{Aggregate: "c"}, want: "c"},
		"id":                 {Filter: eventquery.Filter{ID: uuid.NullUUID{UUID: first, Valid: true}}, want: "a"},
		"correlation":        {Filter: eventquery.Filter{Correlation: first.String()}, want: "a b", bad: 1},
		"item":               {Filter: eventquery.Filter{Item: "café"}, want: "a b c", bad: 1}, // of d, with \u0000
		"item and location":  {Filter: eventquery.Filter{Item: "tea", Location: "LON"}, want: "e", bad: 1},
		"order by number":    {Filter: eventquery.Filter{Order: "PO-2026-000001", Tenant: "shop"}, want: "c"},
		"sale":               {Filter: eventquery.Filter{Sale: "S1"}, want: "a", bad: 1},
		"item not in quotes": {Filter: eventquery.Filter{Item: "caf"}, bad: 1},
		"a predicate":        {Filter: eventquery.Filter{Path: `$.payload.quantity > 10`}, want: "a", bad: 2},
		"a filter":           {Filter: eventquery.Filter{Path: `$.payload.lines[*] ? (@.quantity > 10)`}, want: "c", bad: 2},
		"a value":            {Filter: eventquery.Filter{Path: `$.payload.poNumber`}, want: "c", bad: 2},
		"false":              {Filter: eventquery.Filter{Path: `$.payload.quantity < 0`, Types: []event.Type{event.TypeInventoryUpdated}}, want: "b"},
		"another kind":       {Filter: eventquery.Filter{Path: `$.payload.quantity == 1`, Types: []event.Type{event.TypeTransferInitiated}}},
		"occurred":           {Filter: eventquery.Filter{OccurredFrom: noon.Add(time.Hour), OccurredTo: noon.Add(5 * time.Hour)}, want: "b c"},
		"logged":             {Filter: eventquery.Filter{LoggedFrom: later.Add(2 * time.Hour), LoggedTo: later.Add(4 * time.Hour)}, want: "b c"},
		// It is one o'clock of the next day in Tokyo when b happens; the order names no location.
		"business date":  {Filter: eventquery.Filter{DateFrom: day, DateTo: day, Tenant: "shop", Types: []event.Type{event.TypeInventoryUpdated, event.TypePurchaseOrderCreated, event.TypeTransferInitiated}}, want: "c e"},
		"business dates": {Filter: eventquery.Filter{DateFrom: "2026-02-10", Tenant: "shop", Types: []event.Type{event.TypeInventoryUpdated, event.TypeTransferInitiated}}, want: "b"},
		"after":          {Filter: eventquery.Filter{After: 4}, want: "e f"},
	} {
		for _, reverse := range []bool{false, true} {
			got, result := found(t, p, eventquery.Query{Filter: c.Filter, Reverse: reverse})
			if reverse {
				slices.Reverse(got)
			}
			if text := strings.Join(got, " "); text != c.want || result.Unreadable != c.bad {
				t.Errorf("%s: found %q and %d unreadable, want %q and %d", name, text, result.Unreadable, c.want, c.bad)
			}
		}
	}
}

func TestAnEventFromOutsideIsFoundByAdmission(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	for range 3 {
		p.Append(storetest.Sale("a"))
	}
	id := storetest.One[string](t, p.SQL(), `SELECT event_id::text FROM event_log WHERE seq = 2`)
	p.Exec(`INSERT INTO admission (event_id, body_sha256, seq) VALUES ($1, '', 2)`, id)
	var places int64
	q := eventquery.Query{Filter: eventquery.Filter{ID: uuid.NullUUID{UUID: uuid.MustParse(id), Valid: true}}, Progress: func(read, all int64) { places = all }}
	if got, _ := found(t, p, q); len(got) != 1 || places != 1 {
		t.Errorf("found %q in %d places, want one event and its place alone", got, places)
	}
}

func TestAPathThatIsNone(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	for _, path := range []string{`$.payload.quantity >`, `quantity`, `$.a like_regex "("`, `$x.a ==`} {
		_, err := eventquery.Each(t.Context(), p.DB, eventquery.Query{Filter: eventquery.Filter{Path: path}}, nil)
		storetest.IsError(t, err, eventquery.ErrPath)
	}
}

// Pages, parts and limits are seams that do not show.
func TestPagesAndLimits(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	const events = 120_000 // several parts
	p.Exec(fmt.Sprintf(fillSQL, events))
	p.Exec(`DELETE FROM event_log WHERE seq BETWEEN 60000 AND 61000`)
	// Pages that are full by bytes.
	p.Exec(`UPDATE event_log SET body = '{"pad":"' || repeat('x', 900000) || '"}' WHERE seq % 10000 = 0`)
	for _, reverse := range []bool{false, true} {
		var last int64
		count, pages := 0, 0
		result, err := eventquery.Each(t.Context(), p.DB, eventquery.Query{Reverse: reverse}, func(page []eventquery.Event) error {
			pages++
			for _, e := range page {
				if last != 0 && (e.Seq < last) != reverse {
					return fmt.Errorf("place %d comes after %d", e.Seq, last)
				}
				last = e.Seq
				count++
			}
			return nil
		})
		storetest.Must(t, err)
		if count != events-1001 || result.More || pages < events/2000 {
			t.Errorf("%d events on %d pages, more: %t", count, pages, result.More)
		}
	}
	for limit, more := range map[int]bool{1: true, 2000: true, 2001: true, 118_999: false, 200_000: false} {
		got, result := found(t, p, eventquery.Query{Limit: limit})
		if len(got) != min(limit, events-1001) || result.More != more {
			t.Errorf("limit %d: %d events, more: %t", limit, len(got), result.More)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := eventquery.Each(ctx, p.DB, eventquery.Query{}, func([]eventquery.Event) error { cancel(); return nil })
	storetest.IsError(t, err, context.Canceled)
	enough := errors.New("enough")
	_, err = eventquery.Each(t.Context(), p.DB, eventquery.Query{}, func([]eventquery.Event) error { return enough })
	storetest.IsError(t, err, enough)
}

const fillSQL = `INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
	SELECT 1, true, now(), gen_random_uuid(), 'shop', 'SALE_COMPLETED', '1.0', 'a', '', '{"payload":{"quantity":' || i || '}}' FROM generate_series(1, %d) i`
