package spans_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker/spans"
	"github.com/composerp/composerp/workers/worker/spans/spanstest"
	"github.com/composerp/composerp/workers/worker/workertest"
	"github.com/composerp/composerp/workers/worker/workertest/logs"
)

// process is the recorder of one process; closed sends what it has.
func process(t *testing.T, to *spanstest.Collector, ratio float64) (r *spans.Recorder, closed func()) {
	t.Helper()
	r, err := spans.New(t.Context(), spans.Config{Endpoint: to.URL, Ratio: ratio, Version: "1.2.3", Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	return r, func() {
		t.Helper()
		if err := r.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// last is the last span of a name.
func last(t *testing.T, of *spanstest.Collector, name string) *otlp.Span {
	t.Helper()
	span := of.Last(name, "", "")
	if span == nil {
		t.Fatalf("there is no span %q among %v", name, of.Spans())
	}
	return span
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	till    = "00f067aa0ba902b7"
)

func soldWith(t *testing.T, traceparent string) event.Any {
	t.Helper()
	return workertest.Event(t, event.SaleCompleted{SaleID: "s", ItemID: "tea", LocationID: "shop", Quantity: event.NewDecimal(1), Amount: event.NewDecimal(1), Timestamp: workertest.Day},
		func(e *event.Envelope) { e.Metadata.Traceparent = traceparent })
}

// The spans of processes that know nothing of each other are one tree: the till's span, the sale's publishing, its
// handling, and the publishing of what follows from it.
func TestSpansOfSeveralProcessesAreOneTree(t *testing.T) {
	t.Parallel()
	collected := spanstest.New(t)
	began := time.Now().Add(-time.Second).Truncate(time.Microsecond)
	ended := began.Add(30 * time.Millisecond)
	sale := soldWith(t, "00-"+traceID+"-"+till+"-01")
	update, err := event.Derive("ledger", sale.Envelope, 0, "tea@shop", 1, event.InventoryUpdated{
		ItemID: "tea", LocationID: "shop", TransactionType: event.TransactionSale, TransactionID: "s", Change: event.NewDecimal(-1),
	})
	if err != nil {
		t.Fatal(err)
	}

	relay, closeRelay := process(t, collected, 0)
	relay.Published(sale.Envelope, "composerp.events", began, ended, nil)
	closeRelay()
	sent := last(t, collected, "send composerp.events")
	worker, closeWorker := process(t, collected, 0)
	worker.Handled(spans.Handling{Worker: "ledger", Queue: "composerp.ledger", Event: sale.Envelope, FromLog: true, Outcome: "retried", Batch: 3, Began: began, Ended: ended, Err: errors.New("a lock")})
	closeWorker()
	failed := last(t, collected, "process composerp.ledger")
	worker, closeWorker = process(t, collected, 0)
	worker.Handled(spans.Handling{Worker: "ledger", Queue: "composerp.ledger", Event: sale.Envelope, FromLog: true, Attempt: 1, Outcome: "handled", Batch: 3, Began: began, Ended: ended})
	closeWorker()
	handled := last(t, collected, "process composerp.ledger")
	relay, closeRelay = process(t, collected, 0)
	relay.Published(update.Envelope, "composerp.events", began, ended, nil)
	closeRelay()
	effect := last(t, collected, "send composerp.events")

	for name, s := range map[string]*otlp.Span{"sent": sent, "failed": failed, "handled": handled, "effect": effect} {
		if hex.EncodeToString(s.TraceId) != traceID {
			t.Errorf("%s is of trace %x", name, s.TraceId)
		}
		if s.StartTimeUnixNano != uint64(began.UnixNano()) || s.EndTimeUnixNano != uint64(ended.UnixNano()) {
			t.Errorf("%s lasts from %d to %d", name, s.StartTimeUnixNano, s.EndTimeUnixNano)
		}
	}
	for _, c := range []struct {
		child *otlp.Span
		of    string
	}{{sent, till}, {failed, hex.EncodeToString(sent.SpanId)}, {handled, hex.EncodeToString(sent.SpanId)}, {effect, hex.EncodeToString(handled.SpanId)}} {
		if got := hex.EncodeToString(c.child.ParentSpanId); got != c.of {
			t.Errorf("%s is a child of %s, want %s", c.child.Name, got, c.of)
		}
	}
	if string(failed.SpanId) == string(handled.SpanId) {
		t.Error("two attempts have one id")
	}
	if failed.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR || failed.Status.GetMessage() != "a lock" || handled.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("the states are %v and %v", failed.Status, handled.Status)
	}
	if sent.Kind != otlp.Span_SPAN_KIND_PRODUCER || handled.Kind != otlp.Span_SPAN_KIND_CONSUMER {
		t.Errorf("the kinds are %v and %v", sent.Kind, handled.Kind)
	}
	for key, want := range map[string]string{
		"messaging.system": "rabbitmq", "messaging.operation.type": "process", "messaging.destination.name": "composerp.ledger",
		"messaging.message.id": sale.ID.String(), "messaging.batch.message_count": "3", "composerp.outcome": "handled", "composerp.event.type": "SALE_COMPLETED",
	} {
		if got := spanstest.Attribute(handled, key); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := collected.Resource(); got["service.name"] != "composerp" || got["service.version"] != "1.2.3" || got["service.instance.id"] != "n1" {
		t.Errorf("the resource is %v", got)
	}
}

// A call carries the id of its own span, which is a child of the handling; without a recorder, the event's traceparent.
func TestACallCarriesItsTrace(t *testing.T) {
	t.Parallel()
	collected := spanstest.New(t)
	sale := soldWith(t, "00-"+traceID+"-"+till+"-01")
	r, closed := process(t, collected, 0)
	request := httptest.NewRequest(http.MethodPost, "http://supplier.example/secret-path", http.NoBody)
	spans.BeginCall(r.Within(t.Context(), "procurement", sale.Envelope), request).End(request, http.StatusTeapot, errors.New("refused"))
	r.Handled(spans.Handling{Worker: "procurement", Queue: "composerp.procurement", Event: sale.Envelope, Began: time.Now(), Ended: time.Now()})
	closed()
	call, handling := last(t, collected, "POST"), last(t, collected, "process composerp.procurement")
	if want := "00-" + traceID + "-" + hex.EncodeToString(call.SpanId) + "-01"; request.Header.Get("Traceparent") != want {
		t.Errorf("the request's traceparent is %q, want %q", request.Header.Get("Traceparent"), want)
	}
	if string(call.ParentSpanId) != string(handling.SpanId) || spanstest.Attribute(call, "server.address") == "" || strings.Contains(call.String(), "secret") {
		t.Errorf("the call is %v, the handling %x", call, handling.SpanId)
	}

	var off *spans.Recorder
	request = httptest.NewRequest(http.MethodPost, "http://supplier.example/", http.NoBody)
	spans.BeginCall(off.Within(t.Context(), "procurement", sale.Envelope), request).End(request, http.StatusOK, nil)
	if got := request.Header.Get("Traceparent"); got != sale.Metadata.Traceparent {
		t.Errorf("without a recorder the request's traceparent is %q", got)
	}
	request = httptest.NewRequest(http.MethodPost, "http://supplier.example/", http.NoBody)
	spans.BeginCall(t.Context(), request).End(request, http.StatusOK, nil)
	if got := request.Header.Get("Traceparent"); got != "" {
		t.Errorf("outside of a handling the request's traceparent is %q", got)
	}
}

// The flag in a traceparent decides what is recorded, and the ratio where there is none.
func TestWhatIsRecorded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		traceparent string
		ratio       float64
		want        int // of 400
	}{
		"sampled":       {"00-" + traceID + "-" + till + "-01", 1e-9, 400},
		"not sampled":   {"00-" + traceID + "-" + till + "-00", 1, 0},
		"all":           {"", 0, 400},
		"none":          {"", 1e-9, 0},
		"a broken one":  {"00-xyz-01", 0, 400},
		"half of these": {"", 0.5, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collected := spanstest.New(t)
			r, closed := process(t, collected, c.ratio)
			for range 400 {
				e := soldWith(t, c.traceparent).Envelope
				r.Handled(spans.Handling{Worker: "w", Queue: e.ID.String(), Event: e, Began: time.Now(), Ended: time.Now()})
			}
			closed()
			if got := len(collected.Spans()); got < c.want*3/4 || got > c.want*5/4 {
				t.Errorf("%d of 400 were recorded, want about %d", got, c.want)
			}
			for _, s := range collected.Spans() {
				if c.traceparent == "" && (len(s.ParentSpanId) > 0 || uuid.UUID(s.TraceId).String() != strings.TrimPrefix(s.Name, "process ")) {
					t.Fatalf("without a traceparent: %v", s)
				}
			}
		})
	}
}

// A collector that is away delays nothing, and is named in the log.
func TestACollectorThatIsAway(t *testing.T) {
	t.Parallel()
	kept := &logs.Kept{}
	r, err := spans.New(t.Context(), spans.Config{Endpoint: "http://any:geheim@127.0.0.1:1/?token=geheim", Log: kept.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	e := soldWith(t, "").Envelope
	began := time.Now()
	for range 10_000 {
		r.Handled(spans.Handling{Worker: "w", Queue: "q", Event: e, Began: began, Ended: began})
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("10,000 spans took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began = time.Now()
	_ = r.Close(ctx)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("closing took %v", took)
	}
	if said := kept.String(); !strings.Contains(said, "spans are lost") || !strings.Contains(said, "127.0.0.1:1") || strings.Contains(said, "geheim") {
		t.Errorf("the log says %q", said)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://127.0.0.1:4318":        "http://127.0.0.1:4318/v1/traces",
		"https://collector.example/":   "https://collector.example/v1/traces",
		"https://collector.example/in": "https://collector.example/in",
		"127.0.0.1:4318":               "",
		"grpc://127.0.0.1:4317":        "",
		"":                             "",
	} {
		if got, err := spans.Endpoint(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// The user and the password of a collector's URL are sent, as HTTP has it.
func TestACollectorWithAPassword(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		select {
		case got <- user + " " + password:
		default:
		}
	}))
	t.Cleanup(collector.Close)
	r, err := spans.New(t.Context(), spans.Config{Endpoint: strings.Replace(collector.URL, "://", "://any:p%40ss@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	r.Handled(spans.Handling{Worker: "w", Queue: "q", Event: soldWith(t, "").Envelope, Began: time.Now(), Ended: time.Now()})
	_ = r.Close(t.Context())
	if login := localtest.Receive(t, 10*time.Second, "a request", got); login != "any p@ss" {
		t.Errorf("the collector is asked as %q", login)
	}
}
