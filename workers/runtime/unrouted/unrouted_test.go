package unrouted_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/unrouted"
	"github.com/composerp/composerp/workers/worker/workertest"
)

const saleKey = "integration.sale_completed"

var fleet = topology.Compute([]topology.Subscription{{Worker: "ledger", RoutingKeys: []string{saleKey}}, {Worker: "view", RoutingKeys: []string{saleKey}}})

func newEnv(t *testing.T) *workertest.Env {
	t.Helper()
	h := workertest.NewEnv(t)
	h.ApplyTopology(fleet)
	return h
}

func send(h *workertest.Env, key, eventType, id string, headers map[string]any) {
	h.Helper()
	h.Send(rabbitmq.Message{Exchange: topology.Events, RoutingKey: key, ID: id, Type: eventType, Headers: headers,
		Body: fmt.Appendf(nil, `{"tenantId":"t1","aggregateId":"of %s"}`, id)})
}

// Unrouted events go to the queues that are bound now, unchanged; those that still have no queue stay.
func TestReroute(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	reroute := func() (int64, error) {
		return unrouted.Rerouting{Routes: unrouted.RoutesOf(fleet, nil)}.Run(t.Context(), h.Session(), "test")
	}
	if n, err := reroute(); n != 0 || err != nil {
		t.Errorf("of an empty queue: %d, %v", n, err)
	}
	binding := topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.ledger", RoutingKey: saleKey}
	other := topology.BindingSpec{Exchange: topology.Events, Queue: "composerp.view", RoutingKey: saleKey}
	rabbitmqtest.DeleteBinding(t, h.Broker, binding)
	rabbitmqtest.DeleteBinding(t, h.Broker, other)
	send(h, "no.queue", "SALE_COMPLETED", "first", nil)
	for i := range 5 {
		send(h, saleKey, "SALE_COMPLETED", fmt.Sprint("sale ", i), map[string]any{rabbitmq.HeaderLogSeq: int64(i + 1), "theirs": "kept"})
	}
	send(h, "no.queue", "SALE_COMPLETED", "last", nil)
	h.ApplyTopology(topology.Topology{Bindings: []topology.BindingSpec{binding}})
	if n, err := reroute(); n != 5 || err != nil {
		t.Errorf("%d are brought to where they belong, %v, want 5", n, err)
	}
	for i, d := range h.Receive("composerp.ledger", 5) {
		if d.ID != fmt.Sprint("sale ", i) || d.LogSeq() != int64(i+1) || d.Headers["theirs"] != "kept" || !strings.Contains(string(d.Body), "of "+d.ID) || d.RoutingKey != saleKey {
			t.Errorf("message %d is %+v", i, d.Message)
		}
	}
	left := h.Receive(topology.Unrouted, 2)
	if left[0].ID != "first" || left[1].ID != "last" || h.Depth(topology.Unrouted) != 0 {
		t.Errorf("%s and %s are left, and %d more", left[0].ID, left[1].ID, h.Depth(topology.Unrouted))
	}
	rabbitmqtest.DeleteBinding(t, h.Broker, binding)
	send(h, saleKey, "SALE_COMPLETED", "again", nil)
	if n, err := reroute(); n != 1 || err != nil {
		t.Errorf("while the binding is still missing: %d, %v", n, err)
	}
	if left := h.Receive(topology.Unrouted, 1); left[0].ID != "again" {
		t.Errorf("%s is left", left[0].ID)
	}
}

