package rabbitmq_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/topologytest"
)

// line is a difference on a line.
func line(d topology.Difference) string {
	want, _ := json.Marshal(d.Want)
	have, _ := json.Marshal(d.Have)
	if d.State == topology.Mismatch {
		return fmt.Sprintf("%s %s %s %s: want %s, have %s", d.State, d.Kind, d.Name, d.Property, want, have)
	}
	return fmt.Sprintf("%s %s %s %s", d.State, d.Kind, d.Name, d.Property)
}

func differences(t *testing.T, config rabbitmq.Config, want topology.Topology) []string {
	t.Helper()
	vhost, err := config.Vhost()
	must(t, err)
	have, err := rabbitmqtest.Management(t).Topology(testContext(t), vhost)
	must(t, err)
	lines := []string{}
	for _, d := range want.Diff(have) {
		lines = append(lines, line(d))
	}
	return lines
}

func TestDiffAgainstTheBroker(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	want := topology.Compute(topologytest.Fleet())
	must(t, rabbitmq.Apply(testContext(t), want, config))
	if got := differences(t, config, want); len(got) > 0 {
		t.Errorf("what was just applied differs: %q", got)
	}

	// One of each kind: missing, different and extra; and another application's queue, which is ignored.
	management, vhost := rabbitmqtest.Management(t), rabbitmqtest.VhostOf(t, config)
	must(t, management.DeleteQueue(testContext(t), vhost, "composerp.alert.dead"))
	must(t, management.DeleteQueue(testContext(t), vhost, "composerp.alert"))
	connection, err := amqp.Dial(config.URLs[0])
	must(t, err)
	defer connection.Close()
	channel, err := connection.Channel()
	must(t, err)
	declare := func(name string, durable bool, arguments amqp.Table) {
		_, err := channel.QueueDeclare(name, durable, false, false, false, arguments)
		must(t, err)
	}
	declare("composerp.alert", true, amqp.Table{"x-queue-type": "classic", "x-max-length": int64(5)})
	declare("composerp.old", false, nil)
	declare("theirs", true, nil)
	must(t, channel.QueueBind("theirs", "#", topology.Events, false, nil))
	must(t, channel.QueueBind("composerp.ledger", "inventory.updated", topology.Events, false, nil))
	must(t, channel.QueueUnbind("composerp.ledger", "integration.sale_completed", topology.Events, nil))
	must(t, channel.ExchangeUnbind("composerp.intake.logged", "", "composerp.intake.filter", false, amqp.Table{"x-match": "any-with-x", "x-relayed": true}))
	must(t, channel.ExchangeBind("composerp.intake.logged", "", "composerp.intake.filter", false, amqp.Table{"x-match": "all"}))
	must(t, channel.ExchangeDeclare("composerp.old", "fanout", true, false, false, false, nil))

	got := differences(t, config, want)
	for _, line := range []string{
		"extra exchange composerp.old ",
		"missing queue composerp.alert.dead ",
		`mismatch queue composerp.alert x-queue-type: want "quorum", have "classic"`,
		"mismatch queue composerp.alert x-delivery-limit: want 1000, have null",
		"mismatch queue composerp.alert x-max-length: want null, have 5",
		"extra queue composerp.old ",
		"missing binding composerp.events -> composerp.ledger integration.sale_completed",
		"missing binding composerp.events -> composerp.alert inventory.low_stock",
		"missing binding composerp.dead -> composerp.alert.dead composerp.alert",
		"extra binding composerp.events -> composerp.ledger inventory.updated",
		"missing binding composerp.intake.filter -> composerp.intake.logged header x-relayed",
		`extra binding composerp.intake.filter -> composerp.intake.logged header {"x-match":"all"}`,
	} {
		if !slices.Contains(got, line) {
			t.Errorf("not found: %s", line)
		}
	}
	if len(got) != 17 { // and four more arguments of composerp.alert, and its binding to composerp.retry
		t.Errorf("%d differences, want 17:\n%q", len(got), got)
	}
}

// The exported definitions make, in an empty broker, just what Apply makes.
func TestDefinitionsCanBeImported(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	vhost := rabbitmqtest.VhostOf(t, config)
	want := topology.Compute(topologytest.Fleet())
	if got := differences(t, config, want); len(got) != len(want.Exchanges)+len(want.Queues)+len(want.Bindings) {
		t.Errorf("of an empty virtual host %d things are missing", len(got))
	}
	must(t, rabbitmqtest.Management(t).Import(testContext(t), want.Definitions(vhost)))
	if got := differences(t, config, want); len(got) > 0 {
		t.Errorf("what was imported differs: %q", got)
	}
	must(t, rabbitmq.Apply(testContext(t), want, config))
}

func TestTopologyOfNoVhost(t *testing.T) {
	t.Parallel()
	_, err := rabbitmqtest.Management(t).Topology(testContext(t), "nowhere")
	checkLine(t, err, rabbitmq.ErrVhostMissing, "create it")
}

func TestVhost(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{"amqp://h": "/", "amqp://h/": "/", "amqp://h/composerp": "composerp", "amqp://h/a%2Fb": "a/b"} {
		if got, err := (rabbitmq.Config{URLs: []string{url}}).Vhost(); err != nil || got != want {
			t.Errorf("%s leads to %q, %v; want %q", url, got, err, want)
		}
	}
	if _, err := (rabbitmq.Config{URLs: []string{"http://h"}}).Vhost(); err == nil {
		t.Error("http://h leads somewhere")
	}
}
