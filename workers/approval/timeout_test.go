package approval_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/approval"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// hours sets the tenant's hours.
func (o office) hours(escalate, cancel int) {
	o.Helper()
	storetest.Exec(o, o.url, `UPDATE tenant_setting SET approval_escalate_hours = $1, approval_cancel_hours = $2`, escalate, cancel)
}

// pass lets hours pass.
func (o office) pass(hours int) {
	o.Helper()
	storetest.Exec(o, o.url, fmt.Sprintf(`UPDATE process_instance SET begun_at = begun_at - interval '%d hours'`, hours))
}

// look runs the worker's timer until nothing is due.
func (o office) look() {
	o.Helper()
	for more := true; more; {
		var err error
		if _, more, err = approval.New().RunTimer(o.Context(), o.db); err != nil {
			o.Fatal(err)
		}
	}
}

// process is the state of an order's process, its steps, and its timers.
func (o office) process(id string) string {
	o.Helper()
	return storetest.Value[string](o, o.url, `
SELECT coalesce((SELECT concat_ws(' in trouble: ', state, nullif(trouble, '')) FROM process_instance WHERE correlation = $1), 'none') || ':' ||
       coalesce((SELECT string_agg(input, ' > ' ORDER BY ordinal) FROM process_step WHERE correlation = $1 AND kind = 'moved'), '') || ':' ||
       coalesce((SELECT string_agg(name, ' ' ORDER BY name) FROM process_timer WHERE correlation = $1), '')`, id)
}

// told are the events that the log has of an order, without those that the test made.
func (o office) told(id string) string {
	o.Helper()
	return storetest.Value[string](o, o.url, `SELECT coalesce(string_agg(type || ' ' || (body::jsonb #>> '{payload,waitedHours}'), ' ' ORDER BY seq) FILTER (WHERE type = 'PURCHASE_ORDER_ESCALATED'), '') ||
		coalesce(string_agg(type, ' ' ORDER BY seq) FILTER (WHERE type <> 'PURCHASE_ORDER_ESCALATED'), '') FROM event_log WHERE aggregate_id = $1`, id)
}

func (o office) expect(id, process, status, logged string) {
	o.Helper()
	if p, s, l := o.process(id), o.status(id), o.told(id); p != process || s != status || l != logged {
		o.Errorf("order %s is\n%s, %s, %s; want\n%s, %s, %s", id, p, s, l, process, status, logged)
	}
}

// An order that the policy approves is no process. One that waits is escalated and cancelled when its tenant's hours
// are over, also when they were set while it waited.
func TestAnOrderThatWaitsTooLong(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "100")
	o.handle(o.order("small", "100", true), o.order("large", "101", true), o.order("late", "200", true))
	o.look()
	o.expect("small", "none::", "APPROVED policy", "PURCHASE_ORDER_APPROVED")
	o.expect("large", "waiting:PURCHASE_ORDER_CREATED:", "PENDING", "")
	o.hours(24, 72)
	o.look()
	o.expect("large", "waiting:PURCHASE_ORDER_CREATED:cancel escalate", "PENDING", "")
	o.pass(25)
	o.look()
	o.look()
	o.expect("large", "escalated:PURCHASE_ORDER_CREATED > timer escalate:cancel", "PENDING", "PURCHASE_ORDER_ESCALATED 25")
	o.hours(24, 0)
	o.look()
	o.expect("large", "escalated:PURCHASE_ORDER_CREATED > timer escalate:", "PENDING", "PURCHASE_ORDER_ESCALATED 25")
	if _, err := approval.Approve(t.Context(), o.db, purchasing.OrderKey{Tenant: workertest.Tenant, Order: "late"}, operatorlog.By{Operator: "ann"}); err != nil {
		t.Fatal(err)
	}
	o.hours(24, 72)
	o.pass(50)
	o.look()
	o.expect("large", "cancelled:PURCHASE_ORDER_CREATED > timer escalate > timer cancel:", "CANCELLED timeout no decision came in time", "PURCHASE_ORDER_ESCALATED 25PURCHASE_ORDER_CANCELLED")
	if note := storetest.Value[string](t, o.url, `SELECT note FROM process_step WHERE input = 'timer cancel'`); note != "no decision came in time" {
		t.Errorf("the step's note is %q", note)
	}
	o.expect("late", "approved:PURCHASE_ORDER_CREATED > timer escalate > approve:", "APPROVED ann", "PURCHASE_ORDER_ESCALATED 25PURCHASE_ORDER_APPROVED")
}

