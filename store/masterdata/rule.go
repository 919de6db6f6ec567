package masterdata

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// The modes of a rule.
const (
	// RuleFixed: the reorder point is the given one.
	RuleFixed = "fixed"
	// RuleAuto: the reorder point follows the forecast for the rule's service level.
	RuleAuto = "auto"
)

// ruleNamespace is the UUID namespace of replenishment rules (RFC 9562, 5.5).
var ruleNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/replenishment-rule"))

// RuleID is the id of a position's replenishment rule, a name-based UUID of tenant, item and location: the aggregate
// id of the rule's events.
func RuleID(k PositionKey) string {
	return uuid.NewSHA1(ruleNamespace, []byte(k.Tenant+"\x00"+k.Item+"\x00"+k.Location)).String()
}

// Rule says when and how much of an item is ordered for a location, and when its stock is low. Without a supplier, or
// fixed without a reorder point, it only watches.
type Rule struct {
	Tenant   string `db:"tenant_id" json:"tenantId"`
	Item     string `db:"item_id" json:"itemId"`
	Location string `db:"location_id" json:"locationId"`
	// Mode is RuleFixed or RuleAuto; empty means RuleFixed.
	Mode string `db:"mode" json:"mode"`
	// Supplier must exist; empty: nothing is ordered.
	Supplier string `db:"supplier_id" json:"supplierId"`
	// ReorderPoint: at or below it more is ordered. In mode auto it applies until there is a forecast.
	ReorderPoint *event.Decimal `db:"reorder_point" json:"reorderPoint"`
	// OrderUpTo or OrderQuantity, one of them, says how much; with neither, mode auto orders for CoverDays of expected
	// demand.
	OrderUpTo     *event.Decimal `db:"order_up_to" json:"orderUpTo"`
	OrderQuantity *event.Decimal `db:"order_quantity" json:"orderQuantity"`
	// PackSize: orders are whole packs of this size; nil: the item's pack.
	PackSize     *event.Decimal `db:"pack_size" json:"packSize"`
	MinimumOrder event.Decimal  `db:"minimum_order" json:"minimumOrder"`
	// ServiceLevel is the share of replenishment cycles without a stock-out that mode auto aims at; 0 means 0.95.
	ServiceLevel event.Decimal `db:"service_level" json:"serviceLevel"`
	// CoverDays: 0 means 14.
	CoverDays int `db:"cover_days" json:"coverDays"`
	// LowStockThreshold: stock below it is reported as low; nil: never.
	LowStockThreshold *event.Decimal `db:"low_stock_threshold" json:"lowStockThreshold"`
	// Version counts the rule's changes from 1. The store maintains it.
	Version int64 `db:"version" json:"version"`
}

// Key is the position that the rule is for.
func (r *Rule) Key() PositionKey { return PositionKey{r.Tenant, r.Item, r.Location} }

func (r *Rule) begin() {
	r.Mode = cmp.Or(r.Mode, RuleFixed)
	if r.ServiceLevel.IsZero() {
		r.ServiceLevel = event.Decimal{Decimal: event.NewDecimal(95).Shift(-2)}
	}
	r.CoverDays = cmp.Or(r.CoverDays, 14)
}

const maxCoverDays = 3650

func (r *Rule) checkKey() error {
	return firstError(checkID("tenantId", r.Tenant), checkID("itemId", r.Item), checkLocation("locationId", r.Location))
}

// Check validates the rule; the error is an *InvalidError.
func (r *Rule) Check() error {
	err := firstError(
		r.checkKey(),
		checkNotNegative("reorderPoint", r.ReorderPoint), checkNotNegative("orderUpTo", r.OrderUpTo),
		checkPositive("orderQuantity", r.OrderQuantity), checkPositive("packSize", r.PackSize),
		checkNotNegative("minimumOrder", &r.MinimumOrder), checkNotNegative("lowStockThreshold", r.LowStockThreshold),
		checkDigits("serviceLevel", &r.ServiceLevel), checkRange("coverDays", r.CoverDays, 1, maxCoverDays),
	)
	if err == nil && r.Supplier != "" {
		err = checkID("supplierId", r.Supplier)
	}
	if err != nil {
		return err
	}
	half, whole := event.Decimal{Decimal: event.NewDecimal(5).Shift(-1)}, event.NewDecimal(1)
	switch {
	case r.Mode != RuleFixed && r.Mode != RuleAuto:
		return invalid("mode", "want fixed or auto, got %q", r.Mode)
	case r.ServiceLevel.Cmp(half) <= 0 || r.ServiceLevel.Cmp(whole) >= 0:
		return invalid("serviceLevel", "want a share between 0.5 and 1, such as 0.95, got %s", r.ServiceLevel)
	case r.OrderUpTo != nil && r.OrderQuantity != nil:
		return invalid("orderQuantity", "want either orderQuantity or orderUpTo, got both")
	case r.OrderUpTo != nil && r.ReorderPoint != nil && r.OrderUpTo.Cmp(*r.ReorderPoint) <= 0:
		return invalid("orderUpTo", "want more than the reorder point %s, got %s", r.ReorderPoint, r.OrderUpTo)
	case r.orders() && r.Mode == RuleFixed && r.OrderUpTo == nil && r.OrderQuantity == nil:
		return invalid("orderQuantity", "missing: a fixed rule that orders needs orderQuantity or orderUpTo")
	}
	return nil
}

