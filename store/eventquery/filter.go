package eventquery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
	"github.com/composerp/composerp/store/trace"
)

// Filter selects events; all that is set must hold. Its zero value selects all.
type Filter struct {
	Types  []event.Type
	Tenant string
	// Aggregate is the aggregateId of the envelope.
	Aggregate string
	ID        uuid.NullUUID
	// Correlation is a correlationId, or the id of the event that has begun it.
	Correlation string
	// Item, Location, Order and Sale are those that the payload names; Order by its id or its number.
	Item, Location, Order, Sale string
	// Path is a path of SQL/JSON on the envelope. It holds where it yields anything but false and null.
	Path string
	// The business time, from one moment to before another; zero: no bound.
	OccurredFrom, OccurredTo time.Time
	// The time at which the event was logged. An event of a version that did not note it is in no bounds.
	LoggedFrom, LoggedTo time.Time
	// DateFrom and DateTo are the first and the last business date, in the zone of the event's location, UTC where it
	// names none; "": no bound.
	DateFrom, DateTo event.Date
	// After: only what is past this place of the log.
	After int64
}

// ErrPath is the error of a Path that PostgreSQL cannot read.
var ErrPath = errors.New("no path of SQL/JSON")

var readPath = pg.SQL(`SELECT $1::jsonpath IS NOT NULL`)

// check reports a path that cannot be read before the log is.
func (f *Filter) check(ctx context.Context, db *store.DB) error {
	if f.Path == "" {
		return nil
	}
	_, err := pg.One[bool](ctx, db, "reading the path", readPath, f.Path)
	if refused, ok := errors.AsType[*pq.Error](err); ok && (refused.Code.Class() == "42" || refused.Code.Class() == "22") {
		return fmt.Errorf("%w: %s", ErrPath, refused.Message)
	}
	return err
}

// matchSQL is the filter as a condition on the event e. The cheap parts come first; a body is read as JSON only where a
// text that it must hold stands in it. A body that writes characters by escapes is always read.
const matchSQL = `($1 = '' OR e.tenant_id = $1) AND ($2::text[] IS NULL OR e.type = ANY ($2)) AND ($3 = '' OR e.aggregate_id = $3)
  AND ($4::uuid IS NULL OR e.event_id = $4)
  AND ($5::timestamptz IS NULL OR e.occurred_at >= $5) AND ($6::timestamptz IS NULL OR e.occurred_at < $6)
  AND ($7::timestamptz IS NULL OR e.logged_at >= $7) AND ($8::timestamptz IS NULL OR e.logged_at < $8)
  AND ($9::date IS NULL OR e.occurred_at >= $9::timestamp AT TIME ZONE 'UTC' - interval '1 day')
  AND ($10::date IS NULL OR e.occurred_at < $10::timestamp AT TIME ZONE 'UTC' + interval '2 days')
  AND CASE
      WHEN $11::text[] IS NOT NULL AND strpos(e.body, '\') = 0 AND NOT EXISTS (SELECT FROM unnest($11) AS quoted WHERE strpos(e.body, quoted) > 0) THEN false
      WHEN $12::jsonpath IS NOT NULL AND NOT coalesce(jsonb_path_match(e.body::jsonb, $12, $13::jsonb, true), false) THEN false
      WHEN $14::jsonpath IS NOT NULL AND NOT EXISTS (
           SELECT FROM jsonb_path_query(e.body::jsonb, $14, '{}', true) AS found WHERE found NOT IN ('false'::jsonb, 'null'::jsonb)) THEN false
      WHEN $9 IS NULL AND $10 IS NULL THEN true
      ELSE (SELECT ($9 IS NULL OR day >= $9) AND ($10 IS NULL OR day <= $10) FROM (
           SELECT (e.occurred_at AT TIME ZONE coalesce((
               SELECT l.timezone FROM location l
               WHERE l.tenant_id = e.tenant_id
                 AND l.location_id = coalesce(e.body::jsonb #>> '{payload,locationId}', e.body::jsonb #>> '{payload,fromLocationId}')), 'UTC'))::date AS day) d)
      END`

// match are the arguments of matchSQL.
func (f *Filter) match(ctx context.Context, db *store.DB) ([]any, error) {
	names, err := f.orderNames(ctx, db)
	if err != nil {
		return nil, err
	}
	conditions, vars, needles := f.conditions(names)
	var quoted any = (pq.StringArray)(nil)
	if len(needles) > 0 {
		texts := pq.StringArray{}
		for _, n := range needles {
			forms, err := trace.Quotations(n)
			if err != nil {
				return nil, fmt.Errorf("looking for %q: %w", n, err)
			}
			texts = append(texts, forms...)
		}
		quoted = texts
	}
	given, err := json.Marshal(vars)
	if err != nil {
		return nil, fmt.Errorf("reading the filter: %w", err)
	}
	var types any = (pq.StringArray)(nil)
	if len(f.Types) > 0 {
		list := pq.StringArray{}
		for _, t := range f.Types {
			list = append(list, string(t))
		}
		types = list
	}
	return []any{
		f.Tenant, types, f.Aggregate, f.ID, bound(f.OccurredFrom), bound(f.OccurredTo), bound(f.LoggedFrom), bound(f.LoggedTo),
		sqlvalue.Nullable(string(f.DateFrom)), sqlvalue.Nullable(string(f.DateTo)),
		quoted, sqlvalue.Nullable(strings.Join(conditions, " && ")), string(given), sqlvalue.Nullable(f.Path),
	}, nil
}

// conditions are what the envelope must fulfil, the values that they name, and the texts of the rarest one: a body that
// fulfils it holds one of them.
func (f *Filter) conditions(orders []string) (conditions []string, vars map[string]any, needles []string) {
	vars = map[string]any{}
	add := func(name, condition string, value any, texts ...string) {
		conditions, vars[name], needles = append(conditions, "("+condition+")"), value, texts
	}
	if f.Location != "" {
		add("location", "$.payload.locationId == $location || $.payload.fromLocationId == $location || $.payload.toLocationId == $location", f.Location, f.Location)
	}
	if f.Item != "" {
		add("item", "$.payload.itemId == $item || $.payload.lines[*].itemId == $item", f.Item, f.Item)
	}
	if f.Correlation != "" {
		add("correlation", "$.metadata.correlationId == $correlation || $.eventId == $correlation", f.Correlation, f.Correlation)
	}
	if f.Order != "" {
		add("orders", "$.payload.purchaseOrderId == $orders[*] || $.payload.poNumber == $orders[*]", orders, orders...)
	}
	if f.Sale != "" {
		add("sale", "$.payload.saleId == $sale", f.Sale, f.Sale)
	}
	return conditions, vars, needles
}

var orderNames = pg.SQL(`
SELECT unnest(ARRAY[purchase_order_id, po_number]) FROM purchase_order
WHERE (purchase_order_id = $1 OR po_number = $1) AND ($2 = '' OR tenant_id = $2)`)

// orderNames are the ids and numbers by which events may name the order.
func (f *Filter) orderNames(ctx context.Context, db *store.DB) ([]string, error) {
	if f.Order == "" {
		return nil, nil
	}
	names, err := pg.List[string](ctx, db, fmt.Sprintf("reading the order %s", f.Order), orderNames, f.Order, f.Tenant)
	return append(names, f.Order), err
}

func bound(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at
}
