package spans

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/composerp/composerp/exchange/event"
)

type handledKey struct{}

// handled is the event in whose handling a call is made.
type handled struct {
	recorder *Recorder
	worker   string
	event    event.Envelope
}

// Within gives a handler's context the event that it handles, for calls.
func (r *Recorder) Within(ctx context.Context, worker string, e event.Envelope) context.Context {
	return context.WithValue(ctx, handledKey{}, handled{r, worker, e})
}

// Call is an HTTP request that a handler makes. The zero value records nothing.
type Call struct {
	handled
	began  time.Time
	parent trace.SpanContext
	id     trace.SpanID
}

// BeginCall gives the request the traceparent of the event in whose handling it is made, so that the other side's spans
// are of the same trace. Without a recorder it is the event's own traceparent, or none.
func BeginCall(ctx context.Context, request *http.Request) Call {
	h, is := ctx.Value(handledKey{}).(handled)
	if !is {
		return Call{}
	}
	if h.recorder == nil {
		if h.event.Metadata.Traceparent != "" {
			request.Header.Set("Traceparent", h.event.Metadata.Traceparent)
		}
		return Call{}
	}
	c := Call{handled: h, began: time.Now()}
	c.parent = h.recorder.parentOf(h.event).WithSpanID(handlingID(h.event.ID.String(), h.worker, 0))
	c.id = callID(h.event.ID.String(), h.worker, c.began)
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(ctx, c.parent.WithSpanID(c.id)), propagation.HeaderCarrier(request.Header))
	return c
}

// End records the call, with the status of its answer (0: none came) and the error it ended with.
func (c Call) End(request *http.Request, status int, err error) {
	if c.recorder == nil {
		return
	}
	about := []attribute.KeyValue{attribute.String(httpMethod, request.Method), attribute.String(serverAddress, request.URL.Host), attribute.String(messageID, c.event.ID.String())}
	if status > 0 {
		about = append(about, attribute.Int(httpStatus, status))
	}
	c.recorder.record(c.parent, c.id, request.Method, trace.SpanKindClient, c.began, time.Now(), err, about...)
}
