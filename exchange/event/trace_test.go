package event_test

import (
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

func TestTraceIDs(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for traceparent, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01":       id,
		"01-" + id + "-00f067aa0ba902b7-01-later": id,
		"":                             "",
		id:                             "",
		"00-" + id:                     "",
		"00-short-00f067aa0ba902b7-01": "",
		"00-" + "4bf92f3577b34da6a3ce929d0e0e473g" + "-00f067aa0ba902b7-01": "",
	} {
		if got := (event.Metadata{Traceparent: traceparent}).TraceID(); got != want {
			t.Errorf("%q: want %q, got %q", traceparent, want, got)
		}
		if got := event.TraceOf([]byte(`{"metadata":{"traceparent":"` + traceparent + `"}}`)); got != want {
			t.Errorf("a body with %q: want %q, got %q", traceparent, want, got)
		}
	}
	for _, body := range []string{"", "no JSON", "{}", `{"metadata":7}`} {
		if got := event.TraceOf([]byte(body)); got != "" {
			t.Errorf("%q has the trace %q", body, got)
		}
	}
}
