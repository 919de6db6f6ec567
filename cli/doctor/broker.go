package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/observer"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

func (x *Examination) examineBroker(ctx context.Context) {
	at, limited := x.atBroker()
	if at.AMQP == "" && x.hasPart() {
		x.examineNodesAlone(ctx)
		return
	}
	broker, err := settings.BrokerConfig(at, x.log)
	if err != nil {
		x.failed("broker", err)
		return
	}
	broker.Name, broker.DialTimeout = "doctor", 5*time.Second
	session, err := rabbitmq.Open(ctx, broker)
	if err != nil {
		x.failed("broker", err)
		x.asked = x.asked || !errors.Is(err, rabbitmq.ErrUnreachable) && !errors.Is(err, rabbitmq.ErrBadURL) && !errors.Is(err, rabbitmq.ErrBadCertificate)
	} else {
		defer session.Close()
		x.asked = true
	}
	x.limited = limited
	alarmed := x.examineFleet(ctx, broker, x.management(ctx))
	switch {
	case session == nil || alarmed:
	case limited != "":
		x.unseen("message size", "the role topology, and "+limited+" is another", fullDoctor)
	default:
		x.examineMessageSize(ctx, session)
	}
}

// examineNodesAlone is what can be seen without a URL of the broker: by the management API alone.
func (x *Examination) examineNodesAlone(ctx context.Context) {
	x.unseen("broker", "a URL of the broker for topology, queues, dead letters and its message size", fullDoctor)
	api := x.management(ctx)
	if api == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	nodes, err := api.Nodes(ctx)
	if err != nil {
		x.unasked("management", err)
		return
	}
	for _, p := range fleet.PlanOf().Immediate(observer.Snapshot{Nodes: nodes}) {
		if p.Kind == watchdog.Node || p.Kind == watchdog.Alarm {
			x.Judged(p)
		}
	}
	x.ExamineNodes(nodes)
}

// management gives a client of the management API that answers; nil when there is none.
func (x *Examination) management(ctx context.Context) *management.Client {
	api, err := settings.ManagementClient(x.Endpoints)
	if err == nil && api == nil && x.hasPart() {
		x.unseen("management", "a URL of the management API for nodes, alarms, versions, bindings, policies and stuck messages", asMonitoring)
		return nil
	}
	if err == nil && api == nil {
		err = errors.New("no management API is known; set COMPOSERP_MANAGEMENT_URL, and enable the plugin: rabbitmq-plugins enable rabbitmq_management")
	}
	var overview management.Overview
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, questionTimeout)
		defer cancel()
		overview, err = api.Overview(ctx)
	}
	if forbidden(err) {
		x.unseen("management", "a user with the tag monitoring for nodes, alarms, versions, bindings, policies and stuck messages", asMonitoring)
		return nil
	}
	if err != nil {
		x.unasked("management", err)
		return nil
	}
	x.asked = true
	x.ok("broker", "RabbitMQ %s, Erlang %s, management at %s", overview.Version, overview.Erlang, api.Host())
	x.examineVersion(ctx, api, overview)
	return api
}

// ExamineNodes reports which plugins are missing and, when no check has failed, that there is no alarm.
func (x *Examination) ExamineNodes(nodes []management.NodeState) {
	for _, n := range nodes {
		const plugin = "rabbitmq_prometheus"
		switch {
		case isUncounted(n):
			x.unasked("alarms", fmt.Errorf("the broker has no statistics of %s yet; run composerp doctor again in some seconds", n.Name))
		case n.Running && !slices.Contains(n.Plugins, plugin):
			x.warn("plugins", "rabbitmq-plugins enable "+plugin, "%s is not enabled on %s: the broker's own metrics can not be scraped", plugin, n.Name)
		}
	}
	if len(nodes) > 0 && !x.has("node") && !x.has("alarm") && !x.has("alarms") && !x.has("plugins") {
		x.ok("alarms", "none; memory and disk are sufficient, plugins are enabled")
	}
}

// isUncounted tells of a node that runs whether its plugins and its disk are not known yet.
func isUncounted(n management.NodeState) bool { return n.Running && !n.Counted() }

// examineExtras reports what the fleet does not need; the watchdog's checks report what is missing or differs.
func (x *Examination) examineExtras(needed, have topology.Topology, vhost string) {
	extra, first, differs := 0, "", false
	for _, d := range needed.Diff(have) {
		if d.State != topology.Extra {
			differs = true
		} else if extra++; extra == 1 {
			first = strings.TrimSpace(d.Kind + " " + d.Name + " " + d.String())
		}
	}
	if extra > 0 {
		x.warn("topology", "composerp topology diff shows them, topology unbind removes bindings; delete what no newer or older program needs", "%d exchanges, queues or bindings are not needed, the first is %s", extra, first)
	} else if !differs {
		x.ok("topology", "the virtual host %s holds what the fleet needs", vhost)
	}
}

// examineTime is how long the broker may take for one message.
const examineTime = 5 * time.Second

// examineMessageSize publishes a message of the maximum size with a key that no queue is bound by; the broker returns
// it.
func (x *Examination) examineMessageSize(ctx context.Context, session *rabbitmq.Session) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	publisher, err := session.Publisher(1)
	if err == nil {
		var sent *rabbitmq.Confirmation
		sent, err = publisher.Publish(ctx, rabbitmq.Message{Exchange: topology.Retry, RoutingKey: topology.NoRoute, ID: uuid.NewString(), Type: "DOCTOR", Body: make([]byte, event.MaxBody)})
		if err == nil {
			err = sent.Wait(ctx)
		}
	}
	switch {
	case errors.Is(err, rabbitmq.ErrUnroutable):
		x.ok("message size", "the broker accepts messages of %d KiB", event.MaxBody>>10)
	case err != nil && strings.Contains(err.Error(), "404"):
		return // the exchange is missing, and examineTopology has said so
	case errors.Is(err, context.DeadlineExceeded): // an alarm that the nodes' figures do not tell of yet
		x.problem("alarms", "check memory and disk of the broker's nodes", "the broker accepts no messages: one was not confirmed within %s", examineTime)
	case err != nil:
		x.problem("message size", fmt.Sprintf("set max_message_size to %d or more in rabbitmq.conf", event.MaxBody), "the broker does not accept a message of %d KiB: %s", event.MaxBody>>10, exit.OneLine(err))
	}
}
