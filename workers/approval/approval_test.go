package approval_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/approval"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// office is where orders of 100 are approved by policy, if no test says otherwise.
type office struct {
	testing.TB
	url string
	db  *store.DB
}

func newOffice(t testing.TB, limit string) office {
	o := office{TB: t, url: storetest.URL(t)}
	o.db = storetest.Open(t, o.url, 6)
	storetest.Exec(t, o.url, `INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ($1, nullif($2, '')::numeric)`, workertest.Tenant, limit)
	return o
}

// order writes an order as replenishment does, and gives the event of it.
func (o office) order(id, total string, priced bool) event.Any {
	o.Helper()
	storetest.Exec(o, o.url, `INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, correlation_id, created_at)
		VALUES ($1, $2, 'PO-' || $2, 'smith', 'shop', $3::numeric, $4, 'PENDING', 'S1', $5)`, workertest.Tenant, id, total, priced, workertest.Day)
	storetest.Exec(o, o.url, `INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, ordinal, rule_version, sequence, available, on_order, reorder_point)
		VALUES ($1, $2, 'cup', 'shop', 10, 1, 1, 1, 0, 0, 1)`, workertest.Tenant, id)
	return workertest.Event(o, event.PurchaseOrderCreated{
		PurchaseOrderID: id, PONumber: "PO-" + id, SupplierID: "smith", LocationID: "shop", TotalAmount: workertest.Decimal(total), Status: event.PurchaseOrderPending,
		Lines: []event.PurchaseOrderLine{{ItemID: "cup", Quantity: workertest.Decimal("10")}},
	})
}

func (o office) handle(events ...event.Any) []event.Any {
	o.Helper()
	said, err := workertest.Handle(o, o.db, approval.New(), events...)
	if err != nil {
		o.Fatal(err)
	}
	return said
}

func (o office) status(id string) string {
	o.Helper()
	return storetest.Value[string](o, o.url, `SELECT concat_ws(' ', status, nullif(decided_by, ''), nullif(reason, '')) FROM purchase_order WHERE purchase_order_id = $1`, id)
}

func key(id string) purchasing.OrderKey {
	return purchasing.OrderKey{Tenant: workertest.Tenant, Order: id}
}

func TestWhatThePolicyApproves(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	for name, c := range map[string]struct {
		limit, total string
		priced       bool
		status       string
	}{
		"below the limit":          {"100", "99.99", true, "APPROVED policy"},
		"at it":                    {"100", "100", true, "APPROVED policy"},
		"above it":                 {"100", "100.000001", true, "PENDING"},
		"no limit set":             {"", "1", true, "PENDING"},
		"a limit of zero":          {"0", "0.01", true, "PENDING"},
		"a price not known":        {"100", "0", false, "PENDING"},
		"free, and known to be so": {"100", "0", true, "APPROVED policy"},
	} {
		storetest.Exec(t, o.url, `UPDATE tenant_setting SET approval_limit = nullif($1, '')::numeric`, c.limit)
		said := o.handle(o.order(name, c.total, c.priced))
		if got := o.status(name); got != c.status {
			t.Errorf("%s: want %s, got %s", name, c.status, got)
		}
		if approved := strings.HasPrefix(c.status, "APPROVED"); (len(said) == 1) != approved {
			t.Errorf("%s: %d events were said", name, len(said))
		}
		for _, e := range said {
			p := e.Payload.(event.PurchaseOrderApproved)
			if p.PurchaseOrderID != name || p.ApprovedBy != approval.Policy || !p.ApprovedAt.Equal(workertest.Day) || e.Metadata.Sequence != 2 {
				t.Errorf("%s: got %+v of %d", name, p, e.Metadata.Sequence)
			}
		}
	}
}

// The limit is in the tenant's currency: an order in another one is not compared with it.
func TestTheLimitHasACurrency(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	for name, c := range map[string]struct{ limit, order, status string }{
		"neither has one":         {"", "", "APPROVED policy"},
		"both have one":           {"EUR", "EUR", "APPROVED policy"},
		"another one":             {"EUR", "CHF", "PENDING"},
		"the tenant has none":     {"", "CHF", "PENDING"},
		"the order is from early": {"EUR", "", "PENDING"},
	} {
		storetest.Exec(t, o.url, `UPDATE tenant_setting SET currency = $1`, c.limit)
		created := o.order(name, "50", true)
		storetest.Exec(t, o.url, `UPDATE purchase_order SET currency = $2 WHERE purchase_order_id = $1`, name, c.order)
		o.handle(created)
		if got := o.status(name); got != c.status {
			t.Errorf("%s: want %s, got %s", name, c.status, got)
		}
	}
}

