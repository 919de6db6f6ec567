// Package spans tells an OpenTelemetry collector what became of events: a span for each publishing, for each attempt to
// handle an event, and for each call that a handler makes.
//
// # Invariants
//
//   - Off is free: a nil *Recorder records nothing, and no event is read for it.
//   - No work waits for a collector: spans wait in a bounded queue, and those for which it has no room are dropped.
//   - No payload leaves: a span has ids, types, names of queues, and the text of an error.
//   - No event changes for it. Ids of spans are hashes of what they tell of, so that processes that know nothing of
//     each other agree on them: the publishing of an event is a child of the handling of its cause, and its handling is
//     a child of its publishing. An event from outside is a child of the span in its traceparent.
//   - What happens twice is two spans: an attempt that failed has an id of its own, and the handling that succeeded the
//     one that effects refer to. A copy that the relay published twice has the id of the first.
//
// An event without a traceparent belongs to the trace whose id is its correlation id, else its own id. Whether such a
// trace is recorded, its id decides; of one with a traceparent, the flag in that.
package spans

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
)

// Config says where spans go. Only Endpoint is needed.
type Config struct {
	// Endpoint is the http or https URL of a collector that takes OTLP: spans are posted to /v1/traces there, or to
	// the URL's own path if it has one.
	Endpoint string
	// Ratio is the part of the traces without a traceparent that are recorded, by their ids; 0 means all.
	Ratio   float64
	Version string
	Node    string // names this process
	Log     *slog.Logger
}

// Recorder sends spans. It is safe for concurrent use, and a nil one records nothing.
type Recorder struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	ratio    float64
}

const scope = "github.com/composerp/composerp"

// New makes a recorder. It does not connect: spans that find no collector are dropped, which is logged now and then.
func New(ctx context.Context, cfg Config) (*Recorder, error) {
	endpoint, err := Endpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	shown, headers := withoutUser(endpoint)
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithHeaders(headers))
	if err != nil {
		return nil, fmt.Errorf("sending spans to %s: %w", shown, err)
	}
	if cfg.Log != nil {
		said := clock.Seldom{}
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
			if said.Due() {
				cfg.Log.Warn("spans are lost", "endpoint", shown, "error", err)
			}
		}))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithIDGenerator(known{}), sdktrace.WithResource(resource.NewSchemaless(
		attribute.String(serviceName, "composerp"), attribute.String(serviceVersion, cfg.Version), attribute.String(serviceInstance, cfg.Node))))
	return &Recorder{provider: provider, tracer: provider.Tracer(scope), ratio: cmp.Or(cfg.Ratio, 1)}, nil
}

// Endpoint is the URL to which spans are posted.
func Endpoint(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("want an http or https URL of a collector, such as http://127.0.0.1:4318")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// withoutUser is an endpoint as it may be shown, and the headers that its user and password make: the exporter takes
// none out of a URL.
func withoutUser(endpoint string) (shown string, headers map[string]string) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", nil
	}
	if u.User != nil {
		password, _ := u.User.Password()
		request := http.Request{Header: http.Header{}}
		request.SetBasicAuth(u.User.Username(), password)
		headers = map[string]string{"Authorization": request.Header.Get("Authorization")}
	}
	u.User, u.RawQuery = nil, ""
	return u.String(), headers
}

// Close sends what is waiting, for as long as ctx allows.
func (r *Recorder) Close(ctx context.Context) error {
	if r == nil {
		return nil
	}
	return r.provider.Shutdown(ctx)
}

// Published records that the broker has confirmed an event, or refused it with err.
func (r *Recorder) Published(e event.Envelope, exchange string, began, ended time.Time, err error) {
	if r == nil {
		return
	}
	parent := r.parentOf(e)
	if worker := e.Metadata.Source; e.Metadata.CausationID != "" && isDerived(e) {
		parent = parent.WithSpanID(handlingID(e.Metadata.CausationID, worker, 0))
	}
	key := e.Type.RoutingKey()
	r.record(parent, publishingID(e.ID.String()), opSend+" "+exchange, trace.SpanKindProducer, began, ended, err, append(attributesOf(e),
		attribute.String(operationName, opSend), attribute.String(operationType, opSend),
		attribute.String(destination, exchange+":"+key), attribute.String(routingKey, key))...)
}

