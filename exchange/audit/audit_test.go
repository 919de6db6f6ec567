package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/audit"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/exchangetest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

const saleKey = "integration.sale_completed"

// place is an empty log and the queues of one worker that nobody runs.
type place struct {
	testing.TB
	audit.Config
	session   *exchange.Session
	publisher *exchange.Publisher
}

// newPlace makes queues; more are added to the topology as they are.
func newPlace(t *testing.T, more ...exchange.QueueSpec) *place {
	t.Helper()
	t.Parallel()
	p := &place{TB: t}
	p.Config = audit.Config{
		DB: storetest.DB(t), Exchange: exchangetest.Vhost(t), Management: exchangetest.Management(t),
		Topology: exchange.Compute([]exchange.Subscription{{Worker: "ledger", RoutingKeys: []string{saleKey}, Ladder: []time.Duration{time.Hour}}}),
		Wait:     time.Millisecond, Settle: time.Millisecond,
	}
	p.Topology.Queues = append(p.Topology.Queues, more...)
	must(t, p.Topology.Apply(t.Context(), p.Exchange))
	var err error
	p.session, err = exchange.Open(t.Context(), p.Exchange)
	must(t, err)
	t.Cleanup(func() { p.session.Close() })
	p.publisher, err = p.session.Publisher(16)
	must(t, err)
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send publishes a message and waits until a queue has it.
func (p *place) send(exchangeName, key string) {
	p.Helper()
	c, err := p.publisher.Publish(p.Context(), exchange.Message{Exchange: exchangeName, RoutingKey: key, ID: uuid.NewString(), Body: []byte("{}")})
	if err == nil {
		err = c.Wait(p.Context())
	}
	must(p, err)
}

func (p *place) run() audit.Report {
	p.Helper()
	r, err := audit.Run(p.Context(), p.Config)
	must(p, err)
	return r
}

// until audits until the report is as wanted: the management API is some seconds behind.
func (p *place) until(what string, holds func(r audit.Report) bool) audit.Report {
	p.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		r := p.run()
		if holds(r) {
			return r
		}
		if time.Now().After(deadline) {
			p.Fatalf("waited in vain until %s:\n%s", what, r.Table())
		}
	}
}

func check(t testing.TB, r audit.Report, name string) store.AuditCheck {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s:\n%s", name, r.Table())
	return store.AuditCheck{}
}

