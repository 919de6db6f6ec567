package eventlog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// fill appends events in transactions of a thousand, each followed by a tick.
const fill = `
DO $$ DECLARE before bigint; BEGIN
	FOR i IN 1..%d LOOP
		INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
		SELECT 1, true, now(), gen_random_uuid(), 'shop', 'SALE_COMPLETED', '1.0', 'a', '', repeat('x', 300) FROM generate_series(1, 1000);
		COMMIT;
		before := pg_sequence_last_value('event_log_seq');
		INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
		SELECT max(id) + 1, 1, pg_current_snapshot(), before, pg_sequence_last_value('event_log_seq') FROM tick;
		COMMIT;
	END LOOP;
END $$`

// Reading costs the same at the beginning of a long log as at its end, and reads only the partitions of the interval.
func TestAPageCostsTheSameWhereverItIs(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	const thousands = 200
	p.Exec(`SELECT setval('event_log_seq', $1)`, eventlog.PartitionSize-thousands*500)
	p.Exec(`UPDATE tick SET seq_before = $1, max_seq = $1`, eventlog.PartitionSize-thousands*500)
	storetest.Must(t, eventlog.EnsurePartitions(t.Context(), p.DB))
	late := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), late, storetest.Sales(5)))
	p.Exec(fmt.Sprintf(fill, thousands))
	storetest.Must(t, late.Commit())
	lastTick := p.NewTicker().Tick()
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			p.Exec(`ANALYZE`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			t.Run(fmt.Sprintf("%s, analyzed: %t", mode, analyzed), func(t *testing.T) {
				q := &storetest.Env{TB: t, DB: p.DB, URL: p.URL}
				checkPages(q, mode, lastTick)
			})
		}
	}
}

func checkPages(p *storetest.Env, mode string, lastTick int64) {
	const types, limit = "bigint, bigint, bigint, bigint", 500
	var costs []int
	for _, tick := range []int64{2, lastTick / 2, lastTick - 2} {
		seen := p.Explain(mode+storetest.Untuned, eventlog.ReadPageText, types, tick, tick+1, 0, limit)
		costs = append(costs, seen.Hit+seen.Read)
		if seen.Rows != limit {
			p.Errorf("%v events were read after tick %d, want %d\n%v", seen.Rows, tick, limit, seen)
		}
		if touched := seen.Touched("event_log"); len(touched) > 2 {
			p.Errorf("after tick %d it looked into %v\n%v", tick, touched, seen)
		}
		checkUsesKey(p, seen)
		// The second page of the interval begins where the first one ended.
		first := storetest.One[int64](p, p.SQL(), `SELECT seq_before + 500 FROM tick WHERE id = $1`, tick)
		costs = append(costs, func() int {
			seen := p.Explain(mode+storetest.Untuned, eventlog.ReadPageText, types, tick, tick+1, first, limit)
			return seen.Hit + seen.Read
		}())
	}
	if dear, cheap := slices.Max(costs), slices.Min(costs); dear > 2*cheap+60 {
		p.Errorf("pages cost %v buffers\n%v", costs, p.Explain(mode+storetest.Untuned, eventlog.ReadPageText, types, 2, 3, 0, limit))
	}
	// The transaction open throughout is among the late ones: its events are found by their transaction.
	seen := p.Explain(mode+storetest.Untuned, eventlog.ReadPageText, types, lastTick-1, lastTick, 0, limit)
	if seen.Rows != 5 {
		p.Errorf("%v late events were read, want 5\n%v", seen.Rows, seen)
	}
	checkUsesKey(p, seen)
	// A reader far behind finds its next tick without reading all of them.
	next := p.Explain(mode, eventlog.ReadPageText, types, 1, 1, 0, limit)
	next.Walk(func(n storetest.Plan) {
		if n.Relation == "tick" && n.Rows*n.Loops+n.Filtered > 10 {
			p.Errorf("the next tick is sought among many\n%v", next)
		}
	})
}

// checkUsesKey fails the test when the log is read by anything but its key or transaction.
func checkUsesKey(p *storetest.Env, seen storetest.Plan) {
	p.Helper()
	seen.Walk(func(n storetest.Plan) {
		if !strings.HasPrefix(n.Relation, "event_log") || n.Loops == 0 {
			return
		}
		if !strings.HasPrefix(n.NodeType, "Index") && !strings.HasPrefix(n.NodeType, "Bitmap") || n.Filtered > 20 {
			p.Errorf("%s is read by %s, which threw %v rows away\n%v", n.Relation, n.NodeType, n.Filtered, seen)
		}
	})
}

// ReadState costs as much as has moved, whatever the log holds from another server with higher ids.
func TestReadStateCostsNothingForOldEpochs(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(fmt.Sprintf(fill, 20))
	reader := p.NewReader("relay")
	reader.ReadAll(1000)
	restore(p, 1_000_000_000)
	beginEpoch(p)
	reopen(reader)
	reader.ReadAll(1000)
	state, err := eventlog.ReadState(t.Context(), p.DB, "")
	storetest.Must(t, err)
	p.Append(storetest.Sale("a"))
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			p.Exec(`ANALYZE`)
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			seen := p.Explain(mode+`; SET enable_seqscan = off`, eventlog.LogStateText, "pg_snapshot", `'`+state.Position+`'`)
			seen.Walk(func(n storetest.Plan) {
				if strings.HasPrefix(n.Relation, "event_log") && n.Rows*n.Loops+n.Filtered > 10 {
					t.Errorf("%s, analyzed %t: old events are looked at\n%v", mode, analyzed, seen)
				}
			})
			if len(seen.Touched("event_log")) == 0 {
				t.Errorf("the log was not looked at: the test would pass whatever happens\n%v", seen)
			}
		}
	}
}
