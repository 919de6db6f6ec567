package topology_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/topology"
)

// Messages in queues carry these values: other programs may reckon them too.
func TestLaneValuesNeverChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tenant, aggregate string
		value             int
	}{
		{"", "", 13}, {"t", "a", 16}, {"default", "milk@shop", 16}, {"default", "tea@shop", 0}, {"acme", "PO-2024-000001", 24}, {"a", "b\x00c", 12}, {"a\x00b", "c", 12}, {"ä", "ß", 28},
	} {
		if got := topology.LaneValue(c.tenant, c.aggregate); got != c.value {
			t.Errorf("LaneValue(%q, %q) = %d, want %d", c.tenant, c.aggregate, got, c.value)
		}
	}
}

// Consecutive ids spread over the lanes, whatever their number.
func TestLanesAreUsedAlike(t *testing.T) {
	t.Parallel()
	const n = 32_000
	for _, lanes := range topology.LaneCounts {
		counts := make([]int, lanes)
		for i := range n {
			counts[topology.LaneValue("default", fmt.Sprintf("item-%05d@shop", i))%lanes]++
		}
		if least, most := slices.Min(counts), slices.Max(counts); least < n/lanes*8/10 || most > n/lanes*12/10 {
			t.Errorf("%d lanes get %d to %d of %d aggregates", lanes, least, most, n)
		}
	}
}

// Every value is bound to one lane that is routed to, and the queues of lanes that are only consumed are bound to none.
func TestLanesAreBound(t *testing.T) {
	t.Parallel()
	sub := topology.Subscription{Worker: "view", RoutingKeys: []string{"inventory.updated"}, Ordered: true}
	for _, lanes := range []topology.Lanes{{}, {Routed: 16}, {Routed: 16, Consumed: 16}, {Routed: 8, Consumed: 32}, {Consumed: 4}} {
		sub.Lanes = lanes
		of := topology.Compute([]topology.Subscription{sub})
		queues, values := map[string]bool{}, map[string]int{}
		for _, q := range of.Queues {
			queues[q.Name] = true
		}
		events := 0
		for _, b := range of.Bindings {
			if b.Header == topology.HeaderLane {
				values[b.Value]++
				if !queues[b.Queue] {
					t.Errorf("%+v: %s is bound and not declared", lanes, b.Queue)
				}
			}
			if b.Exchange == topology.Events {
				events++
				if lanes.Routed > 0 && b.To != topology.LanesName("view") || lanes.Routed == 0 && b.Queue != topology.QueueName("view") {
					t.Errorf("%+v: events go to %s", lanes, b.Destination())
				}
			}
		}
		want := topology.LaneValues
		if lanes.Routed == 0 {
			want = 0
		}
		if len(values) != want || events != 1 {
			t.Errorf("%+v: %d values and %d events are bound, want %d and 1", lanes, len(values), events, want)
		}
		for lane := range lanes.Consumed {
			if !queues[topology.LaneQueueName("view", lane, lanes.Consumed)] {
				t.Errorf("%+v: lane %d is not declared", lanes, lane)
			}
		}
	}
}

func TestWorkersOfQueues(t *testing.T) {
	t.Parallel()
	for _, queue := range []string{topology.QueueName("view"), topology.LaneQueueName("view", 3, 16), topology.DeadQueueName("view"), topology.RetryQueueName("view", 5e9)} {
		if got := topology.WorkerOf(queue); got != "view" {
			t.Errorf("WorkerOf(%s) = %s", queue, got)
		}
	}
}