// orders reports whether the rule does more than watch.
func (r *Rule) orders() bool {
	return r.Supplier != "" && (r.Mode == RuleAuto || r.ReorderPoint != nil)
}

var rules = kind[Rule, *Rule]{
	what:      "replenishment rules",
	table:     "replenishment_rule",
	keys:      3,
	nullable:  "supplier_id",
	versioned: true,
	verify:    checkSuppliersKnown,
}.withStatements()

// SetRules replaces the rules as a whole and returns how many are new or changed: each of these has a new version and
// emits RULE_CHANGED, in the same transaction. The event's business time is the position's last movement, or at when
// the stock read model knows of none.
//
// Missing items and locations are made, incomplete. With an unknown supplier or an invalid rule it returns an
// *InvalidError and sets nothing.
func SetRules(ctx context.Context, db *store.DB, list []Rule, at time.Time) (changed int, err error) {
	edits := replaceEdits(list, func(row, given *Rule) {
		given.begin()
		given.Version = row.Version
	})
	w, err := EditRules(ctx, db, edits, at, false)
	return w.New + w.Changed, err
}

// EditRules changes parts of rules; a dry run only checks the edits and reports what they would do.
func EditRules(ctx context.Context, db *store.DB, edits []Edit[Rule], at time.Time, dryRun bool) (Written, error) {
	written := rules
	written.write = func(ctx context.Context, tx store.Tx, rows []*edited[Rule]) error {
		return writeRules(ctx, tx, rows, at)
	}
	return written.edit(ctx, db, edits, dryRun)
}

// Rules lists rules by key.
func Rules(ctx context.Context, db *store.DB, f Filter) ([]Rule, error) {
	return rules.list(ctx, db, f)
}

var orderingLocations = pg.SQL(`
SELECT DISTINCT tenant_id, location_id FROM replenishment_rule WHERE supplier_id IS NOT NULL AND (mode = 'auto' OR reorder_point IS NOT NULL)`)

// OrderingLocations returns the locations with a rule that orders.
func OrderingLocations(ctx context.Context, db *store.DB) (map[LocationKey]bool, error) {
	return pg.Set[LocationKey](ctx, db, "reading where rules order", orderingLocations)
}

var unknownSuppliers = pg.SQL(`
SELECT k.ord FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, supplier_id, ord)
WHERE k.supplier_id <> '' AND NOT EXISTS (SELECT FROM supplier s WHERE s.tenant_id = k.tenant_id AND s.supplier_id = k.supplier_id)
ORDER BY k.ord LIMIT 1`)

// checkSuppliersKnown refuses a rule with an unknown supplier.
func checkSuppliersKnown(ctx context.Context, tx store.Tx, rows []*edited[Rule]) error {
	columns := pg.NewColumns(2, len(rows))
	for _, e := range rows {
		columns.Add(e.row.Tenant, e.row.Supplier)
	}
	ords, err := pg.List[int](ctx, tx, "reading their suppliers", unknownSuppliers, columns...)
	if err != nil || len(ords) == 0 {
		return err
	}
	e := rows[ords[0]-1]
	return inRow(e.first, invalid("supplierId", "tenant %s has no supplier %q; set the supplier first", e.row.Tenant, e.row.Supplier))
}

// plannerSource is the source of RULE_CHANGED events.
const plannerSource = "planner"

// ruleChanged returns the event of a rule's new version.
func ruleChanged(k PositionKey, version int64, at time.Time) (event.Any, error) {
	id := RuleID(k)
	return event.Encode(event.Envelope{
		ID: event.TimerID(plannerSource, id, strconv.FormatInt(version, 10)), AggregateID: id, TenantID: k.Tenant, Timestamp: at,
		Metadata: event.Metadata{Source: plannerSource, Sequence: version},
	}, event.RuleChanged{RuleID: id, ItemID: k.Item, LocationID: k.Location})
}
