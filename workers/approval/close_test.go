package approval_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/approval"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// An order is closed once, and only when it is with its supplier and awaits something; a dry run changes nothing.
func TestCloseAnOrder(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	o.handle(o.order("a", "9", true))
	by := operatorlog.By{Operator: "ann", Reason: "the rest is sold out"}
	key := purchasing.OrderKey{Tenant: workertest.Tenant, Order: "a"}
	refused := func(want string) {
		t.Helper()
		if _, err := approval.Close(t.Context(), o.db, key, by, false); !errors.Is(err, approval.ErrNotClosable) || !strings.Contains(err.Error(), want) {
			t.Errorf("closed: %v, want %q", err, want)
		}
	}
	refused("it waits for a decision")
	if _, err := approval.Approve(t.Context(), o.db, key, by); err != nil {
		t.Fatal(err)
	}
	refused("it is not with its supplier yet")
	storetest.Exec(t, o.url, `INSERT INTO dispatch (tenant_id, purchase_order_id, supplier_id, approved_at, by_hand_at) VALUES ('acme', 'a', 'smith', now(), now())`)
	storetest.Exec(t, o.url, `UPDATE purchase_order_line SET received = 4`)
	for _, dryRun := range []bool{true, false} {
		c, err := approval.Close(t.Context(), o.db, key, by, dryRun)
		if err != nil || len(c.Rests) != 1 || c.Rests[0].Rest.String() != "6" {
			t.Fatalf("dry run %v: %+v, %v", dryRun, c.Rests, err)
		}
		want := map[bool]string{true: "PURCHASE_ORDER_APPROVED", false: "PURCHASE_ORDER_APPROVEDPURCHASE_ORDER_CLOSED"}[dryRun]
		if got := strings.ReplaceAll(o.told("a"), " ", ""); got != want {
			t.Errorf("dry run %v: the log has %s, want %s", dryRun, got, want)
		}
	}
	refused("it was closed by ann")
	if got := storetest.Value[string](t, o.url, `SELECT action || ': ' || reason FROM operator_log ORDER BY id DESC LIMIT 1`); got != "po close: the rest is sold out" {
		t.Errorf("the operator log has %q", got)
	}
	storetest.Exec(t, o.url, `UPDATE purchase_order SET closed_at = NULL; UPDATE purchase_order_line SET open = false`)
	refused("everything of it has come")
	key.Order = "unknown"
	if _, err := approval.Close(t.Context(), o.db, key, by, false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown order: %v", err)
	}
}
