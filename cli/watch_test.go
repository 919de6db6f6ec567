package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// whole waits until the broker holds what the fleet needs, and nothing that was lost is still to be published again.
func (h *environment) whole(f *fleet) {
	h.Helper()
	h.Cleanup(func() {
		if h.Failed() {
			h.Logf("the fleet has said:\n%s", f.log)
		}
	})
	h.until("the topology is whole and nothing is pending", func() bool {
		return storetest.Value[int](h, h.database, `SELECT count(*) FROM gap`) == 0 && h.run("topology", "diff").code == 0
	})
	if !strings.Contains(f.log.String(), "missing topology declared") {
		h.Errorf("the watchdog has not said what it repaired:\n%s", f.log)
	}
}

// A queue, a binding and then the exchange itself are taken away under load. The watchdog puts them back, and what
// should have gone there comes again.
func TestTheTopologyIsTakenApartUnderLoad(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sold := madeTill(t, h.dir, 2000)
	f := h.up()
	imported, outside := make(chan struct{}), make(chan struct{})
	go func() { defer close(imported); h.importFile(sold.path) }()
	events := h.events(sold)
	go func() { defer close(outside); h.insist(events) }()
	moved := func() int { return storetest.Value[int](t, h.database, `SELECT count(*) FROM movement`) }
	h.until("the load is on", func() bool { return moved() > 200 })
	rabbitmqtest.DeleteQueue(t, h.broker, "composerp.ledger")
	rabbitmqtest.DeleteBinding(t, h.broker, topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.stockview", RoutingKey: "inventory.updated"})
	h.until("it is declared again", func() bool { return strings.Contains(f.log.String(), "missing topology declared") })
	<-outside
	rabbitmqtest.DeleteExchange(t, h.broker, topology.Events)
	<-imported
	h.whole(f)
	if r := h.run("audit", "--wait", "90s"); r.code != 0 {
		t.Fatalf("the audit exits with %d:\n%s%s\n%s", r.code, r.out, r.errors, f.log)
	}
	h.sells(sold)
	if n := strings.Count(f.log.String(), "problem found"); n == 0 || n > 40 {
		t.Errorf("the watchdog has shouted %d times:\n%s", n, f.log)
	}
	f.stop(t)
}

// events are what a till says, as messages.
func (h *environment) events(sold till) []rabbitmq.Message {
	h.Helper()
	mapped, err := filepath.Abs(mapping)
	if err != nil {
		h.Fatal(err)
	}
	var messages []rabbitmq.Message
	for line := range strings.Lines(h.ok("import", "--dry-run", sold.path, "--map", mapped).out) {
		e, err := event.DecodeOutside([]byte(strings.TrimSpace(line)))
		if err != nil {
			h.Fatal(err)
		}
		messages = append(messages, rabbitmq.Message{Exchange: topology.Events, RoutingKey: e.Type.RoutingKey(), ID: e.ID.String(), Type: string(e.Type), Body: e.Body})
	}
	return messages
}

// insist publishes straight to the exchange, as a till of its own: what the broker has not confirmed it sends again, on
// a new session.
func (h *environment) insist(messages []rabbitmq.Message) {
	err := rabbitmq.KeepConnected(h.Context(), h.broker, func(ctx context.Context, session *rabbitmq.Session) error {
		publisher, err := session.Publisher(64)
		if err != nil {
			return err
		}
		for len(messages) > 0 {
			sent := make([]*rabbitmq.Confirmation, min(64, len(messages)))
			for i := range sent {
				if sent[i], err = publisher.Publish(ctx, messages[i]); err != nil {
					return err
				}
			}
			for _, c := range sent {
				if err := c.Wait(ctx); err != nil {
					return err
				}
			}
			messages = messages[len(sent):]
		}
		return nil
	})
	if err != nil || len(messages) > 0 {
		h.Errorf("%d messages are not published: %v", len(messages), err)
	}
}

type republished struct {
	DryRun    bool
	Consumers []struct {
		Consumer           string
		Pending, Published int
	}
	Rerouted int
}

// totals are the pending deliveries of all consumers, and how many of them were published again.
func (r republished) totals() (pending, published int) {
	for _, c := range r.Consumers {
		pending, published = pending+c.Pending, published+c.Published
	}
	return pending, published
}

func (h *environment) republish(args ...string) republished {
	h.Helper()
	var report republished
	r := h.ok(append([]string{"republish", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		h.Fatalf("%v in %s", err, r.out)
	}
	return report
}

// The broker comes back without its queues' data. The audit finds what is lost, and a command publishes it again.
func TestTheBrokersDataIsGone(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sold := madeTill(t, h.dir, 300)
	h.up().stop(t) // every worker subscribes
	relay := h.part("metrics at ", "relay")
	h.importFile(sold.path)
	db := storetest.Open(t, h.database, 1)
	h.until("everything is published", func() bool {
		log, err := eventlog.ReadState(t.Context(), db, "")
		return err == nil && log.Unpublished == 0
	})
	relay.stop(t)
	// One of them was dead for the ledger, and its letter goes with the rest.
	storetest.Exec(t, h.database, `
INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at, recorded_at)
SELECT gen_random_uuid(), 'ledger', event_id, event_id::text, type, '', 'no', 1, '{}', '', now(), now() - interval '1 hour' FROM event_log WHERE type = 'SALE_COMPLETED' LIMIT 1`)
	management, vhost := rabbitmqtest.Management(t), rabbitmqtest.VhostOf(t, h.broker)
	for _, err := range []error{management.DeleteVhost(t.Context(), vhost), management.CreateVhost(t.Context(), vhost)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h.ok("topology", "apply")
	if r := h.run("audit"); r.code != 2 || !strings.Contains(r.out, "neither handled nor dead") || !strings.Contains(r.out, "-> composerp republish") {
		t.Fatalf("the audit exits with %d:\n%s%s", r.code, r.out, r.errors)
	}
	pending, published := h.republish("--dry-run", "--now").totals()
	if want := sold.rows - sold.rejected; pending < want || published != 0 {
		t.Errorf("a dry run finds %d pending and publishes %d, want %d and more, and none", pending, published, want)
	}
	if report := h.republish("--consumer", "ledger", "--since", "2h"); len(report.Consumers) != 1 || report.Consumers[0].Published != sold.rows-sold.rejected {
		t.Errorf("for the ledger %+v is published again", report)
	}
	if r := h.run("republish", "--wait", "1ms"); r.code != 2 || !strings.Contains(r.errors, "composerp.ledger") || !strings.Contains(r.errors, "--now") {
		t.Errorf("with messages in a queue: exit %d, %s%s", r.code, r.out, r.errors)
	}
	if again, published := h.republish("--now").totals(); again != pending || published != pending {
		t.Errorf("%d are pending and %d published again, want %d", again, published, pending)
	}
	f := h.up()
	h.proven()
	if n := storetest.Value[int](t, h.database, `WITH gone AS (DELETE FROM dead_letter WHERE missed_at IS NOT NULL RETURNING id) SELECT count(*) FROM gone`); n != 1 {
		t.Errorf("the dead-letter log has %d lost letters, want one", n)
	}
	h.sells(sold)
	if pending, _ := h.republish("--dry-run", "--now").totals(); pending != 0 {
		t.Errorf("%d are still pending", pending)
	}
	f.stop(t)
}

// Alarms of the broker's memory and disk: publishers wait, consumers go on, the watchdog says it, a fleet that is told
// to stop ends, and one that starts comes up. When the alarm is over everything arrives.
func TestAlarmsOfTheBroker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute: make test-faults")
	}
	dir, err := os.MkdirTemp("", "composerp-alarms-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // the server's user passes through it
	}
	if err != nil {
		t.Fatal(err)
	}
	servers, err := local.Start(t.Context(), local.Config{Dir: dir, BrokerOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Discard(context.Background()) })
	h := &environment{T: t, dir: t.TempDir(), database: storetest.URL(t), broker: rabbitmq.Config{URLs: []string{servers.AMQPURL}, Name: "test"}}
	h.env = append(cleanEnv(), "COMPOSERP_DATABASE_URL="+h.database, "COMPOSERP_AMQP_URL="+servers.AMQPURL,
		"COMPOSERP_MANAGEMENT_URL="+servers.ManagementURL, "COMPOSERP_METRICS_ADDR=127.0.0.1:0")
	control := func(args ...string) {
		t.Helper()
		if err := servers.BrokerControl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	sold := madeTill(t, h.dir, 1500)
	f := h.up()
	imported := make(chan struct{})
	go func() { defer close(imported); h.importFile(sold.path) }()
	h.until("the load is on", func() bool { return storetest.Value[int](t, h.database, `SELECT count(*) FROM movement`) > 100 })
	control("set_vm_memory_high_watermark", "absolute", "1MB")
	<-imported
	h.alarmed(f, "memory")
	control("set_vm_memory_high_watermark", "0.4")
	h.until("the watchdog says that it is over", func() bool { return f.says("problem resolved", "kind=alarm") })

	// Unreadable messages become dead letters, and publishing is impossible now: they are unacknowledged when the fleet
	// stops.
	f.stop(t)
	h.nonsense("composerp.ledger", 20)
	control("set_disk_free_limit", "1000GB")
	f = h.up()
	h.alarmed(f, "disk")
	stopped := time.Now()
	f.stop(t)
	if took := time.Since(stopped); took > localtest.Deadline(40*time.Second) {
		t.Errorf("the fleet took %s to end during an alarm", took)
	}
	f = h.up()
	control("set_disk_free_limit", "50MB")
	h.proven()
	h.stands(sold)
	if n := storetest.Value[int](t, h.database, `SELECT count(DISTINCT message_id) FROM dead_letter`); n != 20 {
		t.Errorf("%d dead letters, want the 20 that are unreadable", n)
	}
	f.stop(t)
}

// alarmed waits until the watchdog has told of an alarm, the queues are drained all the same, and what is said stays in
// the log.
func (h *environment) alarmed(f *fleet, of string) {
	h.Helper()
	h.until("the watchdog tells of the alarm", func() bool { return f.says("problem found", "kind=alarm", of) })
	h.ok("publish", "SALE_COMPLETED", "--tenant", "demo", "--data",
		`{"saleId":"S","itemId":"`+of+`","locationId":"UK-WH","quantity":1,"amount":1,"timestamp":"2026-02-09T12:00:00Z"}`)
	h.until("the queues are drained", func() bool {
		var workers []struct{ Ready int }
		if err := json.Unmarshal([]byte(h.ok("worker", "list", "-o", "json").out), &workers); err != nil {
			h.Fatal(err)
		}
		ready := 0
		for _, w := range workers {
			ready += w.Ready
		}
		return ready == 0
	})
	if r := h.run("doctor"); r.code != 2 || !strings.Contains(r.out, "takes no messages") {
		h.Errorf("the doctor exits with %d:\n%s%s", r.code, r.out, r.errors)
	}
	h.until("the page names the alarm", func() bool {
		return strings.Contains(observer{h.T, strings.TrimSuffix(f.served(h.T, "page"), "/")}.get("/"), "Publishing has stopped: ")
	})
	if n := storetest.Value[int](h, h.database, `SELECT count(*) FROM position WHERE item_id = $1`, of); n != 0 {
		h.Error("an event was published during an alarm: the test shows nothing")
	}
}

// says tells whether a line of the log has all of the texts.
func (f *fleet) says(texts ...string) bool {
	for line := range strings.Lines(f.log.String()) {
		has := true
		for _, text := range texts {
			has = has && strings.Contains(line, text)
		}
		if has {
			return true
		}
	}
	return false
}

// nonsense sends messages that no worker can read to one queue.
func (h *environment) nonsense(queue string, n int) {
	h.Helper()
	session, err := rabbitmq.Open(h.Context(), h.broker)
	if err != nil {
		h.Fatal(err)
	}
	defer session.Close()
	publisher, err := session.Publisher(1)
	for i := 0; i < n && err == nil; i++ {
		var sent *rabbitmq.Confirmation
		if sent, err = publisher.Publish(h.Context(), rabbitmq.Message{Exchange: topology.Retry, RoutingKey: queue, ID: uuid.NewString(), Body: []byte("nonsense")}); err == nil {
			err = sent.Wait(h.Context())
		}
	}
	if err != nil {
		h.Fatal(err)
	}
}

// stands holds the stock of every item against the till's own arithmetic.
func (h *environment) stands(sold till) {
	h.Helper()
	for item, want := range sold.units {
		if got := storetest.Value[int64](h, h.database, `SELECT on_hand::bigint FROM position WHERE item_id = $1 AND location_id = 'UK-WH'`, item); got != want {
			h.Fatalf("item %s stands at %d, want %d", item, got, want)
		}
	}
}

// madeTill writes a till's file with that number of rows.
func madeTill(t *testing.T, dir string, rows int) till {
	t.Helper()
	made := till{path: filepath.Join(dir, "sales.csv"), rows: rows, units: map[string]int64{}}
	var text strings.Builder
	text.WriteString("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n")
	for i := range rows {
		code, quantity := fmt.Sprint(10000+i%40), int64(1+i%5)
		made.units[code] -= quantity
		at := time.Date(2024, time.March, 1, 9, 0, i, 0, time.UTC)
		fmt.Fprintf(&text, "%d,%s,MUG,%d,%s,2.50,17850.0,United Kingdom\n", 500000+i, code, quantity, at.Format(time.DateTime))
	}
	if err := os.WriteFile(made.path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return made
}
