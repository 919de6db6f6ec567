package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// The suppliers' side of the protocol, called as procurement calls it.
func TestSuppliers(t *testing.T) {
	t.Parallel()
	s := openSuppliers(t)
	a := sentOrder("a", "2026-02-02T10:00:00Z", 12)
	first := s.post(t, roastery, "a:send", a)
	if first.status != http.StatusOK || first.SupplierReference == "" || first.PromisedDate != "2026-02-04" {
		t.Fatalf("an order: %+v", first)
	}
	again := s.post(t, roastery, "a:send", a)
	if again.status != http.StatusConflict || again.answer != first.answer {
		t.Errorf("the same order again: %+v, the first time %+v", again, first)
	}
	if r := s.post(t, roastery, "a:send", sentOrder("a", "2026-02-02T10:00:00Z", 13)); r.status != http.StatusUnprocessableEntity {
		t.Errorf("another order under the same key: %+v", r)
	}
	for name, r := range map[string]reply{
		"key of another order":      s.post(t, roastery, "b:send", a),
		"no key":                    s.post(t, roastery, "", a),
		"order of another supplier": s.post(t, dairy, "a:send", a),
		"not JSON":                  s.post(t, roastery, "a:send", "{"),
		"quantity of zero":          s.post(t, roastery, "c:send", sentOrder("c", "2026-02-02T10:00:00Z", 0)),
		"order without a location":  s.post(t, roastery, "d:send", strings.Replace(sentOrder("d", "2026-02-02T10:00:00Z", 1), warehouse, "", 1)),
	} {
		if r.status != http.StatusBadRequest || r.Error == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := s.post(t, "UNKNOWN", "a:send", a); r.status != http.StatusNotFound {
		t.Errorf("an unknown supplier: %+v", r)
	}
	calls, _ := s.report()
	if want := (Calls{All: 9, Confirmed: 1, Known: 1, Refused: 7}); calls != want {
		t.Errorf("they counted %+v, want %+v", calls, want)
	}
	if got := arriving(s.supplierServer); got != "12" {
		t.Errorf("an order of 12 is delivered as %s", got)
	}
}

// On a busy day the first order gets 503 and is taken the second time; the others are taken at once.
func TestBusySuppliers(t *testing.T) {
	t.Parallel()
	s := openSuppliers(t)
	day := event.Date(opening).AddDays(busyOn)
	const id = "a"
	body := sentOrder(id, string(day)+"T10:00:00Z", 6)
	away := s.post(t, roastery, id+":send", body)
	if away.status != http.StatusServiceUnavailable || away.retryAfter != "1" {
		t.Fatalf("the first call: %+v", away)
	}
	if got := arriving(s.supplierServer); got != "" {
		t.Errorf("an order that was not taken is delivered as %s", got)
	}
	if r := s.post(t, roastery, id+":send", body); r.status != http.StatusOK {
		t.Errorf("the second call: %+v", r)
	}
	if r := s.post(t, roastery, "b:send", sentOrder("b", string(day)+"T10:00:00Z", 6)); r.status != http.StatusOK {
		t.Errorf("another order: %+v", r)
	}
	if calls, notes := s.report(); calls.Busy != 1 || calls.Confirmed != 2 || len(notes) != 1 {
		t.Errorf("they counted %+v and note %q", calls, notes)
	}
}

// Each of many orders is delivered in full, some late, some in two parts and some with two delivery notes; the same
// order always in the same way.
func TestShipments(t *testing.T) {
	t.Parallel()
	c := shopSuppliers[4]
	late, parts, twice := 0, 0, 0
	const orders = 2000
	for i := range orders {
		o := order{PurchaseOrderID: fmt.Sprint(i), TenantID: Tenant, LocationID: warehouse}
		line := orderLine{ItemID: "MUG-STN-035", Quantity: event.NewDecimal(int64(5 + i%40))}
		shipped := c.ship(1, o, line, "2026-02-10", 0)
		if a, b := fmt.Sprint(shipped), fmt.Sprint(c.ship(1, o, line, "2026-02-10", 0)); a != b {
			t.Fatalf("order %d is shipped in two ways: %s, %s", i, a, b)
		}
		var sum event.Decimal
		for _, d := range shipped {
			sum = sum.Add(d.Quantity)
			if d.Date < event.Date("2026-02-10").AddDays(c.leadDays) {
				t.Errorf("order %d arrives on %s, before its lead time", i, d.Date)
			}
		}
		if !sum.Equal(line.Quantity) {
			t.Errorf("order %d of %s is shipped as %s", i, line.Quantity, sum)
		}
		if shipped[0].Late > 0 {
			late++
		}
		if len(shipped) > 1 {
			parts++
		}
		if shipped[0].Twice {
			twice++
		}
	}
	for name, n := range map[string][2]int{"late": {late, c.late}, "in parts": {parts, c.partial}, "with two delivery notes": {twice, c.twice}} {
		if share := 100 * n[0] / orders; share < n[1]/2 || share > 2*n[1] {
			t.Errorf("%d of 100 orders are %s, want about %d", share, name, n[1])
		}
	}
}

// A supplier that was restarted knows the orders that it has confirmed, and what it has to deliver.
func TestSuppliersRestore(t *testing.T) {
	t.Parallel()
	s := openSuppliers(t)
	body := sentOrder("a", "2026-02-02T10:00:00Z", 12)
	if err := s.restore([]string{body}); err != nil {
		t.Fatal(err)
	}
	if r := s.post(t, roastery, "a:send", body); r.status != http.StatusConflict {
		t.Errorf("a restored order: %+v", r)
	}
	if got := arriving(s.supplierServer); got != "12" {
		t.Errorf("it is delivered as %q", got)
	}
}

// open is the suppliers' server, until the test ends.
type open struct{ *supplierServer }

func openSuppliers(t *testing.T) open {
	t.Helper()
	s := newSuppliers(1, shopSuppliers, time.UTC, shelfLifeOf)
	if err := s.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	return open{s}
}

type reply struct {
	answer
	problem
	status     int
	retryAfter string
}

func (s open) post(t *testing.T, supplier, key, body string) (r reply) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint(s.addr, supplier), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var both struct {
		answer
		problem
	}
	if err := json.NewDecoder(response.Body).Decode(&both); err != nil {
		t.Fatal(err)
	}
	return reply{both.answer, both.problem, response.StatusCode, response.Header.Get("Retry-After")}
}

func sentOrder(id, at string, pieces int) string {
	return fmt.Sprintf(`{"purchaseOrderId":%q,"poNumber":"PO-2026-000001","tenantId":"demo-shop","supplierId":"ROASTERY","locationId":"WAREHOUSE",`+
		`"orderedAt":%q,"lines":[{"itemId":"MUG-STN-035","quantity":%d,"unitPrice":4.10}],"totalAmount":49.20}`, id, at, pieces)
}

// arriving adds up all deliveries, "" when there are none.
func arriving(s *supplierServer) string {
	var sum event.Decimal
	all := s.due(noDate)
	for _, d := range all {
		sum = sum.Add(d.Quantity)
	}
	if len(all) == 0 {
		return ""
	}
	return sum.String()
}
