package topology_test

import (
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/topology"
)

// The stream is never bound to composerp.events: every event would be routable then.
func TestTheStreamTakesNothingFromTheEvents(t *testing.T) {
	t.Parallel()
	all := topology.Compute(nil)
	with := all.WithStream(topology.Retention{MaxAge: 7 * 24 * time.Hour, SegmentBytes: 1 << 20})
	if slices.ContainsFunc(with.Bindings, func(b topology.BindingSpec) bool {
		return (b.Destination() == topology.Stream) != (b.Exchange == topology.Stream)
	}) {
		t.Errorf("the stream is bound to another exchange: %+v", with.Bindings)
	}
	if len(all.Queues)+1 != len(with.Queues) || len(topology.Compute(nil).Queues) != len(all.Queues) {
		t.Error("the topology without the stream was changed")
	}
	if missing := with.Missing(all); len(missing.Queues) != 1 || len(missing.Exchanges) != 1 || len(missing.Bindings) != 1 {
		t.Errorf("missing are %+v", missing)
	}
	for age, want := range map[time.Duration]string{7 * 24 * time.Hour: "7D", 36 * time.Hour: "36h", 90 * time.Minute: "90m", 45 * time.Second: "45s", time.Millisecond: "1s"} {
		q := topology.StreamOf(topology.Retention{MaxAge: age, SegmentBytes: 1}).Queues[0]
		if q.Arguments["x-max-age"] != want || q.Arguments["x-queue-type"] != "stream" || q.Arguments["x-max-length-bytes"] != nil {
			t.Errorf("%v: %v, want %s", age, q.Arguments, want)
		}
	}
}
