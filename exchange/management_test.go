package exchange_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/exchangetest"
)

func TestManagementCountsQueues(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	publishSales(t, session, 5)
	c := consumer(t, session, ledgerQueue, 2)
	take(t, c, 2)
	soon(t, "the statistics show three ready, two unacknowledged and a consumer", func() bool {
		states, err := exchangetest.Management(t).Queues(patient(t), exchangetest.VhostOf(t, config))
		must(t, err)
		i := slices.IndexFunc(states, func(q exchange.QueueState) bool { return q.Name == ledgerQueue })
		want := exchange.QueueState{Name: ledgerQueue, Ready: 3, Unacked: 2, Consumers: 1, Counted: true}
		if i < 0 || states[i].Bytes == 0 {
			return false
		}
		want.Bytes = states[i].Bytes
		return states[i] == want
	})
}

// A rung whose worker's queue is gone keeps what has expired, and no depth shows it.
func TestManagementShowsWhatIsStuckBetweenQueues(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	management, vhost := exchangetest.Management(t), exchangetest.VhostOf(t, config)
	must(t, management.DeleteQueue(patient(t), vhost, ledgerQueue))
	m := exchange.RetryMessage(exchange.Delivery{Message: sale(1)}, ledger, rung, nil)
	must(t, publish(t, publisher(t, session, 1), m).Wait(patient(t)))
	soon(t, "the statistics show it", func() bool {
		states, err := management.Queues(patient(t), vhost)
		must(t, err)
		return slices.ContainsFunc(states, func(q exchange.QueueState) bool {
			return q.Name == m.RoutingKey && q.MessagesDLX == 1 && q.Ready == 0
		})
	})
}

func TestManagementKnowsVhostsAndTheBroker(t *testing.T) {
	t.Parallel()
	management := exchangetest.Management(t)
	overview, err := management.Overview(patient(t))
	must(t, err)
	if !strings.Contains(overview.Version, ".") || overview.Node == "" {
		t.Errorf("the overview is %+v", overview)
	}
	vhost := exchangetest.VhostOf(t, exchangetest.Vhost(t))
	must(t, management.CreateVhost(patient(t), vhost)) // there already
	vhosts, err := management.Vhosts(patient(t))
	must(t, err)
	if !slices.Contains(vhosts, vhost) {
		t.Errorf("the virtual hosts are %q", vhosts)
	}
	odd := vhost + "/ %2F?#"
	must(t, management.CreateVhost(patient(t), odd))
	if _, err := management.Queues(patient(t), odd); err != nil {
		t.Errorf("a virtual host with an odd name: %v", err)
	}
	must(t, management.DeleteVhost(patient(t), odd))
	_, err = management.Queues(patient(t), odd)
	checkLine(t, err, exchange.ErrVhostMissing, "create it")
}

func TestManagementSaysWhatIsWrongInOneLine(t *testing.T) {
	t.Parallel()
	right, err := url.Parse(exchangetest.ManagementURL(t))
	must(t, err)
	at := func(change func(u *url.URL)) *exchange.Management {
		u := *right
		change(&u)
		management, err := exchange.NewManagement(u.String())
		must(t, err)
		return management
	}
	_, err = at(func(u *url.URL) { u.User = url.UserPassword("guest", "s3cret") }).Overview(patient(t))
	checkLine(t, err, exchange.ErrAccessRefused, "correct user and password")
	_, err = at(func(u *url.URL) { u.Host = closedPort(t); u.User = url.UserPassword("guest", "s3cret") }).Overview(patient(t))
	checkLine(t, err, exchange.ErrUnreachable, "management plugin")
	_, err = at(func(*url.URL) {}).Queues(patient(t), "nowhere")
	checkLine(t, err, exchange.ErrVhostMissing, "nowhere")
	_, err = exchange.NewManagement("http://guest:s3%cret@host")
	if err == nil || strings.Contains(err.Error(), "cret") {
		t.Errorf("a broken URL gives %v", err)
	}
}
