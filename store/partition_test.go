package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

func (p *place) partitions() []string {
	p.Helper()
	rows, err := p.SQL().Query(`SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event_log'::regclass ORDER BY 1`)
	must(p, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		must(p, rows.Scan(&name))
		names = append(names, name)
	}
	must(p, rows.Err())
	return names
}

func TestPartitionsAreMadeAheadOfNeed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	must(t, p.EnsurePartitions(t.Context()))
	if got, want := p.partitions(), []string{"event_log_p0", "event_log_p1", "event_log_p2"}; !slices.Equal(got, want) {
		t.Errorf("partitions are %v, want %v", got, want)
	}
	p.exec(`SELECT setval('event_log_seq', $1)`, 4*store.PartitionSize+17)
	must(t, p.EnsurePartitions(t.Context()))
	if got, want := p.partitions(), []string{"event_log_p0", "event_log_p1", "event_log_p2", "event_log_p4", "event_log_p5", "event_log_p6"}; !slices.Equal(got, want) {
		t.Errorf("partitions are %v, want %v", got, want)
	}
	// What was made is like what the schema began with: the same indexes, defaults and constraints.
	const like = `
		SELECT (SELECT string_agg(replace(indexdef, $1, ''), ';' ORDER BY indexdef) FROM pg_indexes WHERE tablename = $1)
		    || (SELECT string_agg(column_name || coalesce(column_default, '') || is_nullable, ';' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = $1)
		    || (SELECT string_agg(contype::text, '' ORDER BY contype) FROM pg_constraint WHERE conrelid = $1::regclass)`
	if first, made := value[string](t, p.SQL(), like, "event_log_p0"), value[string](t, p.SQL(), like, "event_log_p4"); first != made {
		t.Errorf("the first partition is\n%s\nand one made later\n%s", first, made)
	}
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'i' AND c.relname LIKE 'event\_log\_p4%'`); n != 2 {
		t.Errorf("%d of 2 indexes belong to the log's", n)
	}
}

func TestAnInsertMayCrossTheBorderOfPartitions(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ticker, reader := p.newTicker(), p.newReader("relay")
	p.exec(`SELECT setval('event_log_seq', $1)`, 2*store.PartitionSize-5)
	events := anySales(10)
	err := p.InTx(t.Context(), func(tx store.Tx) error { return tx.Append(t.Context(), events) })
	if err == nil {
		t.Fatal("an insert found a partition that nobody has made")
	}
	must(t, p.EnsurePartitions(t.Context()))
	p.exec(`SELECT setval('event_log_seq', $1)`, 2*store.PartitionSize-5)
	must(t, p.InTx(t.Context(), func(tx store.Tx) error { return tx.Append(t.Context(), events) }))
	admitted := anySales(10)
	p.exec(`SELECT setval('event_log_seq', $1)`, 3*store.PartitionSize-5)
	must2(p.Admit(t.Context(), admitted, true))(t)
	ticker.tick()
	if got := reader.readAll(3); !slices.Equal(got, idsOf(slices.Concat(events, admitted))) {
		t.Errorf("read %v", got)
	}
	if n := value[int](t, p.SQL(), `SELECT count(DISTINCT tableoid) FROM event_log`); n != 3 {
		t.Errorf("the events are in %d partitions", n)
	}
}

// Writers that have inserted and not committed hold locks on the log, and hold
// up nobody who makes partitions; nor do those who make them fail each other.
func TestPartitionsAreMadeBesideOpenWritersAndByManyAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 10)
	open := p.begin()
	must(t, open.Append(t.Context(), anySales(1)))
	p.exec(`SELECT setval('event_log_seq', $1)`, 6*store.PartitionSize)
	impatient := openAt(t, withParameter(p.url, "lock_timeout", "2000"))
	var run []func(context.Context) error
	for range 4 {
		run = append(run, impatient.EnsurePartitions)
	}
	storetest.Concurrently(t, run...)
	if n := len(p.partitions()); n != 2+3 {
		t.Errorf("partitions are %v", p.partitions())
	}
	// The open one need not see a partition made since: they are made a million places ahead.
	must(t, open.Commit())
	p.append(sale("a"))
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 2 {
		t.Errorf("%d of 2 events are in the log", n)
	}
}
