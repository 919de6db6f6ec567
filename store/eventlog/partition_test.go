package eventlog_test

import (
	"context"
	"slices"
	"testing"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

func partitions(p *storetest.Env) []string {
	p.Helper()
	rows, err := p.SQL().Query(`SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event_log'::regclass ORDER BY 1`)
	storetest.Must(p, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		storetest.Must(p, rows.Scan(&name))
		names = append(names, name)
	}
	storetest.Must(p, rows.Err())
	return names
}

func TestPartitionsAreMadeAheadOfNeed(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	storetest.Must(t, eventlog.EnsurePartitions(t.Context(), p.DB))
	if got, want := partitions(p), []string{"event_log_p0", "event_log_p1", "event_log_p2"}; !slices.Equal(got, want) {
		t.Errorf("partitions are %v, want %v", got, want)
	}
	p.Exec(`SELECT setval('event_log_seq', $1)`, 4*eventlog.PartitionSize+17)
	storetest.Must(t, eventlog.EnsurePartitions(t.Context(), p.DB))
	if got, want := partitions(p), []string{"event_log_p0", "event_log_p1", "event_log_p2", "event_log_p4", "event_log_p5", "event_log_p6"}; !slices.Equal(got, want) {
		t.Errorf("partitions are %v, want %v", got, want)
	}
	// A new partition equals the first ones: the same indexes, defaults and constraints.
	const like = `
		SELECT (SELECT string_agg(replace(indexdef, $1, ''), ';' ORDER BY indexdef) FROM pg_indexes WHERE tablename = $1)
		    || (SELECT string_agg(column_name || coalesce(column_default, '') || is_nullable, ';' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = $1)
		    || (SELECT string_agg(contype::text, '' ORDER BY contype) FROM pg_constraint WHERE conrelid = $1::regclass)`
	if first, made := storetest.One[string](t, p.SQL(), like, "event_log_p0"), storetest.One[string](t, p.SQL(), like, "event_log_p4"); first != made {
		t.Errorf("the first partition is\n%s\nand one made later\n%s", first, made)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'i' AND c.relname LIKE 'event\_log\_p4%'`); n != 2 {
		t.Errorf("%d of 2 indexes belong to the log's", n)
	}
}

func TestAnInsertMayCrossTheBorderOfPartitions(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	p.Exec(`SELECT setval('event_log_seq', $1)`, 2*eventlog.PartitionSize-5)
	events := storetest.Sales(10)
	err := p.InTx(t.Context(), func(tx store.Tx) error { return eventlog.Append(t.Context(), tx, events) })
	if err == nil {
		t.Fatal("an insert found a partition that was never made")
	}
	storetest.Must(t, eventlog.EnsurePartitions(t.Context(), p.DB))
	p.Exec(`SELECT setval('event_log_seq', $1)`, 2*eventlog.PartitionSize-5)
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error { return eventlog.Append(t.Context(), tx, events) }))
	admitted := storetest.Sales(10)
	p.Exec(`SELECT setval('event_log_seq', $1)`, 3*eventlog.PartitionSize-5)
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, admitted, true))(t)
	ticker.Tick()
	if got := reader.ReadAll(3); !slices.Equal(got, storetest.IDs(slices.Concat(events, admitted))) {
		t.Errorf("read %v", got)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(DISTINCT tableoid) FROM event_log`); n != 3 {
		t.Errorf("the events are in %d partitions", n)
	}
}

// Writers with uncommitted inserts hold locks on the log, and do not delay making partitions; nor do concurrent calls
// fail.
func TestPartitionsAreMadeBesideOpenWritersAndByManyAtOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 10)
	open := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), open, storetest.Sales(1)))
	p.Exec(`SELECT setval('event_log_seq', $1)`, 6*eventlog.PartitionSize)
	impatient := storetest.Open(t, storetest.WithParameter(p.URL, "lock_timeout", "2000"), 4)
	var run []func(context.Context) error
	for range 4 {
		run = append(run, func(ctx context.Context) error { return eventlog.EnsurePartitions(ctx, impatient) })
	}
	storetest.Concurrently(t, run...)
	if n := len(partitions(p)); n != 2+3 {
		t.Errorf("partitions are %v", partitions(p))
	}
	// The open one need not see a new partition: partitions are made a million positions ahead.
	storetest.Must(t, open.Commit())
	p.Append(storetest.Sale("a"))
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 2 {
		t.Errorf("%d of 2 events are in the log", n)
	}
}
