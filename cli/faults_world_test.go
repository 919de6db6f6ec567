package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// street is a small world in which everything happens that a fleet does. The stock
// that must result is known to the piece, whatever was killed meanwhile.
// Time passes in rounds, a business day each. In each round
//
//   - two items of the supplier smith, and one of grump, are sold twice, through the
//     log, and run short: each is ordered once; smith takes the order, grump refuses it
//   - another is sold twice straight over AMQP: intake logs it
//   - a stranger publishes what is no event: the ledger's and intake's dead letters
//   - and what is no event any more: the id of a sale that is known, with another
//     quantity: intake's dead letters
//   - a webhook gets a notification of every order that is made and approved
type street struct {
	*environment
	db      *store.DB
	session *rabbitmq.Session
	smith   *bell
	grump   *bell
	buyer   *bell

	rounds   int
	taken    int       // orders that grump has taken after all
	imported int       // files of importRows rows, one in importOdd of them not a sale
	known    event.Any // a sale over AMQP that all have handled
	latest   event.Any
}

const soldPerItem = 3 // in two sales

// newStreet opens a street in an environment of its own, and runs a first round without faults.
func newStreet(t *testing.T) *street {
	t.Helper()
	s := &street{environment: newEnvironment(t), smith: newBell(t, http.StatusOK), grump: newBell(t, http.StatusUnprocessableEntity), buyer: newBell(t, http.StatusOK)}
	s.env = append(s.env, "COMPOSERP_NOTIFICATION_URL="+s.buyer.URL)
	s.db = storetest.Open(t, s.database, 2)
	storetest.Exec(t, s.database, `
INSERT INTO location (tenant_id, location_id, kind) VALUES ('acme', 'shop', 'stock');
INSERT INTO tenant_setting (tenant_id, approval_limit, forecast_cadence_days) VALUES ('acme', 100000, 1)`)
	storetest.Exec(t, s.database, fmt.Sprintf(`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days, endpoint) VALUES ('acme', 'smith', 3, '%s'), ('acme', 'grump', 3, '%s')`, s.smith.URL, s.grump.URL))
	f := s.up()
	session, err := rabbitmq.Open(t.Context(), s.broker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	s.session = session
	s.round()
	s.settle()
	s.end(f)
	return s
}

// end kills a fleet, and ends its leases at once: that they end by themselves is tested elsewhere.
func (s *street) end(f *fleet) {
	s.Helper()
	f.kill(s.T)
	s.endLeases()
}

func (s *street) endLeases() {
	s.Helper()
	storetest.Exec(s, s.database, `UPDATE lease SET expires_at = '-infinity'`)
	storetest.Exec(s, s.database, `UPDATE worker_node SET lease_until = '-infinity'`)
}

// round has another day's things happen.
func (s *street) round() {
	s.Helper()
	s.rounds++
	item := func(kind string) string { return fmt.Sprintf("%s-%d", kind, s.rounds) }
	for _, kind := range []string{"cup", "jug", "hat"} {
		supplier := "smith"
		if kind == "hat" {
			supplier = "grump"
		}
		storetest.Exec(s, s.database, fmt.Sprintf(`
INSERT INTO item (tenant_id, item_id, unit_cost) VALUES ('acme', '%[1]s', 1.5);
INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point, order_up_to, low_stock_threshold)
VALUES ('acme', '%[1]s', 'shop', '%[2]s', 5, 20, 3);
INSERT INTO replenishment_state (tenant_id, item_id, location_id) VALUES ('acme', '%[1]s', 'shop') -- its stock is known`, item(kind), supplier))
	}
	for _, quantity := range []string{"2", "1"} {
		var sales []event.Any
		for _, kind := range []string{"cup", "jug", "hat"} {
			sales = append(sales, s.sale(item(kind), quantity))
		}
		if _, err := eventlog.AdmitOnce(s.Context(), s.db, sales, true); err != nil {
			s.Fatal(err)
		}
	}
	s.straight(item("tie"))
}

// sale is one of the round's day.
func (s *street) sale(item, quantity string) event.Any {
	s.Helper()
	at := workertest.Day.AddDate(0, 0, s.rounds)
	return workertest.Event(s, event.SaleCompleted{
		SaleID: "S-" + item + "-" + quantity, ItemID: item, LocationID: "shop", Quantity: workertest.Decimal(quantity), Amount: workertest.Decimal("9.90"), Timestamp: at,
	}, func(e *event.Envelope) {
		e.Metadata.UserID = "till-7"
		e.Timestamp, e.ID = at, uuid.NewSHA1(uuid.NameSpaceOID, []byte(item+quantity))
	})
}

// straight publishes a round's messages that do not come through the log, all at once.
func (s *street) straight(item string) {
	s.Helper()
	first, second := s.sale(item, "2"), s.sale(item, "1")
	messages := []rabbitmq.Message{
		{ID: first.ID.String(), Type: string(first.Type), Body: first.Body},
		{ID: second.ID.String(), Type: string(second.Type), Body: second.Body},
		{ID: fmt.Sprintf("stranger-%d", s.rounds), Type: string(first.Type), Body: []byte("ho ho")},
	}
	if s.known.Body != nil {
		other := workertest.Event(s, event.SaleCompleted{
			SaleID: "other", ItemID: item, LocationID: "shop", Quantity: workertest.Decimal("7"), Amount: workertest.Decimal("7"), Timestamp: s.known.Timestamp,
		}, func(e *event.Envelope) { e.ID, e.Timestamp = s.known.ID, s.known.Timestamp })
		messages = append(messages, rabbitmq.Message{ID: fmt.Sprintf("other-%d", s.rounds), Type: string(other.Type), Body: other.Body})
	}
	publisher, err := s.session.Publisher(0)
	if err != nil {
		s.Fatal(err)
	}
	defer publisher.Close()
	var confirmations []*rabbitmq.Confirmation
	for _, m := range messages {
		m.Exchange, m.RoutingKey = topology.Events, first.Type.RoutingKey()
		c, err := publisher.Publish(s.Context(), m)
		if err != nil {
			s.Fatal(err)
		}
		confirmations = append(confirmations, c)
	}
	for _, c := range confirmations {
		if err := c.Wait(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
	s.latest = second
}

// standing is how a world stands, by SQL: what came of its rounds.
type standing struct {
	Unpublished int64
	Pending     string

	RightItems, Movements    int // items that stand at what was sold, and what moved in all
	Imported                 int // units sold by the rows of files
	Ordered, OrderedItems    int // lines of orders, and the items in them
	Sent, Refused, Taken     int // orders with smith, refused by grump, and with him after all
	Elsewhere                int // neither sent nor refused
	AtSmith, Told, TwoBodies int // items ordered of smith, notices of the buyer's, keys that came with two bodies
	// Dead letters of strangers, of known ids, and of what should not have died. Of known ids intake's alone: the ledger
	// rejects them too, but that of the version before took them for copies.
	Strange, Others, OtherDeath int
}

var standingQuery = fmt.Sprintf(`
SELECT json_build_object(
    'RightItems', (SELECT count(*) FROM position WHERE location_id = 'shop' AND on_hand = -%d AND sequence = 2),
    'Movements', (SELECT count(*) FROM movement),
    'Imported', (SELECT coalesce(-sum(on_hand), 0) FROM position WHERE location_id = 'till'),
    'Ordered', (SELECT count(*) FROM purchase_order_line), 'OrderedItems', (SELECT count(DISTINCT item_id) FROM purchase_order_line),
    'Sent', (SELECT count(*) FROM dispatch WHERE status = 'SENT' AND supplier_id = 'smith'),
    'Refused', (SELECT count(*) FROM dispatch WHERE status = 'REFUSED' AND supplier_id = 'grump'),
    'Taken', (SELECT count(*) FROM dispatch WHERE status = 'SENT' AND supplier_id = 'grump'),
    'Elsewhere', (SELECT count(*) FROM purchase_order) - (SELECT count(*) FROM dispatch WHERE status IN ('SENT', 'REFUSED')),
    'Strange', (SELECT count(DISTINCT (consumer, message_id)) FROM dead_letter WHERE message_id LIKE 'stranger-%%'),
    'Others', (SELECT count(DISTINCT message_id) FROM dead_letter WHERE message_id LIKE 'other-%%' AND consumer = 'intake'),
    'OtherDeath', (SELECT count(*) FROM dead_letter WHERE message_id NOT LIKE 'stranger-%%' AND message_id NOT LIKE 'other-%%' AND consumer <> 'procurement'))::text`, soldPerItem)

// stands looks how the world stands, and how it should.
func (s *street) stands() (got, want standing) {
	s.Helper()
	if err := json.Unmarshal([]byte(storetest.Value[string](s, s.database, standingQuery)), &got); err != nil {
		s.Fatal(err)
	}
	orders := storetest.Value[int](s, s.database, `SELECT count(*) FROM purchase_order`)
	grumps := storetest.Value[int](s, s.database, `SELECT count(*) FROM purchase_order WHERE supplier_id = 'grump'`)
	log, err := eventlog.ReadState(s.Context(), s.db, "")
	if err != nil {
		s.Fatal(err)
	}
	got.Unpublished = log.Unpublished
	got.Pending = s.pending()
	got.AtSmith, got.Told, got.TwoBodies = len(s.smith.items()), len(s.buyer.keys(http.StatusOK)), s.smith.doubled()+s.grump.doubled()+s.buyer.doubled()
	n, rows := s.rounds, s.imported*(importRows-importRows/importOdd)
	return got, standing{
		RightItems: 4 * n, Movements: 4*n*2*2 + 2*rows, Imported: rows, Ordered: 3 * n, OrderedItems: 3 * n, Sent: orders - grumps, Refused: grumps - s.taken, Taken: s.taken,
		AtSmith: 2 * n, Told: 2 * orders, Strange: 2 * n, Others: n - 1,
	}
}

// pending names a pending delivery.
func (s *street) pending() string {
	s.Helper()
	end, err := eventlog.End(s.Context(), s.db)
	if err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.TracksInbox() {
			names = append(names, w.Name())
		}
	}
	oldest, err := eventlog.FindNewestPending(s.Context(), s.db, 0, end, names)
	if err != nil {
		s.Fatal(err)
	}
	if oldest == nil {
		return ""
	}
	return fmt.Sprintf("%s for %s", oldest.Type, oldest.Consumer)
}

// settle waits until all that happened has come to what it must, and to no more;
// but for forecasts, which take their time, and which the audit knows.
func (s *street) settle() {
	s.Helper()
	deadline := time.Now().Add(localtest.Deadline(time.Minute))
	for {
		got, want := s.stands()
		if got == want {
			break
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s:\n%+v, want\n%+v", localtest.Late(time.Minute, fmt.Sprintf("the world after %d rounds is what it must be", s.rounds)), got, want)
		}
		select {
		case <-s.Context().Done():
			return
		case <-time.After(25 * time.Millisecond):
		}
	}
	s.known = s.latest
}

// prove has a fleet audit the world, and looks once more.
func (s *street) prove() {
	s.Helper()
	s.proven()
	if got, want := s.stands(); got != want {
		s.Errorf("the audit passes, and the world stands at\n%+v, want\n%+v", got, want)
	}
}

// bell is a called service: it knows callers by their Idempotency-Key, and keeps every request.
type bell struct {
	*httptest.Server
	mu     sync.Mutex
	status int  // what it answers
	busy   bool // sends every third away once: each time no call follows for a while, so it takes long to serve many
	calls  map[string][]call
}

type call struct {
	body   string
	status int
}

func newBell(t *testing.T, status int) *bell {
	b := &bell{status: status, calls: map[string][]call{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bell) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the fleet was killed while it called
	}
	key := r.Header.Get("Idempotency-Key")
	b.mu.Lock()
	_, known := b.calls[key]
	status := b.status
	if b.busy && !known && len(b.calls)%3 == 0 {
		status = http.StatusServiceUnavailable
	}
	b.calls[key] = append(b.calls[key], call{string(body), status})
	b.mu.Unlock()
	w.WriteHeader(status)
	fmt.Fprint(w, "{}")
}

func (b *bell) set(status int, busy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status, b.busy = status, busy
}

// keys are those that were answered so at least once.
func (b *bell) keys(status int) (keys []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, calls := range b.calls {
		if slices.ContainsFunc(calls, func(c call) bool { return c.status == status }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// doubled is how many keys came with two different bodies.
func (b *bell) doubled() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, calls := range b.calls {
		if slices.ContainsFunc(calls, func(c call) bool { return c.body != calls[0].body }) {
			n++
		}
	}
	return n
}

// items are what was ordered, once for each order that has it.
func (b *bell) items() (items []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, calls := range b.calls {
		var order struct{ Lines []struct{ ItemID string } }
		if json.Unmarshal([]byte(calls[0].body), &order) == nil {
			for _, line := range order.Lines {
				items = append(items, line.ItemID)
			}
		}
	}
	return items
}

func (h *environment) read(name string) string {
	h.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil {
		h.Fatal(err)
	}
	return string(text)
}
