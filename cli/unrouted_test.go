package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// Unrouted events are listed with their reasons, redriven where a queue takes them, and discarded after an export. No
// database is needed.
func TestUnroutedEvents(t *testing.T) {
	t.Parallel()
	h := &workertest.Env{Env: workertest.NewDatabaseEnv(t).Env}
	h.Broker = rabbitmqtest.Vhost(t)
	h.ApplyTopology(workers.Topology())
	lost := topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.alert", RoutingKey: "inventory.low_stock"}
	for _, b := range workers.Topology().Bindings {
		if b.RoutingKey == lost.RoutingKey {
			rabbitmqtest.DeleteBinding(t, h.Broker, b)
		}
	}
	for key, eventType := range map[string]string{"integration.sale_complete": "SALE_COMPLETED", "inventory.low_stock": "INVENTORY_LOW_STOCK", "integration.refund": "REFUND"} {
		h.Send(rabbitmq.Message{Exchange: topology.Events, RoutingKey: key, ID: eventType, Type: eventType, Body: []byte(`{"tenantId":"t1"}`)})
	}
	file := filepath.Join(t.TempDir(), "out.ndjson")
	for _, c := range []dlqCase{
		{"list", exit.OK, []string{"wrong key", "missing binding", "topology apply", "unknown key", "integration.refund"}, "bound now"},
		{"list --type REFUND -o json", exit.OK, []string{`"reason": "unknown key"`, `"inQueue": 3`, `"count": 1`}, "SALE"},
		{"list --each --error WRONG", exit.OK, []string{"integration.sale_complete ", "t1"}, "REFUND"},
		{"list --tenant t9", exit.OK, []string{"holds no such message"}, "REFUND"},
		{"show REFUND", exit.OK, []string{"no queue is bound for integration.refund", "what to do", `{"tenantId":"t1"}`}, "SALE"},
		{"show nope", exit.WrongUsage, []string{`no unrouted message "nope"`, "--each"}, ""},
		{"export --type REFUND", exit.OK, []string{`"messageId":"REFUND"`, "1 unrouted message"}, "SALE"},
		{"redrive --dry-run", exit.FoundProblems, []string{"WOULD BE REDRIVEN", "composerp.unrouted  3       1", "topology apply"}, ""},
		{"redrive", exit.FoundProblems, []string{"composerp.unrouted  3       1", "integration.refund"}, "wrong key"},
		{"redrive --type SALE_COMPLETED", exit.OK, []string{"composerp.unrouted  0       0"}, ""},
		{"discard --type REFUND", exit.WrongUsage, []string{"1 message of composerp.unrouted", "--confirm=composerp.unrouted"}, ""},
		{"discard --confirm composerp.ledger.dead", exit.WrongUsage, []string{"which is composerp.unrouted"}, ""},
		{"discard --type REFUND --confirm composerp.unrouted --export " + file, exit.OK, []string{file}, ""},
		{"list", exit.OK, []string{"inventory.low_stock"}, "REFUND"},
	} {
		c.check(t, "--queue", "unrouted", "--amqp-url", h.Broker.URLs[0], "--management-url", rabbitmqtest.ManagementURL(t), "--dir", t.TempDir())
	}
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("the export is %s, %v", text, err)
	}
	all := command(t, "dlq", "list", "--database-url", h.URL, "--amqp-url", h.Broker.URLs[0])
	if all.code != exit.OK || !strings.Contains(all.out, "composerp.unrouted            1         1 ") {
		t.Errorf("dlq list: exit %d: %s%s", all.code, all.out, all.errors)
	}
	// With a database the operator log has it.
	command(t, "dlq", "redrive", "--queue", "unrouted", "--type", "REFUND", "--database-url", h.URL, "--amqp-url", h.Broker.URLs[0], "--management-url", rabbitmqtest.ManagementURL(t))
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM operator_log WHERE action = 'dlq redrive' AND subject = 'composerp.unrouted'`); n != 1 {
		t.Errorf("the operator log has %d entries, want one", n)
	}
	if d := h.Receive("composerp.ledger", 1); d[0].ID != "SALE_COMPLETED" || d[0].RoutingKey != "integration.sale_completed" {
		t.Errorf("the ledger has %+v", d[0].Message)
	}
}

// --timestamp holds for events that no queue was bound for too; one that came through the log keeps its time.
func TestUnroutedEventsGoBackWithAnotherTime(t *testing.T) {
	t.Parallel()
	h := &workertest.Env{Env: workertest.NewDatabaseEnv(t).Env}
	h.Broker = rabbitmqtest.Vhost(t)
	h.ApplyTopology(workers.Topology())
	sale, logged := workertest.Sale(t, "cup", "shop", "1"), workertest.Sale(t, "jug", "shop", "1")
	unknown := rabbitmq.Message{Exchange: topology.Events, RoutingKey: "integration.sale", Type: "SALE_COMPLETED"}
	send := func(id string, body []byte, headers map[string]any) {
		unknown.ID, unknown.Body, unknown.Headers = id, body, headers
		h.Send(unknown)
	}
	send(sale.ID.String(), sale.Body, nil)
	send("logged", logged.Body, map[string]any{rabbitmq.HeaderLogSeq: int64(7)})
	send("empty", []byte("{}"), nil)
	for _, c := range []dlqCase{
		{"redrive --timestamp 2026-02-08T09:30:00Z", exit.WrongUsage, []string{"name the events by --id"}, ""},
		{"redrive --timestamp soon --id logged", exit.WrongUsage, []string{"want a time such as"}, ""},
		{"redrive --timestamp 2026-02-08T09:30:00Z --id logged --dry-run", exit.WrongUsage, []string{"message logged: the log holds this event", "an id of its own"}, ""},
		{"redrive --timestamp 2026-02-08T09:30:00Z --id logged", exit.WrongUsage, []string{"message logged: the log holds this event"}, ""},
		{"redrive --timestamp 2026-02-08T09:30:00Z --id empty", exit.WrongUsage, []string{"it holds no event"}, ""},
	} {
		c.check(t, "--queue", "unrouted", "--amqp-url", h.Broker.URLs[0], "--management-url", rabbitmqtest.ManagementURL(t), "--dir", t.TempDir())
	}
	if n := h.Depth(topology.Unrouted); n != 3 {
		t.Fatalf("%d messages are unrouted after refusals", n)
	}
	dlqCase{"redrive --timestamp 2026-02-08T09:30:00Z --id " + sale.ID.String(), exit.OK, []string{"composerp.unrouted  1       1"}, ""}.
		check(t, "--queue", "unrouted", "--amqp-url", h.Broker.URLs[0], "--management-url", rabbitmqtest.ManagementURL(t), "--dir", t.TempDir())
	d := h.Receive("composerp.ledger", 1)[0]
	e, err := event.DecodeOutside(d.Body)
	h.Must(err)
	if at := time.Date(2026, 2, 8, 9, 30, 0, 0, time.UTC); d.ID != sale.ID.String() || !e.Timestamp.Equal(at) || h.Depth(topology.Unrouted) != 2 {
		t.Errorf("the ledger has %s of %s", d.Body, d.ID)
	}
}
