package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

const realTenant = "demo" // the mapping's

// planner furnishes an environment for planning the real till's items: a rule for every
// item, half of them fixed and half following the forecast, one supplier, and
// what was counted before the shop opened, which it adds to what the till must come to.
func (h *environment) planner(sold till, endpoint string) {
	h.Helper()
	counts := []string{"itemId,locationId,quantity"}
	items, rules := []string{"itemId,name,unitCost,pack"}, []string{"itemId,locationId,mode,supplierId,reorderPoint,orderUpTo,lowStockThreshold"}
	codes := make([]string, 0, len(sold.units))
	for code := range sold.units {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for i, code := range codes {
		items = append(items, fmt.Sprintf("%s,Item %s,1.25,%d", code, code, 1+i%6))
		if i%2 == 0 {
			rules = append(rules, fmt.Sprintf("%s,UK-WH,fixed,smith,%d,%d,5", code, 5+i%20, 40+i%50))
		} else {
			rules = append(rules, fmt.Sprintf("%s,UK-WH,auto,smith,%d,,5", code, i%7))
		}
		counts = append(counts, fmt.Sprintf("%s,UK-WH,%d", code, 20+i%40))
		sold.units[code] += int64(20 + i%40)
	}
	h.write("counts.csv", counts...)
	h.write("items.csv", items...)
	h.write("rules.csv", rules...)
	h.write("suppliers.csv", "supplierId,name,leadTimeDays,endpoint", "smith,Smith & Sons,3,"+endpoint)
	h.ok("tenant", "set", "--tenant", realTenant, "--approval-limit", "400", "--forecast-cadence-days", "2")
	for _, kind := range []string{"item", "supplier", "rule"} {
		h.ok(kind, "import", kind+"s.csv", "--tenant", realTenant)
	}
	h.ok("stock", "import", "counts.csv", "--tenant", realTenant, "--at", "2010-12-01T06:00:00Z")
}

func (h *environment) write(name string, lines ...string) {
	h.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		h.Fatal(err)
	}
}

// smith is a supplier who answers orders and ships at once: half of each order,
// then the rest, and both delivery notes twice. Now and then he is busy.
type smith struct {
	*httptest.Server
	t  *testing.T
	db *store.DB

	mu     sync.Mutex
	calls  int
	orders map[string]smithOrder // by Idempotency-Key
}

type smithOrder struct {
	PurchaseOrderID, TenantID, LocationID string
	OrderedAt                             time.Time
	Lines                                 []struct {
		ItemID   string
		Quantity event.Decimal
	}
	body string
}

func newSmith(t *testing.T, db *store.DB) *smith {
	s := &smith{t: t, db: db, orders: map[string]smithOrder{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.take))
	t.Cleanup(s.Close)
	return s
}

func (s *smith) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the fleet was killed while it called
	}
	var order smithOrder
	if err := json.Unmarshal(body, &order); err != nil || len(order.Lines) == 0 {
		s.t.Errorf("smith is sent %s: %v", body, err)
	}
	order.body = string(body)
	key := r.Header.Get("Idempotency-Key")
	s.mu.Lock()
	s.calls++
	busy := s.calls%400 == 7 // other callers then pause for a second or more
	before, known := s.orders[key]
	if !known && !busy {
		s.orders[key] = order
	}
	s.mu.Unlock()
	switch {
	case busy:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case known && before.body != order.body:
		s.t.Errorf("smith is sent two orders under the key %s:\n%s\n%s", key, before.body, order.body)
	case !known:
		s.ship(order)
	}
	fmt.Fprintf(w, `{"supplierReference": "S-%s"}`, order.PurchaseOrderID)
}

func (s *smith) ship(order smithOrder) {
	var notes []event.Any
	for _, line := range order.Lines {
		first, err := event.ParseDecimal(line.Quantity.Div(event.NewDecimal(2).Decimal).Ceil().String())
		if err != nil {
			s.t.Error(err)
		}
		for i, quantity := range []event.Decimal{first, line.Quantity.Sub(first)} {
			if !quantity.IsPositive() {
				continue
			}
			at := order.OrderedAt.AddDate(0, 0, 3+i)
			number := fmt.Sprintf("%s-%s-%d", order.PurchaseOrderID, line.ItemID, i)
			e, err := event.Encode(event.Envelope{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(number)), AggregateID: number[:36], TenantID: order.TenantID, Timestamp: at},
				event.ReceiptCompleted{ReceiptID: number[:36], ItemID: line.ItemID, LocationID: order.LocationID, Quantity: quantity, PurchaseOrderID: order.PurchaseOrderID, Timestamp: at})
			if err != nil {
				s.t.Error(err)
			}
			notes = append(notes, e, e)
		}
	}
	for _, note := range notes {
		if _, err := eventlog.AdmitOnce(context.Background(), s.db, []event.Any{note}, true); err != nil {
			s.t.Error(err)
		}
	}
}