// An order that is not in the tables is never approved, whatever its event has; a tenant without settings has no limit.
func TestTheBooksDecide(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	large := o.order("o-1", "5000", true)
	small := large.Payload.(event.PurchaseOrderCreated)
	small.TotalAmount = workertest.Decimal("1")
	unknown := small
	unknown.PurchaseOrderID = "unknown"
	if said := o.handle(workertest.Event(t, small), workertest.Event(t, unknown)); len(said) != 0 || o.status("o-1") != "PENDING" {
		t.Errorf("an order of 5000 is %s, %d events were said", o.status("o-1"), len(said))
	}
	storetest.Exec(t, o.url, `DELETE FROM tenant_setting`)
	if said := o.handle(o.order("o-2", "1", true)); len(said) != 0 {
		t.Error("an order was approved without a limit")
	}
}

// The inbox has forgotten an order that was approved: it is not approved again.
func TestAnOrderIsApprovedOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	e := o.order("o-1", "1", true)
	first := o.handle(e, e)
	storetest.Exec(t, o.url, `DELETE FROM inbox`)
	if again := o.handle(e); len(first) != 1 || len(again) != 0 {
		t.Errorf("%d and %d approvals were said", len(first), len(again))
	}
}

// A decision commits with its entry in the operator log, or not at all.
func TestADecisionThatTheOperatorLogDoesNotTakeIsNone(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	o.handle(o.order("o-1", "5000", true), o.order("o-2", "5000", true))
	ann := operatorlog.By{Operator: "ann", Reason: "urgent"}
	storetest.Exec(t, o.url, `ALTER TABLE operator_log ADD CONSTRAINT refused CHECK (operator <> 'ann')`)
	pending, logged := o.status("o-1"), storetest.Value[int](t, o.url, `SELECT count(*) FROM event_log`)
	_, approving := approval.Approve(t.Context(), o.db, key("o-1"), ann)
	_, rejecting := approval.Reject(t.Context(), o.db, key("o-2"), ann)
	if approving == nil || rejecting == nil || o.status("o-1") != pending || o.status("o-2") != pending ||
		storetest.Value[int](t, o.url, `SELECT count(*) FROM event_log`) != logged {
		t.Errorf("there are decisions without an entry: %s, %s; %v, %v", o.status("o-1"), o.status("o-2"), approving, rejecting)
	}
	storetest.Exec(t, o.url, `ALTER TABLE operator_log DROP CONSTRAINT refused`)
	storetest.MustGet(approval.Approve(t.Context(), o.db, key("o-1"), ann))(t)
	if got := o.status("o-1"); got != "APPROVED ann" {
		t.Errorf("the order keeps %q: the reason of an approval is the operator log's", got)
	}
	entries := storetest.MustGet(operatorlog.List(t.Context(), o.db, operatorlog.Query{}))(t)
	if len(entries) != 1 || entries[0].Action != "po approve" || entries[0].Subject != "PO-o-1" || entries[0].Reason != "urgent" {
		t.Errorf("the operator log has %+v", entries)
	}
}

func TestAPersonDecides(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	created := []event.Any{o.order("o-1", "5000", true), o.order("o-2", "5000", true)}
	o.handle(created...)
	// The shop has gone on since: a decision is of its day, not of the order's nor of the clock's.
	later := workertest.Day.Add(50 * time.Hour)
	storetest.Exec(t, o.url, `INSERT INTO replenishment_state (tenant_id, item_id, location_id, latest_at) VALUES ($1, 'cup', 'shop', $2)`, workertest.Tenant, later)
	if d, err := approval.Approve(t.Context(), o.db, key("o-1"), operatorlog.By{Operator: "ann"}); err != nil || d.Number != "PO-o-1" || !d.DecidedAt.Equal(later) {
		t.Fatalf("got %+v, %v", d, err)
	}
	before := time.Now().Add(-time.Minute)
	if _, err := approval.Reject(t.Context(), o.db, key("o-2"), operatorlog.By{Operator: "bob", Reason: "too dear"}); err != nil {
		t.Fatal(err)
	}
	if got := o.status("o-1") + ", " + o.status("o-2"); got != "APPROVED ann, CANCELLED bob too dear" {
		t.Errorf("got %s", got)
	}
	said := o.logged()
	if len(said) != 2 {
		t.Fatalf("want two events in the log, got %d", len(said))
	}
	approved, isApproved := said[0].Payload.(event.PurchaseOrderApproved)
	cancelled, isCancelled := said[1].Payload.(event.PurchaseOrderCancelled)
	if !isApproved || approved.ApprovedBy != "ann" || !approved.ApprovedAt.Equal(later) || approved.PurchaseOrderID != "o-1" {
		t.Errorf("got %+v", said[0])
	}
	if !isCancelled || cancelled.DecisionMadeAt.Before(before) || cancelled != (event.PurchaseOrderCancelled{
		PurchaseOrderID: "o-2", Reason: "too dear", CancelledBy: "bob", PONumber: "PO-o-2", DecisionMadeAt: cancelled.DecisionMadeAt,
	}) {
		t.Errorf("got %+v", said[1])
	}
	if approved.PONumber != "PO-o-1" || approved.DecisionMadeAt.IsZero() {
		t.Errorf("got %+v", approved)
	}
	for i, e := range said {
		if e.Metadata.CausationID != created[i].ID.String() {
			t.Errorf("the cause of %s is %q, want %s", e.AggregateID, e.Metadata.CausationID, created[i].ID)
		}
		if !e.Timestamp.Equal(later) || e.Metadata.CorrelationID != "S1" || e.Metadata.Sequence != 2 || e.ID.Version() != 5 {
			t.Errorf("got %+v", e.Envelope)
		}
	}
}

