package watchdog

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
)

// readLanes brings the plan up to date with the lanes that queues have, and finds what is wrong with them. While the
// database is away all stays as it was last.
func (v *monitor) readLanes(ctx context.Context) {
	sets, err := lanes.Sets(ctx, v.DB)
	if err != nil {
		return
	}
	if now := countsOf(sets); !reflect.DeepEqual(now, v.lanes) {
		v.lanes = now
		v.Plan = v.Plan.WithLanes(sets)
		v.history.plan, v.observer.Topology = v.Plan, v.Plan.Topology
	}
	if found, err := LaneProblems(ctx, v.DB); err == nil {
		v.laneProblems = found
	}
}

// switched tells whether the lanes are others than those of the plan, or cannot be read.
func (v *monitor) switched(ctx context.Context) bool {
	sets, err := lanes.Sets(ctx, v.DB)
	if err != nil {
		return len(v.lanes) > 0
	}
	return !reflect.DeepEqual(countsOf(sets), v.lanes)
}

func countsOf(sets []lanes.Set) map[string]topology.Lanes {
	counts := map[string]topology.Lanes{}
	for _, s := range sets {
		counts[s.Queue] = s.Lanes
	}
	return counts
}

// LaneProblems judges whether every lane has a node.
func LaneProblems(ctx context.Context, db *store.DB) (found []Problem, err error) {
	unowned, err := lanes.Unowned(ctx, db)
	for _, queue := range slices.Sorted(maps.Keys(unowned)) {
		found = append(found, Problem{Kind: Lanes, Subject: topology.QueueName(queue), Do: "composerp worker run " + queue + ", or composerp scale " + queue + "=2",
			What: wording.Sprintf("%s of %s have no node that handles them: their events wait", wording.Count(int64(unowned[queue]), "lane"), topology.QueueName(queue))})
	}
	return found, err
}
