package watchdog_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

// A lane that no living node has had for half a minute is reported, unless its queue is paused or sleeps.
func TestALaneWithoutANodeIsReported(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 3)
	storetest.Exec(t, p.URL, `INSERT INTO worker_node (id, term, host, pid, version, capacity, queues, flag_slots, lease_until)
		VALUES ('alive', 1, 'h', 1, 'v', 4, '{view}', '{1}', clock_timestamp() + interval '10 s'), ('dead', 1, 'h', 1, 'v', 4, '{view}', '{1}', clock_timestamp() - interval '1 min')`)
	storetest.Exec(t, p.URL, `INSERT INTO lane_set (queue, wanted, routed, consumed) VALUES ('view', 4, 4, 4)`)
	storetest.Exec(t, p.URL, `INSERT INTO lane (queue, lane, node, node_term, since) VALUES
		('view', 0, 'alive', 1, clock_timestamp() - interval '1 h'), ('view', 1, 'dead', 1, clock_timestamp() - interval '1 h'),
		('view', 2, NULL, NULL, clock_timestamp() - interval '1 min'), ('view', 3, NULL, NULL, clock_timestamp())`)
	problems := func() []watchdog.Problem { return storetest.MustGet(watchdog.LaneProblems(t.Context(), p.DB))(t) }
	found := problems()
	if len(found) != 1 || found[0].Kind != watchdog.Lanes || !strings.HasPrefix(found[0].What, "2 lanes of composerp.view have no node") {
		t.Errorf("found %+v, want the two lanes", found)
	}
	storetest.Exec(t, p.URL, `INSERT INTO worker_pool (queue, paused) VALUES ('view', true)`)
	if found := problems(); len(found) != 0 {
		t.Errorf("paused on purpose, found %+v", found)
	}
	storetest.Exec(t, p.URL, `UPDATE worker_pool SET paused = false, mode = 'auto', desired = 0, min = 0, max = 4`)
	if found := problems(); len(found) != 0 {
		t.Errorf("asleep, found %+v", found)
	}
	storetest.Exec(t, p.URL, `UPDATE worker_pool SET desired = 1`)
	if found := problems(); len(found) != 1 {
		t.Errorf("awake, found %+v, want the two lanes", found)
	}
}