func (o office) logged() (said []event.Any) {
	o.Helper()
	bodies := storetest.Value[string](o, o.url, `SELECT coalesce(string_agg(body, E'\n' ORDER BY seq), '') FROM event_log`)
	for body := range strings.SplitSeq(bodies, "\n") {
		e, err := event.Decode([]byte(body))
		if err != nil {
			o.Fatal(err)
		}
		said = append(said, e)
	}
	return said
}

// Who comes second is told who was first.
func TestADecidedOrderStaysDecided(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	o.handle(o.order("o-1", "5", true), o.order("o-2", "5000", true))
	if _, err := approval.Reject(t.Context(), o.db, key("o-2"), operatorlog.By{Operator: "bob", Reason: "too dear"}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"o-1": "PO-o-1 was approved by policy", "o-2": "PO-o-2 was rejected by bob: too dear"} {
		for _, decide := range []func() (purchasing.OrderDecision, error){
			func() (purchasing.OrderDecision, error) {
				return approval.Approve(t.Context(), o.db, key(id), operatorlog.By{Operator: "eve"})
			},
			func() (purchasing.OrderDecision, error) {
				return approval.Reject(t.Context(), o.db, key(id), operatorlog.By{Operator: "eve", Reason: "no"})
			},
		} {
			if _, err := decide(); !errors.Is(err, approval.ErrDecided) || err.Error() != want {
				t.Errorf("want %q, got %v", want, err)
			}
		}
	}
	if _, err := approval.Approve(t.Context(), o.db, key("o-3"), operatorlog.By{Operator: "eve"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("want an unknown order, got %v", err)
	}
	if _, err := approval.Approve(t.Context(), o.db, key("o-2"), operatorlog.By{Operator: ""}); err == nil {
		t.Error("it is not decided")
	}
}

// The policy and four people at once: one decides, one event is said, all others are told.
func TestRacingDecisions(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	const orders = 8
	for i := range orders {
		id := fmt.Sprintf("o-%d", i)
		created := o.order(id, "50", true)
		var won, told atomic.Int64
		person := func(i int) func(ctx context.Context) error {
			return func(ctx context.Context) (err error) {
				if i%2 == 0 {
					_, err = approval.Approve(ctx, o.db, key(id), operatorlog.By{Operator: fmt.Sprint("person ", i)})
				} else {
					_, err = approval.Reject(ctx, o.db, key(id), operatorlog.By{Operator: fmt.Sprint("person ", i), Reason: "no"})
				}
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, approval.ErrDecided):
					told.Add(1)
				default:
					return err
				}
				return nil
			}
		}
		run := []func(context.Context) error{func(context.Context) error {
			said, err := workertest.Handle(o, o.db, approval.New(), created)
			won.Add(int64(len(said)))
			return err
		}}
		for i := range 4 {
			run = append(run, person(i))
		}
		storetest.Concurrently(t, run...)
		if won.Load() != 1 || told.Load() < 3 || o.status(id) == "PENDING" {
			t.Errorf("%d won, %d were told; the order is %s", won.Load(), told.Load(), o.status(id))
		}
	}
	if got := len(o.logged()); got != orders {
		t.Errorf("want %d decisions said, got %d", orders, got)
	}
}
