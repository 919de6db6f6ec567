package cli_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// A broker that takes connections and says nothing is to blame for itself: not the log, and the doctor is not advised.
func TestDoctorOfAFrozenBroker(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	broker, management := workertest.NewLink(t, h.broker.URLs[0]), workertest.NewLink(t, rabbitmqtest.ManagementURL(t))
	broker.Set(proxy.Weather{HoldDown: true})
	management.Set(proxy.Weather{HoldDown: true})
	x := h.doctor(2, "--amqp-url", broker.URL, "--management-url", management.URL)
	x.has(t, "broker", "problem", "", "")
	x.has(t, "management", "warning", "not checked", "")
	x.has(t, "database", "ok", "PostgreSQL", "")
	for _, f := range x.Findings {
		if f.Check == "log" || f.Check == "relay" && f.State == "problem" || strings.Contains(f.Do, "composerp doctor") && f.State != "ok" {
			t.Errorf("it blames or advises wrongly: %+v", f)
		}
		if f.State == "ok" && (f.Check == "broker" || f.Check == "queues" || f.Check == "topology" || f.Check == "dead") {
			t.Errorf("it says that all is well: %+v", f)
		}
	}
}