// shipped is what smith has sent, by item.
func (s *smith) shipped() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	units := map[string]int64{}
	for _, o := range s.orders {
		for _, line := range o.Lines {
			units[line.ItemID] += line.Quantity.IntPart()
		}
	}
	return units
}

// The planner's whole day, on real sales, with the fleet killed three times: the
// stock is exact, no need has two orders, and each approved order is with the supplier once.
func TestThePlannersFleetThroughKills(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sold := realTill(t, h.dir, realRowsWanted())
	db := storetest.Open(t, h.database, 3)
	supplier := newSmith(t, db)
	f := h.up()
	h.planner(sold, supplier.URL)
	checks := h.checkPurchasing(db)
	imported := make(chan struct{})
	go func() { defer close(imported); h.importFile(sold.path) }()
	for kill := range 3 {
		target := (kill + 1) * 2 * (sold.rows - sold.rejected) / 5
		h.until("there are more movements", func() bool {
			return storetest.Value[int](t, h.database, `SELECT count(*) FROM movement`) > target
		})
		f.kill(t)
		f = h.up()
	}
	<-imported
	h.proven()
	if n := checks(); n < sold.rows/1000 && realRowsWanted() > 0 || n < 4 {
		t.Errorf("the orders were checked %d times only", n)
	}
	for code, units := range supplier.shipped() {
		sold.units[code] += units
	}
	h.sells(sold)
	h.orders(supplier)
}

// checkPurchasing holds the orders against each other at every thousandth event
// of the log until it is stopped, which gives how often that was. On the whole
// file, where one look takes as long as a thousand events, it looks a tenth of the time.
func (h *environment) checkPurchasing(db *store.DB) (stop func() int) {
	ctx, cancel := context.WithCancel(h.Context())
	done := make(chan int)
	go func() {
		n, next := 0, 0
		defer func() { done <- n }()
		for {
			seq := storetest.Value[int](h, h.database, `SELECT coalesce(max(seq), 0) FROM event_log`)
			if over := ctx.Err() != nil; over || seq >= next {
				began := time.Now()
				wrong, err := storetest.CheckPurchasing(context.WithoutCancel(ctx), db)
				if err != nil || len(wrong) > 0 {
					h.Errorf("with %d events in the log: %v %s", seq, err, strings.Join(wrong, "\n"))
					return
				}
				n, next = n+1, (seq/1000+1)*1000
				if over {
					return
				}
				if took := time.Since(began); realRowsWanted() == 0 {
					select {
					case <-ctx.Done():
					case <-time.After(10 * took):
					}
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int { cancel(); return <-done }
}

// orders expects that what was approved is with the supplier, and nothing else.
func (h *environment) orders(supplier *smith) {
	h.Helper()
	type count struct{ approved, pending, total, sent int }
	var c count
	for into, query := range map[*int]string{
		&c.total:    `SELECT count(*) FROM purchase_order`,
		&c.approved: `SELECT count(*) FROM purchase_order WHERE status = 'APPROVED'`,
		&c.pending:  `SELECT count(*) FROM purchase_order WHERE status = 'PENDING'`,
	} {
		*into = storetest.Value[int](h, h.database, query)
	}
	supplier.mu.Lock()
	defer supplier.mu.Unlock()
	c.sent = len(supplier.orders)
	h.Logf("%+v, %d calls", c, supplier.calls)
	if c.sent == 0 || c.sent != c.approved || c.approved+c.pending != c.total {
		h.Errorf("the orders do not add up: %+v", c)
	}
	for key, o := range supplier.orders {
		if key != o.PurchaseOrderID+":send" {
			h.Errorf("order %s was sent under the key %s", o.PurchaseOrderID, key)
		}
	}
}