// A person decides before the worker has consumed its event: the process takes the decision when it begins.
func TestAPersonIsFirst(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	o.hours(1, 2)
	created := o.order("large", "101", true)
	if _, err := approval.Reject(t.Context(), o.db, purchasing.OrderKey{Tenant: workertest.Tenant, Order: "large"}, operatorlog.By{Operator: "ann", Reason: "too dear"}); err != nil {
		t.Fatal(err)
	}
	o.handle(created)
	o.pass(3)
	o.look()
	o.expect("large", "rejected:PURCHASE_ORDER_CREATED > reject:", "CANCELLED ann too dear", "PURCHASE_ORDER_CANCELLED")
}

// An order whose event a program of the version before has handled becomes a process all the same, with what a person
// has decided meanwhile.
func TestBesideAnOlderProgram(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	created := []event.Any{o.order("waits", "9", true), o.order("decided", "9", true), o.order("unknown", "9", true)}
	for i, id := range []string{"waits", "decided"} {
		storetest.Exec(t, o.url, `UPDATE purchase_order SET created_event = $2 WHERE purchase_order_id = $1`, id, created[i].ID.String())
	}
	if _, err := approval.Approve(t.Context(), o.db, purchasing.OrderKey{Tenant: workertest.Tenant, Order: "decided"}, operatorlog.By{Operator: "ann"}); err != nil {
		t.Fatal(err)
	}
	o.look()
	o.expect("waits", "waiting:PURCHASE_ORDER_CREATED:", "PENDING", "")
	o.expect("decided", "approved:PURCHASE_ORDER_CREATED > approve:", "APPROVED ann", "PURCHASE_ORDER_APPROVED")
	o.expect("unknown", "none::", "PENDING", "")
	o.handle(created...) // the events come again
	o.look()
	o.expect("waits", "waiting:PURCHASE_ORDER_CREATED:", "PENDING", "")
	o.expect("unknown", "waiting:PURCHASE_ORDER_CREATED:", "PENDING", "")
}

// People and timers decide about many orders at once: each order is decided once, its process agrees, and it has one
// event of it.
func TestPeopleBesideTimers(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	o.hours(0, 1)
	var created []event.Any
	var keys []purchasing.OrderKey
	for n := range 40 {
		id := fmt.Sprintf("o%d", n)
		created, keys = append(created, o.order(id, "9", true)), append(keys, purchasing.OrderKey{Tenant: workertest.Tenant, Order: id})
	}
	o.handle(created...)
	o.pass(2)
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(o.look)
	}
	for _, decide := range []func(context.Context, *store.DB, purchasing.OrderKey, operatorlog.By) (purchasing.OrderDecision, error){approval.Approve, approval.Reject} {
		wait.Go(func() {
			for _, k := range slices.Backward(keys) {
				for {
					_, err := decide(t.Context(), o.db, k, operatorlog.By{Operator: "ann", Reason: "why not"})
					if err == nil || strings.Contains(err.Error(), " was ") {
						break
					}
					t.Logf("again: %v", err)
				}
			}
		})
	}
	wait.Wait()
	const wrong = `
SELECT count(*) FROM purchase_order o JOIN process_instance i ON i.correlation = o.purchase_order_id
WHERE NOT i.final OR (o.status = 'APPROVED') <> (i.state = 'approved') OR (o.decided_by = 'timeout') <> (i.state = 'cancelled')
   OR (SELECT count(*) FROM event_log e WHERE e.aggregate_id = o.purchase_order_id) <> 1 OR EXISTS (SELECT FROM process_timer t WHERE t.correlation = o.purchase_order_id)`
	if n := storetest.Value[int](t, o.url, wrong); n != 0 {
		t.Errorf("%d of 40 orders are wrong", n)
	}
}
