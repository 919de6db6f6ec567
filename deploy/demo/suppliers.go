package demo

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// # The suppliers' side
//
// Each supplier takes orders at an address of its own, POST …/suppliers/ID/orders. It identifies an order by its
// Idempotency-Key: the same order again gets the first answer with 409, other content under the same key gets 422. On
// busy days the first call gets 503 with Retry-After. A supplier ships what it has confirmed, once.

// order is what procurement sends.
type order struct {
	PurchaseOrderID string        `json:"purchaseOrderId"`
	PONumber        string        `json:"poNumber"`
	TenantID        string        `json:"tenantId"`
	SupplierID      string        `json:"supplierId"`
	LocationID      string        `json:"locationId"`
	OrderedAt       time.Time     `json:"orderedAt"`
	Lines           []orderLine   `json:"lines"`
	TotalAmount     event.Decimal `json:"totalAmount"`
}

type orderLine struct {
	ItemID    string         `json:"itemId"`
	Quantity  event.Decimal  `json:"quantity"`
	UnitPrice *event.Decimal `json:"unitPrice"`
}

// answer is a confirmation.
type answer struct {
	SupplierReference string     `json:"supplierReference"`
	PromisedDate      event.Date `json:"promisedDate,omitempty"`
}

// Calls counts the calls that the suppliers got.
type Calls struct {
	All       int64 `json:"all"`
	Confirmed int64 `json:"confirmed"`
	Known     int64 `json:"known"` // the same order again
	Busy      int64 `json:"busy"`  // answered with 503
	Refused   int64 `json:"refused"`
}

// supplierServer is the HTTP server of all suppliers of a scenario.
type supplierServer struct {
	seed      uint64
	suppliers map[string]supplier
	zone      *time.Location
	shelfLife func(item string) int // days until an item expires, 0: never

	mu        sync.Mutex
	today     event.Date
	calls     Calls
	confirmed map[string]confirmed // by idempotency key
	sentAway  map[event.Date]bool  // busy days that have had their 503
	shipments deliveries
	notes     []string // since the last report

	server *http.Server
	addr   string
}

type confirmed struct {
	content [sha256.Size]byte
	answer  answer
}

func newSuppliers(seed uint64, all []supplier, zone *time.Location, shelfLife func(item string) int) *supplierServer {
	s := &supplierServer{seed: seed, suppliers: map[string]supplier{}, zone: zone, shelfLife: shelfLife, confirmed: map[string]confirmed{}, sentAway: map[event.Date]bool{}, shipments: deliveries{}}
	for _, c := range all {
		s.suppliers[c.id] = c
	}
	return s
}

// listen takes orders on loopback until the context ends.
func (s *supplierServer) listen(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the suppliers' orders: %w", err)
	}
	s.addr = "http://" + l.Addr().String()
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { s.server.Close() })
	go func() { _ = s.server.Serve(l) }()
	return nil
}

func endpoint(address, supplier string) string { return address + "/suppliers/" + supplier + "/orders" }

// maxOrder is the size of the largest order that is read, in bytes.
const maxOrder = 1 << 20

// ServeHTTP takes an order.
func (s *supplierServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, reply := s.take(r)
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(busySeconds))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(reply)
}

// problem is the body of an answer that refuses an order.
type problem struct {
	Error string `json:"error"`
}

func (s *supplierServer) take(r *http.Request) (int, any) {
	id, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/suppliers/"), "/orders")
	c, there := s.suppliers[id]
	if !ok || !there {
		return http.StatusNotFound, problem{"no supplier has this address"}
	}
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, problem{"want POST"}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxOrder+1))
	if err != nil || len(body) > maxOrder {
		return http.StatusRequestEntityTooLarge, problem{"the order is too large"}
	}
	o, err := readOrder(r, id, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.All++
	if err != nil {
		s.calls.Refused++
		return http.StatusBadRequest, problem{err.Error()}
	}
	return s.decide(c, o, r.Header.Get("Idempotency-Key"), sha256.Sum256(body))
}

// readOrder checks a call against the protocol.
func readOrder(r *http.Request, supplier string, body []byte) (order, error) {
	var o order
	if mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mime != "application/json" {
		return o, errors.New("want Content-Type: application/json")
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return o, fmt.Errorf("reading the order: %w", err)
	}
	switch key := r.Header.Get("Idempotency-Key"); {
	case o.PurchaseOrderID == "" || key != sendKey(o):
		return o, errors.New("want the Idempotency-Key PURCHASE-ORDER-ID:send")
	case o.SupplierID != supplier:
		return o, fmt.Errorf("this is supplier %s, the order is for %q", supplier, o.SupplierID)
	case len(o.Lines) == 0 || o.LocationID == "" || o.OrderedAt.IsZero():
		return o, errors.New("want lines, locationId and orderedAt")
	}
	for _, l := range o.Lines {
		if l.ItemID == "" || l.Quantity.Sign() <= 0 {
			return o, errors.New("want an itemId and a quantity above zero in each line")
		}
	}
	return o, nil
}

const (
	busyEvery, busyOn = 21, 9 // days: all suppliers are busy once in three weeks
	busySeconds       = 1     // of Retry-After
)

// decide answers a valid call. The lock is held.
func (s *supplierServer) decide(c supplier, o order, key string, content [sha256.Size]byte) (int, any) {
	if before, ok := s.confirmed[key]; ok {
		if before.content != content {
			s.calls.Refused++
			return http.StatusUnprocessableEntity, problem{"this Idempotency-Key has another order"}
		}
		s.calls.Known++
		return http.StatusConflict, before.answer
	}
	ordered := event.DateOf(o.OrderedAt.In(s.zone))
	if busy(ordered) && !s.sentAway[ordered] {
		s.sentAway[ordered] = true
		s.calls.Busy++
		s.notes = append(s.notes, fmt.Sprintf("%s is busy: %s is sent again later", c.name, o.PONumber))
		return http.StatusServiceUnavailable, problem{"too many calls; try again later"}
	}
	s.calls.Confirmed++
	return http.StatusOK, s.confirm(c, o, key, content, ordered)
}

// confirm takes an order and plans its deliveries. The lock is held.
func (s *supplierServer) confirm(c supplier, o order, key string, content [sha256.Size]byte, ordered event.Date) answer {
	// Goods arrive when a day opens, and this day is open.
	start := max(ordered, s.today)
	a := answer{SupplierReference: fmt.Sprintf("%.3s-%s", c.id, strings.TrimPrefix(o.PONumber, "PO-")), PromisedDate: start.AddDays(max(1, c.leadDays))}
	for _, l := range o.Lines {
		s.shipments.add(c.ship(s.seed, o, l, start, s.shelfLife(l.ItemID))...)
	}
	s.confirmed[key] = confirmed{content, a}
	return a
}

func sendKey(o order) string { return o.PurchaseOrderID + ":send" }

// busy reports whether suppliers answer with 503 on a day. It is the same day for all of them, because each such day
// holds the demo up for the shortest retry delay.
func busy(date event.Date) bool {
	first := event.Date(opening).Time()
	return int(date.Time().Sub(first).Hours()/24)%busyEvery == busyOn
}

// due begins a day and gives the deliveries that have arrived by it.
func (s *supplierServer) due(date event.Date) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.today = date
	return s.shipments.due(date)
}

// report gives the calls so far, and the notes since the last report.
func (s *supplierServer) report() (Calls, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	notes := s.notes
	s.notes = nil
	return s.calls, notes
}