// failed are the checks with findings.
func failed(r audit.Report) string {
	var names []string
	for _, c := range r.Checks {
		if c.Wrong > 0 {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, " ")
}

func (p *place) expect(r audit.Report, verdict audit.Verdict, checks, queue, problem string) {
	p.Helper()
	if r.Verdict != verdict || failed(r) != checks {
		p.Errorf("verdict %q, failed %q; want %q, %q", r.Verdict, failed(r), verdict, checks)
	}
	for _, c := range r.Checks {
		for _, f := range c.Findings {
			if f.Queue == queue && strings.Contains(f.Problem, problem) {
				return
			}
		}
	}
	p.Errorf("no finding says %q of queue %q:\n%s", problem, queue, r.Table())
}

func TestAFleetAtRestIsProven(t *testing.T) {
	p := newPlace(t)
	r := p.until("every queue is seen", func(r audit.Report) bool { return check(t, r, "stuck").Skipped == "" })
	if !r.Proven() || failed(r) != "" {
		t.Errorf("not proven:\n%s", r.Table())
	}
	if c := check(t, r, "queues"); !c.OK || c.Count != 3 {
		t.Errorf("check queues is %+v, want the worker's queue, its rung and the journal's", c)
	}
	if strings.ContainsAny(r.Table(), "✗–") || !strings.Contains(r.Table(), "PROVEN: everything adds up") {
		t.Errorf("the table reads\n%s", r.Table())
	}
}

func TestAnUnroutedMessageIsAFinding(t *testing.T) {
	p := newPlace(t)
	p.send(exchange.Events, "nobody.hears")
	p.expect(p.run(), audit.Findings, "unrouted", exchange.Unrouted, "1 message that no worker's queue was bound for")
}

func TestWhatWaitsIsInFlight(t *testing.T) {
	p := newPlace(t)
	p.send(exchange.Events, saleKey)
	p.send(exchange.Events, saleKey)
	p.expect(p.run(), audit.InFlight, "queues", "composerp.ledger", "2 messages and nobody who takes them")
}

func TestAMessageOnALadderIsInFlight(t *testing.T) {
	p := newPlace(t)
	rung := exchange.RungName("ledger", time.Hour)
	p.send(exchange.Retry, rung)
	p.expect(p.run(), audit.InFlight, "queues", rung, "1 message")
}

func TestAnUnreadJournalIsInFlight(t *testing.T) {
	p := newPlace(t)
	p.send(exchange.Dead, exchange.QueueName("ledger"))
	p.expect(p.run(), audit.InFlight, "queues", exchange.DeadJournal, "1 message")
}

func TestAMessageInHandIsInFlight(t *testing.T) {
	p := newPlace(t)
	p.send(exchange.Events, saleKey)
	consumer, err := p.session.Consume("composerp.ledger", "test", 1)
	must(t, err)
	_, err = consumer.Take(t.Context(), 1)
	must(t, err)
	r := p.until("the message in hand is seen", func(r audit.Report) bool { return r.Verdict == audit.InFlight })
	p.expect(r, audit.InFlight, "hands", "composerp.ledger", "1 message not acknowledged")
	// No look in the time for which the figures may be old has called it quiet: that time is what Settle is for.
	p.Settle = 0
	if r := p.run(); r.Proven() {
		t.Errorf("proven with a message in hand:\n%s", r.Table())
	}
}

func TestAnUnpublishedEventIsInFlight(t *testing.T) {
	p := newPlace(t)
	p.admit(true)
	r := p.run()
	p.expect(r, audit.InFlight, "published", "", "1 event to be published")
	if !strings.Contains(r.Table(), "IN FLIGHT") || !strings.Contains(r.Table(), "✗ published") {
		t.Errorf("the table reads\n%s", r.Table())
	}
}

func (p *place) admit(publish bool) {
	p.Helper()
	one, err := event.ParseDecimal("1")
	must(p, err)
	now := time.Now()
	e, err := event.Encode(event.Envelope{ID: uuid.New(), AggregateID: "1", TenantID: "acme", Timestamp: now},
		event.SaleCompleted{SaleID: "1", ItemID: "A", LocationID: "shop", Quantity: one, Amount: one, Timestamp: now})
	must(p, err)
	_, err = p.DB.Admit(p.Context(), []event.Any{e}, publish)
	must(p, err)
}

func TestAMessageInMessagesDLXIsAFinding(t *testing.T) {
	const lost = "composerp.ledger.retry.lost"
	p := newPlace(t, exchange.QueueSpec{Name: lost, Arguments: map[string]any{
		"x-queue-type": "quorum", "x-message-ttl": int64(1), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "nowhere",
		"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
	}})
	p.send("", lost)
	r := p.until("the message is seen", func(r audit.Report) bool { return check(t, r, "stuck").Wrong > 0 })
	p.expect(r, audit.Findings, "stuck", lost, "1 message in messages_dlx")
}

func TestMoreDeadLettersThanTheJournalHasAreAFinding(t *testing.T) {
	p := newPlace(t)
	p.send(exchange.Dead, exchange.QueueName("ledger"))
	p.drain(exchange.DeadJournal)
	dead := exchange.DeadName("ledger")
	p.expect(p.run(), audit.Findings, "dead", dead, "1 message, and the journal has 0")
	must(t, p.DB.InTx(t.Context(), func(tx *store.Tx) error {
		return tx.RecordDeadLetters(t.Context(), []store.DeadLetter{{ID: uuid.New(), Consumer: "ledger", MessageID: "m", DiedAt: time.Now()}})
	}))
	if r := p.until("the drained journal is at rest", audit.Report.Proven); failed(r) != "" {
		t.Errorf("not proven:\n%s", r.Table())
	}
	// Fewer than the journal has: somebody took one away, and may.
	p.drain(dead)
	p.until("the drained queue is at rest", audit.Report.Proven)
}

// drain takes what is in a queue.
func (p *place) drain(queue string) {
	p.Helper()
	consumer, err := p.session.Consume(queue, "drain."+queue, 10)
	must(p, err)
	taken, err := consumer.Take(p.Context(), 10)
	must(p, err)
	must(p, consumer.Ack(taken[len(taken)-1]))
	must(p, consumer.Close())
	for deadline := time.Now().Add(time.Minute); ; {
		n, _, err := p.session.Depth(queue)
		must(p, err)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			p.Fatalf("%s is not drained", queue)
		}
	}
}

