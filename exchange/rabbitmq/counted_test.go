package rabbitmq_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/publishing"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// counts reads the metrics of a publisher's kind; a label's value may stand for the outcome.
type counts struct {
	*testing.T
	registry *prometheus.Registry
}

// counted has the publishers of a configuration counted.
func counted(t *testing.T, config *rabbitmq.Config) counts {
	t.Helper()
	c := counts{t, prometheus.NewRegistry()}
	config.Publishing = publishing.NewMetrics(c.registry).Of(publishing.Worker)
	return c
}

func (c counts) of(name, outcome string) float64 {
	c.Helper()
	families, err := c.registry.Gather()
	must(c.T, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetValue() + " "
			}
			if family.GetName() == name && strings.Contains(labels, publishing.Worker) && strings.Contains(labels, outcome) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	c.Fatalf("no metric %s of %s", name, outcome)
	return 0
}

func (c counts) want(outcome string, n float64) {
	c.Helper()
	eventually(c.T, outcome, func() bool { return c.of("composerp_publisher_messages_total", outcome) == n })
}

func (c counts) gauge(name string) float64 { c.Helper(); return c.of("composerp_publisher_"+name, "") }

// Each message is counted once, by the broker's answer; what has none when the session ends is lost, and no gauge
// counts it any more.
func TestPublishersAreCounted(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, withLedger(t))
	c := counted(t, &config)
	session := open(t, config)
	p := publisher(t, session, 16)
	for range 3 {
		must(t, publish(t, p, sale(1)).Wait(testContext(t)))
	}
	astray := sale(0)
	astray.Exchange, astray.RoutingKey = topology.Retry, "composerp.none"
	if err := publish(t, p, astray).Wait(testContext(t)); !errors.Is(err, rabbitmq.ErrUnroutable) {
		t.Fatal(err)
	}
	c.want("confirmed", 3)
	c.want("returned", 1)
	if n := c.of("composerp_publisher_confirm_seconds", ""); n != 3 {
		t.Errorf("%v confirms have a time, want 3", n)
	}
	broker.inject(t, 0, methodFrame(60, "\x0alow memory"))
	eventually(t, "a blocked publisher", func() bool { return c.gauge("blocked") == 1 })
	broker.inject(t, 0, methodFrame(61, ""))
	eventually(t, "no blocked publisher", func() bool { return c.gauge("blocked") == 0 })
	broker.toClient.hold()
	unanswered := []*rabbitmq.Confirmation{publish(t, p, sale(2)), publish(t, p, sale(3))}
	if n := c.gauge("in_flight"); n != 2 {
		t.Errorf("%v messages are in flight, want 2", n)
	}
	broker.drop(0)
	for _, u := range unanswered {
		if err := u.Wait(testContext(t)); !errors.Is(err, rabbitmq.ErrSessionLost) {
			t.Errorf("an unanswered message: %v", err)
		}
	}
	c.want("lost", 2)
	eventually(t, "nothing is left", func() bool { return c.gauge("in_flight") == 0 })
	if n := c.of("composerp_publisher_messages_total", "confirmed"); n != 3 {
		t.Errorf("%v are confirmed now", n)
	}
}
