// Package spanstest is a collector of OpenTelemetry for tests, which speaks OTLP over HTTP.
package spanstest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector keeps the spans it gets.
type Collector struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []*otlp.Span
	resource map[string]string
}

// New starts a collector, which ends with the test.
func New(t testing.TB) *Collector {
	c := &Collector{resource: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v, of type %s", r.Method, r.URL, err, r.Header.Get("Content-Type"))
		}
		c.keep(&request)
		w.Header().Set("Content-Type", "application/x-protobuf")
		answer, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
		_, _ = w.Write(answer)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *Collector) keep(request *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, a := range resource.Resource.Attributes {
			c.resource[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// Spans are the spans so far.
func (c *Collector) Spans() []*otlp.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Last is the last span of a name that has the attribute's value; nil: there is none. With no attribute, any has it.
func (c *Collector) Last(name, attribute, value string) *otlp.Span {
	for _, s := range slices.Backward(c.Spans()) {
		if s.Name == name && (attribute == "" || Attribute(s, attribute) == value) {
			return s
		}
	}
	return nil
}

// Resource are the attributes of the process that sent the last spans.
func (c *Collector) Resource() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource
}

// Attribute is the text of a span's attribute; "" when it has none.
func Attribute(span *otlp.Span, key string) string {
	for _, a := range span.Attributes {
		if a.Key == key {
			_, text, _ := strings.Cut(a.Value.String(), ":")
			return strings.Trim(text, `"`)
		}
	}
	return ""
}