func TestAMissingQueueIsAFinding(t *testing.T) {
	p := newPlace(t)
	must(t, p.Management.DeleteQueue(t.Context(), exchangetest.VhostOf(t, p.Exchange), "composerp.ledger"))
	p.expect(p.run(), audit.Findings, "queues", "composerp.ledger", "apply the topology")
}

func TestTheAuditWaitsForTheFleet(t *testing.T) {
	p := newPlace(t)
	p.send(exchange.Events, saleKey)
	p.Wait = time.Minute
	drained := false
	p.Progress = func(text string) {
		if strings.Contains(text, "composerp.ledger 1 ready") && !drained {
			drained = true
			p.drain("composerp.ledger")
		}
	}
	if r := p.run(); !drained || !r.Proven() {
		t.Errorf("waited: %v\n%s", drained, r.Table())
	}
}

// An event that enters the log while the audit looks makes it look again: here
// nobody publishes it, so it ends in flight and not as a finding.
func TestAnEventDuringTheProofIsNoFinding(t *testing.T) {
	p := newPlace(t)
	p.Settle = 300 * time.Millisecond
	p.Wait = 2 * time.Second
	// The second look is the last one: the event comes after it has looked at the log.
	looks := 0
	p.Management = management(t, func(w http.ResponseWriter) {
		if looks++; looks == 2 {
			p.admit(true)
		}
		fmt.Fprint(w, `[]`)
	})
	p.expect(p.run(), audit.InFlight, "published", "", "1 event")
}

// figures makes up what the management API says is in the ledger's hand, look by look.
func (p *place) figures(t *testing.T, inHand func(look int) int) {
	look := 0
	p.Management = management(t, func(w http.ResponseWriter) {
		look++
		fmt.Fprintf(w, `[{"name":"composerp.ledger","messages_ready":0,"messages_unacknowledged":%d}]`, inHand(look))
	})
}

// Figures may be some seconds old: those of the first looks prove nothing.
func TestTheAuditDoesNotTrustTheFirstFigures(t *testing.T) {
	p := newPlace(t)
	p.Settle = 1500 * time.Millisecond
	p.figures(t, func(look int) int { return min(1, look/3) })
	p.expect(p.run(), audit.InFlight, "hands", "composerp.ledger", "1 message not acknowledged")
}

// A fleet that comes to rest for a moment now and then is not at rest.
func TestTheFleetMustStayAtRest(t *testing.T) {
	p := newPlace(t)
	p.Settle, p.Wait = time.Second, 3*time.Second
	p.figures(t, func(look int) int { return (look + 1) % 2 })
	p.expect(p.run(), audit.InFlight, "hands", "composerp.ledger", "1 message not acknowledged")
}

// An event that comes between two looks and is dealt with at once shows in the log alone.
func TestANewEventBeginsTheWaitAnew(t *testing.T) {
	p := newPlace(t)
	p.Settle, p.Wait = time.Second, time.Minute
	looks := 0
	p.figures(t, func(look int) int {
		if looks = look; look == 2 {
			p.admit(false)
		}
		return 0
	})
	// There is no ledger to move its stock.
	if r := p.run(); failed(r) != "implied" || looks < 5 {
		t.Errorf("after %d looks, want 5 or more:\n%s", looks, r.Table())
	}
}