// Handling is one attempt of a worker to handle an event.
type Handling struct {
	Worker, Queue string
	Event         event.Envelope
	// FromLog: the relay has published it.
	FromLog bool
	Attempt int // of those before it
	Outcome string
	Batch   int // how many messages were handled with it
	Began   time.Time
	Ended   time.Time
	Err     error // nil when it was handled
}

// Handled records an attempt.
func (r *Recorder) Handled(h Handling) {
	if r == nil {
		return
	}
	parent := r.parentOf(h.Event)
	if h.FromLog {
		parent = parent.WithSpanID(publishingID(h.Event.ID.String()))
	}
	id := handlingID(h.Event.ID.String(), h.Worker, 0)
	if h.Err != nil {
		id = handlingID(h.Event.ID.String(), h.Worker, h.Attempt+1)
	}
	r.record(parent, id, opProcess+" "+h.Queue, trace.SpanKindConsumer, h.Began, h.Ended, h.Err, append(attributesOf(h.Event),
		attribute.String(operationName, opProcess), attribute.String(operationType, opProcess),
		attribute.String(destination, h.Queue), attribute.Int(batchCount, h.Batch), attribute.Int(attempt, h.Attempt), attribute.String(outcome, h.Outcome))...)
}

// record makes a span of what is over. A parent without an id makes it the first of its trace.
func (r *Recorder) record(parent trace.SpanContext, id trace.SpanID, name string, kind trace.SpanKind, began, ended time.Time, err error, about ...attribute.KeyValue) {
	if !parent.IsSampled() {
		return
	}
	ctx := context.WithValue(context.Background(), idsKey{}, ids{parent.TraceID(), id})
	if parent.HasSpanID() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, span := r.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(began), trace.WithAttributes(about...))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End(trace.WithTimestamp(ended))
}

// parentOf is the context in an event's traceparent; without one, that of the trace named by the event's correlation.
func (r *Recorder) parentOf(e event.Envelope) trace.SpanContext {
	if e.Metadata.Traceparent != "" {
		carried := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": e.Metadata.Traceparent})
		if sc := trace.SpanContextFromContext(carried); sc.IsValid() {
			return sc
		}
	}
	id := e.ID
	if correlation, err := uuid.Parse(e.Metadata.CorrelationID); err == nil {
		id = correlation
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID(id)})
	// The bits of a UUID are not all chance: those of its hash are.
	if sum := sha1.Sum(id[:]); float64(binary.BigEndian.Uint64(sum[:])) < r.ratio*math.MaxUint64 || r.ratio >= 1 {
		sc = sc.WithTraceFlags(trace.FlagsSampled)
	}
	return sc
}

// isDerived tells whether a worker emitted the event: of one from outside, source and cause are the publisher's words.
func isDerived(e event.Envelope) bool {
	d, is := event.Lookup(e.Type)
	return is && !d.Outside
}

func attributesOf(e event.Envelope) []attribute.KeyValue {
	about := []attribute.KeyValue{
		attribute.String(system, "rabbitmq"), attribute.String(messageID, e.ID.String()), attribute.String(eventType, string(e.Type)), attribute.String(aggregate, e.AggregateID),
	}
	if e.Metadata.CorrelationID != "" {
		about = append(about, attribute.String(conversation, e.Metadata.CorrelationID))
	}
	return about
}

// # Ids

func publishingID(eventID string) trace.SpanID { return hashed("publishing", eventID, "", 0) }

func handlingID(eventID, worker string, failed int) trace.SpanID {
	return hashed("handling", eventID, worker, failed)
}

func callID(eventID, worker string, began time.Time) trace.SpanID {
	return hashed("call", eventID, worker, int(began.UnixNano()))
}

func hashed(what, eventID, worker string, n int) (id trace.SpanID) {
	text := strings.Join([]string{what, strings.ToLower(eventID), worker}, "\x00")
	sum := sha1.Sum(binary.BigEndian.AppendUint64([]byte(text), uint64(n)))
	return trace.SpanID(sum[:len(id)])
}

type idsKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// known gives each span the ids that its context has.
type known struct{}

// NewIDs implements sdktrace.IDGenerator.
func (known) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	given, _ := ctx.Value(idsKey{}).(ids)
	return given.trace, given.span
}

// NewSpanID implements sdktrace.IDGenerator.
func (known) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	given, _ := ctx.Value(idsKey{}).(ids)
	return given.span
}
