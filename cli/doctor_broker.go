package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

func (x *examination) examineBroker(ctx context.Context) {
	broker, err := brokerConfig(x.endpoints, x.log)
	if err != nil {
		x.failed("broker", err)
		return
	}
	broker.Name, broker.DialTimeout = "doctor", 5*time.Second
	session, err := exchange.Open(ctx, broker)
	if err != nil {
		x.failed("broker", err)
		x.asked = x.asked || !errors.Is(err, exchange.ErrUnreachable) && !errors.Is(err, exchange.ErrBadURL)
	} else {
		defer session.Close()
		x.asked = true
	}
	alarmed := x.examineManagement(ctx, broker)
	if session == nil {
		return
	}
	x.examineQueues(session)
	if !alarmed {
		x.examineMessageSize(ctx, session)
	}
}

// examineManagement asks the management API, and tells whether the broker is alarmed and takes no messages.
func (x *examination) examineManagement(ctx context.Context, broker exchange.Config) (alarmed bool) {
	management, err := managementClient(x.endpoints)
	if err == nil && management == nil {
		err = errors.New("no management API is known; set COMPOSERP_MANAGEMENT_URL, and enable the plugin: rabbitmq-plugins enable rabbitmq_management")
	}
	if err != nil {
		x.unasked("management", err)
		return false
	}
	overview, err := management.Overview(ctx)
	if err != nil {
		x.unasked("management", err)
		return false
	}
	x.asked = true
	x.ok("broker", "RabbitMQ %s, Erlang %s, management at %s", overview.Version, overview.Erlang, management.Host())
	alarmed = x.examineNodes(ctx, management)
	vhost, err := broker.Vhost()
	if err != nil {
		x.unasked("topology", err)
		return alarmed
	}
	x.examineTopology(ctx, management, vhost)
	x.examineStuck(ctx, management, vhost)
	return alarmed
}

func (x *examination) examineNodes(ctx context.Context, management *exchange.Management) (alarmed bool) {
	nodes, err := management.Nodes(ctx)
	if err != nil {
		x.unasked("alarms", fmt.Errorf("%w; the user needs the tag monitoring", err))
		return false
	}
	before := len(x.findings)
	for _, n := range nodes {
		switch {
		case !n.Running:
			x.problem("node", "start it, or take it out of the cluster", "%s is down", n.Name)
			continue
		case n.DiskAlarm:
			alarmed = true
			x.problem("alarm", "make room on its disk; it goes on by itself then", "%s takes no messages: %d MB of disk are free, its limit is %d MB", n.Name, n.DiskFree>>20, n.DiskFreeLimit>>20)
		case n.DiskFree < 2*n.DiskFreeLimit:
			x.warn("alarm", "make room on its disk before the broker stops taking messages", "%s has %d MB of disk free, and its limit is %d MB", n.Name, n.DiskFree>>20, n.DiskFreeLimit>>20)
		}
		if n.MemoryAlarm {
			alarmed = true
			x.problem("alarm", "drain its queues, or raise vm_memory_high_watermark", "%s takes no messages: it uses %d MB of memory, its limit is %d MB", n.Name, n.MemoryUsed>>20, n.MemoryLimit>>20)
		}
		for plugin, use := range map[string]string{"rabbitmq_prometheus": "the broker's own metrics can not be scraped"} {
			if !slices.Contains(n.Plugins, plugin) {
				x.warn("plugins", "rabbitmq-plugins enable "+plugin, "%s is not enabled on %s: %s", plugin, n.Name, use)
			}
		}
	}
	if len(x.findings) == before {
		x.ok("alarms", "none; memory and disk have room, plugins are enabled")
	}
	return alarmed
}

func (x *examination) examineTopology(ctx context.Context, management *exchange.Management, vhost string) {
	have, err := management.Topology(ctx, vhost)
	if err != nil {
		x.unasked("topology", err)
		return
	}
	count := map[exchange.State]int{}
	name := map[exchange.State]string{}
	for _, d := range workers.Topology().Diff(have) {
		count[d.State]++
		name[d.State] = first(name[d.State], strings.TrimSpace(d.Kind+" "+d.Name+" "+whatDiffers(d)))
	}
	if n := count[exchange.Missing]; n > 0 {
		x.problem("topology", "composerp topology apply", "%d exchanges, queues or bindings are missing, the first is %s", n, name[exchange.Missing])
	}
	if n := count[exchange.Mismatch]; n > 0 {
		x.problem("topology", "empty and delete it, then composerp topology apply; composerp topology diff shows them all", "%d properties differ, the first of %s", n, name[exchange.Mismatch])
	}
	if n := count[exchange.Extra]; n > 0 {
		x.warn("topology", "composerp topology diff shows them; delete what no newer or older program needs", "%d exchanges, queues or bindings are of no use, the first is %s", n, name[exchange.Extra])
	}
	if len(count) == 0 {
		x.ok("topology", "the virtual host %s holds what the fleet needs", vhost)
	}
}

// examineMessageSize sends the largest event there may be where no queue is bound, and has it returned.
func (x *examination) examineMessageSize(ctx context.Context, session *exchange.Session) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	publisher, err := session.Publisher(1)
	if err == nil {
		var sent *exchange.Confirmation
		sent, err = publisher.Publish(ctx, exchange.Message{Exchange: exchange.Retry, RoutingKey: "composerp.doctor", ID: uuid.NewString(), Type: "DOCTOR", Body: make([]byte, event.MaxBody)})
		if err == nil {
			err = sent.Wait(ctx)
		}
	}
	switch {
	case errors.Is(err, exchange.ErrUnroutable):
		x.ok("message size", "the broker takes messages of %d KiB", event.MaxBody>>10)
	case err != nil && strings.Contains(err.Error(), "404"):
		return // the exchange is missing, and examineTopology has said so
	case err != nil:
		x.problem("message size", fmt.Sprintf("set max_message_size to %d or more in rabbitmq.conf", event.MaxBody), "the broker does not take a message of %d KiB: %s", event.MaxBody>>10, oneLine(err))
	}
}