func TestWhatCannotBeSeenIsSaid(t *testing.T) {
	refused, err := exchange.NewManagement("http://nobody:wrong@127.0.0.1:1")
	must(t, err)
	for name, c := range map[string]struct {
		management *exchange.Management
		reason     string
	}{
		"no URL":     {nil, "is not known"},
		"no answer":  {refused, "unreachable"},
		"no queues":  {managementThatAnswers(t, http.StatusOK, `[]`), "no figures of composerp."},
		"no access":  {managementThatAnswers(t, http.StatusUnauthorized, `{}`), "refuses access"},
		"no plug-in": {managementThatAnswers(t, http.StatusNotFound, `not found`), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.Management = c.management
			r := p.run()
			if !r.Proven() {
				t.Errorf("verdict %s", r.Verdict)
			}
			for _, name := range []string{"hands", "stuck"} {
				if got := check(t, r, name); got.OK || !strings.Contains(got.Skipped, c.reason) {
					t.Errorf("check %s is %+v, want it skipped because it %s", name, got, c.reason)
				}
			}
			if page := r.Table(); !strings.Contains(page, "as far as could be seen: 2 of") || !strings.Contains(page, c.reason) {
				t.Errorf("the table does not say so:\n%s", page)
			}
		})
	}
}

func managementThatAnswers(t *testing.T, status int, body string) *exchange.Management {
	return management(t, func(w http.ResponseWriter) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

// management is a client of a management API that a test makes up.
func management(t *testing.T, answer func(w http.ResponseWriter)) *exchange.Management {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	t.Cleanup(server.Close)
	m, err := exchange.NewManagement(server.URL)
	must(t, err)
	return m
}

func TestAnAuditThatCannotBeMadeIsAnError(t *testing.T) {
	p := newPlace(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.send(exchange.Events, saleKey)
	p.Wait = time.Minute
	p.Progress = func(string) { cancel() }
	if _, err := audit.Run(ctx, p.Config); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	p.Exchange.URLs = []string{"amqp://guest:guest@127.0.0.1:1/"}
	if _, err := audit.Run(t.Context(), p.Config); !errors.Is(err, exchange.ErrUnreachable) {
		t.Errorf("without a broker: %v", err)
	}
}

func TestReportJSON(t *testing.T) {
	t.Parallel()
	r := audit.Report{Verdict: audit.Findings, ElapsedMs: 5, Checks: []store.AuditCheck{{
		Name: "implied", What: "it is so", Count: 2, Unit: "events", Wrong: 1, Findings: []store.AuditFinding{{EventID: "e", Type: "T", Problem: "is not"}},
	}}}
	got, err := json.Marshal(r)
	must(t, err)
	const want = `{"verdict":"findings","checks":[{"name":"implied","what":"it is so","ok":false,"count":2,"unit":"events","wrong":1,` +
		`"findings":[{"eventId":"e","type":"T","problem":"is not"}]}],` +
		`"counts":{"events":0,"published":0,"byType":null,"consumers":null,"movements":0,"positions":0,"items":0,"unitsNet":0},"elapsedMs":5}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	r := audit.Report{Verdict: audit.Findings, Elapsed: 4236 * time.Millisecond, Checks: []store.AuditCheck{
		{Name: "log", What: "every event is in the log", OK: true, Count: 641_410, Unit: "events"},
		{Name: "implied", What: "stock moved as the log says", Count: 320_705, Unit: "events", Wrong: 1_204, Findings: []store.AuditFinding{
			{EventID: "45f10bf1", Type: "SALE_COMPLETED", Tenant: "acme", Item: "85123A", Location: "UK-WH", Problem: "has moved -5 instead of -6"}}},
		{Name: "stuck", What: "no message is stuck", Unit: "queues", Skipped: "nobody knows"},
	}}
	r.Counts = store.AuditCounts{Events: 641_410, Published: 641_410, ByType: map[string]int64{"SALE_COMPLETED": 320_705},
		Consumers: []store.ConsumerCounts{{Consumer: "ledger", Handled: 320_704, Dead: 2, Copies: 1}}, Movements: 2, Positions: 2, Items: 1}
	const want = `FINDINGS: something does not add up, after 4.2s

  ✓ log      641,410 events           every event is in the log
  ✗ implied  1,204 of 320,705 events  NOT: stock moved as the log says
  – stuck    not seen                 no message is stuck

implied
  SALE_COMPLETED event 45f10bf1 acme/85123A/UK-WH has moved -5 instead of -6
  ... and 1,203 more

stuck could not be looked at: nobody knows

641,410 events in the log, 641,410 of them published from here
  320,705  SALE_COMPLETED
ledger has handled 320,704 events; 2 dead letters, 1 of them copies
2 movements of 1 item in 2 positions; 0 units on hand, net
`
	if got := r.Table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
