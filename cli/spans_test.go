package cli_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/composerp/composerp/workers/worker/spans/spanstest"
)

// A collector gets one tree of what a sale led to, from two processes.
func TestSpansOfASale(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	collected := spanstest.New(t)
	h.env = append(h.env, "COMPOSERP_OTLP_ENDPOINT="+collected.URL)
	f := h.up()
	published := h.ok("publish", "SALE_COMPLETED", "-o", "json", "--data", `{"saleId":"S1","itemId":"tea","locationId":"shop","quantity":2,"amount":9,"timestamp":"2026-02-09T12:00:00Z"}`)
	h.ok("audit", "--wait", "1m")
	f.stop(t) // sends what is waiting
	var of struct {
		EventID string `json:"eventId"`
	}
	if err := json.Unmarshal([]byte(published.out), &of); err != nil {
		t.Fatal(err)
	}
	find := func(name, attribute, value string) *otlp.Span {
		t.Helper()
		span := collected.Last(name, attribute, value)
		if span == nil {
			t.Fatalf("no span %s has %s %s among %v", name, attribute, value, collected.Spans())
		}
		return span
	}
	const eventType = "composerp.event.type"
	sent := find("send composerp.events", eventType, "SALE_COMPLETED")
	ledger := find("process composerp.ledger", eventType, "SALE_COMPLETED")
	update := find("send composerp.events", eventType, "INVENTORY_UPDATED")
	view := find("process composerp.stockview", eventType, "INVENTORY_UPDATED")
	if len(sent.ParentSpanId) > 0 || spanstest.Attribute(sent, "messaging.message.id") != of.EventID {
		t.Errorf("the first span is %v", sent)
	}
	for _, pair := range [][2]*otlp.Span{{sent, ledger}, {ledger, update}, {update, view}} {
		if !bytes.Equal(pair[1].ParentSpanId, pair[0].SpanId) || !bytes.Equal(pair[1].TraceId, pair[0].TraceId) {
			t.Errorf("%s, a child of %s in trace %s, follows %s, which is %s", pair[1].Name, hex.EncodeToString(pair[1].ParentSpanId), hex.EncodeToString(pair[1].TraceId), pair[0].Name, hex.EncodeToString(pair[0].SpanId))
		}
	}
	h.env = append(h.env, "COMPOSERP_OTLP_ENDPOINT=127.0.0.1:4318")
	if r := h.run("worker", "run", "ledger"); r.code != 78 {
		t.Errorf("an endpoint that is no URL: exit %d, %s", r.code, r.errors)
	}
}
