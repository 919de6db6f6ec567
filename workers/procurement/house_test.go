package procurement_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/exchangetest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/procurement"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// supplier is a supplier's HTTP server. It knows an order again by its key, as the protocol wants it.
type supplier struct {
	*httptest.Server
	// answer, if set, answers in its stead; call counts from 1.
	answer func(w http.ResponseWriter, r *http.Request, call int)

	mu     sync.Mutex
	calls  []call
	orders map[string]bool
}

type call struct {
	key, contentType, path string
	body                   []byte
}

const confirmed = `{"supplierReference":"S-77","promisedDate":"2026-03-09"}`

func newSupplier(t testing.TB) *supplier {
	t.Helper()
	s := &supplier{orders: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *supplier) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.calls = append(s.calls, call{r.Header.Get("Idempotency-Key"), r.Header.Get("Content-Type"), r.URL.Path, body})
	n, key := len(s.calls), r.Header.Get("Idempotency-Key")
	known := s.orders[key]
	s.orders[key] = true
	s.mu.Unlock()
	switch {
	case s.answer != nil:
		s.answer(w, r, n)
	case known:
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, confirmed)
	default:
		_, _ = io.WriteString(w, confirmed)
	}
}

func (s *supplier) called() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// says makes the supplier answer each call so.
func (s *supplier) says(status int, body string) {
	s.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// shop is a database with one supplier, who is called at the address given.
type shop struct {
	testing.TB
	url string
	db  *store.DB
	w   worker.Worker
	log *bytes.Buffer
}

func newShop(t testing.TB, endpoint string) *shop {
	t.Helper()
	url := storetest.URL(t)
	s := &shop{TB: t, url: url, db: storetest.Open(t, url, 8), log: &bytes.Buffer{}}
	s.w = procurement.New(slog.New(slog.NewTextHandler(s.log, nil)))
	s.endpoint(endpoint)
	return s
}

func (s *shop) endpoint(url string) {
	storetest.Exec(s, s.url, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days, endpoint) VALUES ($1, 'potter', 3, $2)
		ON CONFLICT (tenant_id, supplier_id) DO UPDATE SET endpoint = excluded.endpoint`, workertest.Tenant, url)
}

// opensItsGate lets whoever was found away be called at once, as after a while.
func (s *shop) opensItsGate() {
	s.Helper()
	storetest.Exec(s, s.url, `UPDATE dependency SET opens_at = clock_timestamp()`)
}

// handle lets the worker handle events one by one, and fails the test when one fails.
func (s *shop) handle(events ...event.Any) {
	s.Helper()
	if said, err := workertest.Handle(s, s.db, s.w, events...); err != nil || len(said) != 0 {
		s.Fatalf("want it handled in silence, got %d events and %v", len(said), err)
	}
}

// dispatch is an order's row, as JSON names would have it.
type dispatch struct {
	Status, Failure, Reference string
	Attempts                   int
	Promised                   sql.NullString
	AnswerStatus               sql.NullInt64
	Recent                     bool // sent by the database's clock, not by business time
}

func (s *shop) dispatch(order string) (d dispatch) {
	s.Helper()
	raw := storetest.Value[string](s, s.url, `SELECT json_build_object('Status', status, 'Failure', failure, 'Reference', supplier_reference,
		'Attempts', attempts, 'Promised', json_build_object('String', promised_date::text, 'Valid', promised_date IS NOT NULL),
		'AnswerStatus', json_build_object('Int64', answer_status, 'Valid', answer_status IS NOT NULL),
		'Recent', coalesce(sent_at BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp(), false))
		FROM dispatch WHERE tenant_id = $1 AND purchase_order_id = $2`, workertest.Tenant, order)
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		s.Fatal(err)
	}
	return d
}

func (s *shop) wantStatus(order, status string) dispatch {
	s.Helper()
	d := s.dispatch(order)
	if d.Status != status {
		s.Errorf("want order %s to be %s, got %+v", order, status, d)
	}
	return d
}

func created(t testing.TB, order string) event.Any {
	t.Helper()
	price := workertest.Decimal("1.25")
	return workertest.Event(t, event.PurchaseOrderCreated{
		PurchaseOrderID: order, PONumber: "PO-2024-000007", SupplierID: "potter", LocationID: "shop", Status: event.PurchaseOrderPending,
		TotalAmount: workertest.Decimal("15"),
		Lines:       []event.PurchaseOrderLine{{ItemID: "cup", Quantity: workertest.Decimal("12"), UnitPrice: &price}, {ItemID: "clay", Quantity: workertest.Decimal("0.5")}},
	})
}

func approved(t testing.TB, order string) event.Any {
	t.Helper()
	return workertest.Event(t, event.PurchaseOrderApproved{PurchaseOrderID: order, ApprovedBy: "policy", ApprovedAt: workertest.Day})
}

func cancelled(t testing.TB, order string) event.Any {
	t.Helper()
	return workertest.Event(t, event.PurchaseOrderCancelled{PurchaseOrderID: order, Reason: "too many cups"})
}

// fleet is the worker behind a real broker.
type fleet struct {
	*shop
	session   *exchange.Session
	publisher *exchange.Publisher
}

func (s *shop) run(slots int) *fleet {
	s.Helper()
	broker := exchangetest.Vhost(s)
	f := &fleet{shop: s}
	must(s, exchange.Compute([]exchange.Subscription{s.w.Subscription()}).Apply(s.Context(), broker))
	var err error
	f.session, err = exchange.Open(s.Context(), broker)
	must(s, err)
	s.Cleanup(func() { _ = f.session.Close() })
	f.publisher, err = f.session.Publisher(64)
	must(s, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	runner := worker.Runner{Worker: s.w, DB: s.db, Exchange: broker, Slots: slots, Node: "test"}
	go func() { ended <- runner.Run(ctx) }()
	s.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.Errorf("the worker ended with %v", err)
		}
	})
	return f
}

func (f *fleet) publish(events ...event.Any) {
	f.Helper()
	confirmations := make([]*exchange.Confirmation, len(events))
	for i, e := range events {
		var err error
		confirmations[i], err = f.publisher.Publish(f.Context(), workertest.Delivery(e).Message)
		must(f, err)
	}
	for _, c := range confirmations {
		must(f, c.Wait(f.Context()))
	}
}

// take takes one message off a queue.
func (f *fleet) take(queue string) exchange.Delivery {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), localtest.Deadline(time.Minute))
	defer cancel()
	consumer, err := f.session.Consume(queue, "test."+queue, 1)
	must(f, err)
	defer func() { _ = consumer.Close() }()
	taken, err := consumer.Take(ctx, 1)
	must(f, err)
	must(f, consumer.Ack(taken[0]))
	return taken[0]
}

func (f *fleet) soon(what string, holds func() bool) {
	f.Helper()
	localtest.Eventually(f, time.Minute, what, holds)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *shop) row(order string) bool {
	return storetest.Value[bool](s, s.url, `SELECT EXISTS (SELECT FROM dispatch WHERE purchase_order_id = $1)`, order)
}

func (f *fleet) depthOf(queue string) int {
	f.Helper()
	n, _, err := f.session.Depth(queue)
	must(f, err)
	return n
}
