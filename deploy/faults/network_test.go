package faults_test

import (
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// distance is an environment whose fleet has a network between itself and its servers.
type distance struct {
	*environment
	toDatabase, toBroker *proxy.Proxy
}

// slow is a network over half the world with the bandwidth of a modem, near enough.
var slow = proxy.Weather{Delay: 100 * time.Millisecond}

// silences are the ways in which a network may say nothing.
var silences = []struct {
	name    string
	weather proxy.Weather
}{
	{"nothing gets through", proxy.Weather{HoldUp: true, HoldDown: true}},
	{"nothing gets to it", proxy.Weather{HoldUp: true}},
	{"nothing comes from it", proxy.Weather{HoldDown: true}},
}

// TestNetwork does to the connections of a fleet what networks do.
func TestNetwork(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	broker, database := rabbitmqtest.Vhost(t), storetest.URL(t)
	d := &distance{}
	g := endpoints{database: database, exchange: broker.URLs, management: rabbitmqtest.ManagementURL(t)}
	var through string
	var err error
	if d.toDatabase, g.fleetDatabase, err = proxy.Before(database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.toDatabase.Close)
	if d.toBroker, through, err = proxy.Before(broker.URLs[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.toBroker.Close)
	g.fleetExchange = []string{through}
	d.environment = newEnvironment(t, g)
	d.run(d.fleet()...)
	d.speak()
	d.partBroker()
	d.partDatabase()
	d.rest(audit.Proven)
	d.toBroker.Set(silences[0].weather)
	d.halt() // Connections end without a close frame.
}

func (d *distance) partBroker() {
	d.Helper()
	heal := func() { d.toBroker.Set(proxy.Weather{}) }
	d.survive("the broker's connections are cut, once", limit, func() func() {
		d.toBroker.Cut()
		return heal
	})
	d.survive("the broker closes every connection", limit, func() func() {
		d.toBroker.Set(proxy.Weather{Refuse: true})
		d.toBroker.Cut()
		d.soon(limit, "no worker consumes", d.noneConsumes)
		return heal
	})
	for _, s := range silences {
		d.survive("the broker: "+s.name, limit, func() func() {
			d.toBroker.Set(s.weather)
			d.soon(limit, "no worker consumes", d.noneConsumes)
			return heal
		})
	}
	d.survive("the broker is far away", limit, func() func() {
		d.toBroker.Set(slow)
		d.recover(time.Now(), limit)
		return heal
	})
}

func (d *distance) partDatabase() {
	d.Helper()
	heal := func() { d.toDatabase.Set(proxy.Weather{}) }
	d.survive("the database's connections are cut, once", limit, func() func() {
		d.toDatabase.Cut()
		return heal
	})
	d.survive("the database closes every connection", limit, func() func() {
		d.toDatabase.Set(proxy.Weather{Refuse: true})
		d.toDatabase.Cut()
		d.soon(limit, "a slot pauses", d.paused)
		return heal
	})
	for _, s := range silences {
		d.survive("the database: "+s.name, limit, func() func() {
			d.toDatabase.Set(s.weather)
			d.soon(limit, "the relay's lease is over", func() bool {
				var over bool
				return d.ask(&over, `SELECT expires_at < clock_timestamp() FROM lease WHERE name = 'relay'`) && over
			})
			return heal
		})
	}
	d.survive("the database is far away", limit, func() func() {
		d.toDatabase.Set(slow)
		d.recover(time.Now(), limit)
		return heal
	})
}