// A key that nothing knows takes its type's key; the limit and the filter hold.
func TestRerouteByType(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	send(h, "integration.sale_complete", "SALE_COMPLETED", "typo 1", nil)
	send(h, "integration.sale_complete", "SALE_COMPLETED", "typo 2", nil)
	send(h, "integration.refund", "REFUND", "unknown", nil)
	r := unrouted.Rerouting{Routes: unrouted.RoutesOf(fleet, nil), ByType: true, Limit: 1}
	if n, err := r.Run(t.Context(), h.Session(), "test"); n != 1 || err != nil {
		t.Errorf("with a limit of 1: %d, %v", n, err)
	}
	r.Limit, r.Filter = 0, failures.LetterFilter{IDs: []string{"another"}}
	if n, err := r.Run(t.Context(), h.Session(), "test"); n != 0 || err != nil {
		t.Errorf("of another id: %d, %v", n, err)
	}
	r.Filter = failures.LetterFilter{}
	if n, err := r.Run(t.Context(), h.Session(), "test"); n != 1 || err != nil {
		t.Errorf("the rest: %d, %v", n, err)
	}
	for i, d := range h.Receive("composerp.ledger", 2) {
		if d.ID != fmt.Sprint("typo ", i+1) || d.RoutingKey != saleKey {
			t.Errorf("message %d is %s under %s", i, d.ID, d.RoutingKey)
		}
	}
	if left := h.Receive(topology.Unrouted, 1); left[0].ID != "unknown" {
		t.Errorf("%s is left", left[0].ID)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	have := topology.Topology{Bindings: []topology.BindingSpec{
		{Exchange: topology.Events, Queue: "theirs", RoutingKey: "partner.#"}, {Exchange: topology.Events, Queue: "theirs", RoutingKey: "eu.*.shipped"},
	}}
	for _, c := range []struct {
		key, eventType string
		bound          *topology.Topology
		want           unrouted.Reason
		as             string
	}{
		{saleKey, "SALE_COMPLETED", nil, unrouted.BoundNow, saleKey},
		{saleKey, "SALE_COMPLETED", &have, unrouted.MissingBinding, ""},
		{"integration.sale_complete", "SALE_COMPLETED", nil, unrouted.WrongKey, saleKey},
		{"integration.sale_complete", "SALE_COMPLETED", &have, unrouted.WrongKey, ""},
		{"Integration.sale_completed", "SALE_COMPLETED", nil, unrouted.WrongKey, saleKey},
		{"forecast.generated", "FORECAST_GENERATED", nil, unrouted.NoConsumer, ""},
		{"integration.refund", "REFUND", nil, unrouted.UnknownKey, ""},
		{"", "", nil, unrouted.UnknownKey, ""},
		{"partner", "X", &have, unrouted.BoundNow, "partner"},
		{"partner.a.b", "X", &have, unrouted.BoundNow, "partner.a.b"},
		{"eu.order.shipped", "X", &have, unrouted.BoundNow, "eu.order.shipped"},
		{"eu.shipped", "X", &have, unrouted.UnknownKey, ""},
	} {
		routes := unrouted.RoutesOf(fleet, c.bound)
		d := rabbitmq.Delivery{Message: rabbitmq.Message{RoutingKey: c.key, Type: c.eventType}}
		if got, as := routes.Reason(c.key, event.Type(c.eventType)), routes.Key(d); got != c.want || as != c.as {
			t.Errorf("%s of type %s: %s, published as %q, want %s, %q", c.key, c.eventType, got, as, c.want, c.as)
		}
	}
	for _, r := range unrouted.Reasons {
		if !strings.Contains(r.Advice(), "composerp ") {
			t.Errorf("%s: the advice %q names no command", r, r.Advice())
		}
	}
}

// file is an export that counts how often it is synced.
type file struct {
	bytes.Buffer
	synced int
}

func (f *file) Sync() error { f.synced = f.Len(); return nil }

func TestDiscardExportsFirst(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	for i := range 3 {
		send(h, "no.queue", "REFUND", fmt.Sprint("refund ", i), nil)
	}
	send(h, "no.queue", "OTHER", "other", nil)
	var export file
	report, err := unrouted.Discard(t.Context(), h.Session(), "test", unrouted.RoutesOf(fleet, nil), func(l unrouted.Letter) bool { return l.Type == "REFUND" }, &export)
	if err != nil || report.Seen != 4 || report.Discarded != 3 {
		t.Errorf("the report is %+v, %v", report, err)
	}
	if strings.Count(export.String(), "\n") != 3 || export.synced != export.Len() || !strings.Contains(export.String(), `"aggregateId":"of refund 2"`) || !strings.Contains(export.String(), `"reason":"unknown key"`) {
		t.Errorf("of %d bytes %d are on disk:\n%s", export.Len(), export.synced, &export)
	}
	if left := h.Receive(topology.Unrouted, 1); left[0].ID != "other" || h.Depth(topology.Unrouted) != 0 {
		t.Errorf("%s is left", left[0].ID)
	}
}

// Reading leaves everything in its order.
func TestRead(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	for i := range 3 {
		send(h, "no.queue", "", fmt.Sprint(i), nil)
	}
	var seen []string
	absent, err := unrouted.Read(t.Context(), h.Session(), "test", unrouted.RoutesOf(fleet, nil), func(l unrouted.Letter) (bool, error) {
		seen = append(seen, l.MessageID+" "+l.Tenant+" "+l.RoutingKey)
		return len(seen) < 2, nil
	})
	if err != nil || absent != 0 || strings.Join(seen, ", ") != "0 t1 no.queue, 1 t1 no.queue" {
		t.Errorf("seen %v, %d are absent, %v", seen, absent, err)
	}
	for i, d := range h.Receive(topology.Unrouted, 3) {
		if d.ID != fmt.Sprint(i) {
			t.Errorf("at %d is %s", i, d.ID)
		}
	}
}
