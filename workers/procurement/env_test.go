package procurement_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/procurement"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// supplier is a supplier's HTTP server. It recognises an order by its key, as the protocol requires.
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

// secret is what the tests' orders are signed by.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func signer(t testing.TB) *webcall.Signer {
	t.Helper()
	return storetest.MustGet(webcall.NewSigner([]string{secret}))(t)
}

const confirmed = `{"supplierReference":"S-77","promisedDate":"2026-03-09"}`

func newSupplier(t testing.TB) *supplier {
	t.Helper()
	s := &supplier{orders: map[string]bool{}}
	signing := storetest.MustGet(standardwebhooks.NewWebhook(secret))(t)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := signing.Verify(body, r.Header); err != nil {
			t.Errorf("the order is not signed: %v", err)
		}
		s.serve(w, r, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *supplier) serve(w http.ResponseWriter, r *http.Request, body []byte) {
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

// answers makes the supplier answer each call with a status and a body.
func (s *supplier) answers(status int, body string) {
	s.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// shop is a test environment with one supplier, which is called at the address given.
type shop struct {
	*workertest.Env
	w   worker.Worker
	log *bytes.Buffer
}

func newShop(t testing.TB, endpoint string) *shop {
	t.Helper()
	s := &shop{Env: workertest.NewDatabaseEnv(t), log: &bytes.Buffer{}}
	s.w = procurement.New(signer(t), slog.New(slog.NewTextHandler(s.log, nil)))
	s.endpoint(endpoint)
	return s
}

func (s *shop) endpoint(url string) {
	storetest.Exec(s, s.URL, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days, endpoint) VALUES ($1, 'potter', 3, $2)
		ON CONFLICT (tenant_id, supplier_id) DO UPDATE SET endpoint = excluded.endpoint`, workertest.Tenant, url)
}

// endWait makes an open circuit half-open at once, as after its wait.
func (s *shop) endWait() {
	s.Helper()
	storetest.Exec(s, s.URL, `UPDATE dependency SET opens_at = clock_timestamp()`)
}

// handle lets the worker handle events one by one, and fails the test when one fails.
func (s *shop) handle(events ...event.Any) {
	s.Helper()
	if emitted, err := workertest.Handle(s, s.DB, s.w, events...); err != nil || len(emitted) != 0 {
		s.Fatalf("want it handled without an event, got %d events and %v", len(emitted), err)
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
	raw := storetest.Value[string](s, s.URL, `SELECT json_build_object('Status', status, 'Failure', failure, 'Reference', supplier_reference,
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

// run runs the worker behind a real broker.
func (s *shop) run(slots int) *workertest.Part {
	s.Helper()
	s.MakeVhost(s.w)
	return s.RunWorker(s.w, slots)
}

func (s *shop) row(order string) bool {
	return storetest.Value[bool](s, s.URL, `SELECT EXISTS (SELECT FROM dispatch WHERE purchase_order_id = $1)`, order)
}
