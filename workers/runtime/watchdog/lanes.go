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
		v.replan(v.Plan.WithLanes(sets))
	}
	if found, err := LaneProblems(ctx, v.DB); err == nil {
		v.laneProblems = found
	}
}

func (v *monitor) replan(p Plan) {
	v.Plan = p
	v.history.plan, v.observer.Topology = p, p.Topology
}

// switched tells whether the lanes or the stream are others than those of the plan, or cannot be read.
func (v *monitor) switched(ctx context.Context) bool {
	sets, err := lanes.Sets(ctx, v.DB)
	if err != nil {
		return len(v.lanes) > 0 || v.Plan.stream.On
	}
	return !reflect.DeepEqual(countsOf(sets), v.lanes) || v.streamSwitched(ctx) || v.stageChanged(ctx)
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
