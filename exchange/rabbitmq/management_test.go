package rabbitmq_test

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

func TestManagementCountsQueues(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	publishSales(t, session, 5)
	c := consumer(t, session, ledgerQueue, 2)
	take(t, c, 2)
	eventually(t, "the statistics show three ready, two unacknowledged and a consumer", func() bool {
		states, err := rabbitmqtest.Management(t).Queues(testContext(t), rabbitmqtest.VhostOf(t, config))
		must(t, err)
		state := states[ledgerQueue]
		want := topology.QueueState{Name: ledgerQueue, Ready: 3, Unacked: 2, Consumers: 1, Counted: true, Bytes: state.Bytes}
		return state.Bytes > 0 && reflect.DeepEqual(state, want)
	})
}

// A retry queue whose worker's queue is gone keeps expired messages, and no depth shows them.
func TestManagementShowsWhatIsStuckBetweenQueues(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	api, vhost := rabbitmqtest.Management(t), rabbitmqtest.VhostOf(t, config)
	must(t, api.DeleteQueue(testContext(t), vhost, ledgerQueue))
	m := rabbitmq.RetryMessage(rabbitmq.Delivery{Message: sale(1)}, ledger, retryDelay, nil)
	must(t, publish(t, publisher(t, session, 1), m).Wait(testContext(t)))
	eventually(t, "the statistics show it", func() bool {
		states, err := api.Queues(testContext(t), vhost)
		must(t, err)
		state := states[m.RoutingKey]
		return state.MessagesDLX == 1 && state.Ready == 0
	})
}

func TestManagementKnowsVhostsAndTheBroker(t *testing.T) {
	t.Parallel()
	management := rabbitmqtest.Management(t)
	overview, err := management.Overview(testContext(t))
	must(t, err)
	if !strings.Contains(overview.Version, ".") || overview.Node == "" {
		t.Errorf("the overview is %+v", overview)
	}
	vhost := rabbitmqtest.VhostOf(t, rabbitmqtest.Vhost(t))
	must(t, management.CreateVhost(testContext(t), vhost)) // there already
	if vhosts := rabbitmqtest.Vhosts(t); !slices.Contains(vhosts, vhost) {
		t.Errorf("the virtual hosts are %q", vhosts)
	}
	odd := vhost + "/ %2F?#"
	must(t, management.CreateVhost(testContext(t), odd))
	if _, err := management.Queues(testContext(t), odd); err != nil {
		t.Errorf("a virtual host with an odd name: %v", err)
	}
	must(t, management.DeleteVhost(testContext(t), odd))
	_, err = management.Queues(testContext(t), odd)
	checkLine(t, err, rabbitmq.ErrVhostMissing, "create it")
}

func TestManagementSaysWhatIsWrongInOneLine(t *testing.T) {
	t.Parallel()
	right, err := url.Parse(rabbitmqtest.ManagementURL(t))
	must(t, err)
	at := func(change func(u *url.URL)) *management.Client {
		u := *right
		change(&u)
		management, err := management.New(u.String())
		must(t, err)
		return management
	}
	_, err = at(func(u *url.URL) { u.User = url.UserPassword("guest", "s3cret") }).Overview(testContext(t))
	checkLine(t, err, rabbitmq.ErrAccessRefused, "correct user and password")
	_, err = at(func(u *url.URL) { u.Host = closedPort(t); u.User = url.UserPassword("guest", "s3cret") }).Overview(testContext(t))
	checkLine(t, err, rabbitmq.ErrUnreachable, "management plugin")
	_, err = at(func(*url.URL) {}).Queues(testContext(t), "nowhere")
	checkLine(t, err, rabbitmq.ErrVhostMissing, "nowhere")
	_, err = management.New("http://guest:s3%cret@host")
	if err == nil || strings.Contains(err.Error(), "cret") {
		t.Errorf("a broken URL gives %v", err)
	}
}

// Moving messages in the management UI needs the shovel's plugins.
func TestTheBrokerCanMoveMessages(t *testing.T) {
	t.Parallel()
	nodes, err := rabbitmqtest.Management(t).Nodes(t.Context())
	must(t, err)
	for _, n := range nodes {
		for _, plugin := range []string{"rabbitmq_shovel", "rabbitmq_shovel_management"} {
			if !slices.Contains(n.Plugins, plugin) {
				t.Errorf("%s is not enabled on %s: %v", plugin, n.Name, n.Plugins)
			}
		}
	}
}
