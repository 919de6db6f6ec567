package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
)

// run lets a ticker run by itself until the test ends.
func (p *place) run() *store.Ticker {
	p.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ticker, ended := store.NewTicker(p.DB, quiet()), make(chan struct{})
	go func() {
		defer close(ended)
		p.Lead(ctx, "ticker", p.Name(), ticker.Run, func(err error) { p.Error(err) })
	}()
	p.Cleanup(func() { stop(); <-ended })
	p.append(sale("first"))
	p.ticked()
	return ticker
}

// ticked waits until the newest tick shows every event.
func (p *place) ticked() {
	p.Helper()
	eventually(p, "every event is ticked", func() bool {
		return value[bool](p, p.SQL(), `
			SELECT NOT EXISTS (SELECT FROM event_log WHERE NOT pg_visible_in_snapshot(tx, t.snapshot)) FROM tick t ORDER BY id DESC LIMIT 1`)
	})
}

func TestATransactionThatCommitsLongAfterItsNumberIsTickedSoon(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 8)
	p.run()
	tx := p.begin()
	must(t, tx.Append(t.Context(), anySales(1)))
	drawn := p.sequence()
	// Others write and are ticked meanwhile; and then nothing moves any more.
	for range 3 {
		p.append(sale("b"))
	}
	eventually(t, "the others are ticked", func() bool {
		return value[int](t, p.SQL(), `SELECT count(*) FROM event_log e, (SELECT snapshot FROM tick ORDER BY id DESC LIMIT 1) t
			WHERE pg_visible_in_snapshot(e.tx, t.snapshot)`) == 4
	})
	before, sequence := value[int64](t, p.SQL(), `SELECT max(id) FROM tick`), p.sequence()
	committed := time.Now()
	must(t, tx.Commit())
	p.ticked()
	t.Logf("ticked after %v", time.Since(committed))
	if sequence != p.sequence() || drawn >= sequence {
		t.Error("the sequence moved: the interleaving proves nothing")
	}
	if value[int64](t, p.SQL(), `SELECT max(id) FROM tick`) <= before {
		t.Error("no tick was made")
	}
}

// As above, for the one that a snapshot does not know though it had begun: its
// end moves neither the sequence nor anything the snapshot calls in progress.
func TestATransactionBeyondXmaxIsDueWhenItEnds(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	ticker := p.newTicker()
	p.append(sale("a"))
	ticker.tick()
	tx := p.begin()
	must(t, tx.Append(t.Context(), anySales(1)))
	ticker.tick()
	must(t, tx.Commit())
	ticker.tick()
}

func TestAnIdleDatabaseMakesFewTicks(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	p.run()
	// Other databases of the server use up transaction ids too, and their ends may be due: they are taken off.
	const count = `SELECT (SELECT max(id) FROM tick), pg_snapshot_xmax(pg_current_snapshot())::text::bigint`
	var ticksBefore, ticksAfter, xmaxBefore, xmaxAfter int64
	must(t, p.SQL().QueryRow(count).Scan(&ticksBefore, &xmaxBefore))
	<-time.After(2 * time.Second) // what does not happen can only be waited for
	must(t, p.SQL().QueryRow(count).Scan(&ticksAfter, &xmaxAfter))
	ticks, others := ticksAfter-ticksBefore, xmaxAfter-xmaxBefore-(ticksAfter-ticksBefore)
	t.Logf("%d ticks, %d other transactions", ticks, others)
	if ticks > 4+others {
		t.Errorf("%d ticks were made in 2 s of idleness, with %d other transactions", ticks, others)
	}
}

func TestPokeMakesATickAtOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	ticker := p.run()
	for range 5 {
		ticker.Poke() // never blocks, whoever listens
	}
	appended := time.Now()
	p.append(sale("b"))
	ticker.Poke()
	p.ticked()
	t.Logf("ticked after %v", time.Since(appended))

	// A store opened with the hint calls it after the commit of what appended, and of nothing else.
	hints := make(chan struct{}, 10)
	hinted, err := store.Open(t.Context(), store.Config{URL: p.url, Appended: func() { hints <- struct{}{} }})
	must(t, err)
	t.Cleanup(func() { hinted.Close() })
	other := &place{TB: t, DB: hinted, url: p.url}
	once := sale("c")
	other.append(once)
	rolledBack := other.begin()
	must(t, rolledBack.Append(t.Context(), anySales(1)))
	must(t, rolledBack.Rollback())
	must(t, other.InTx(t.Context(), func(tx store.Tx) error { _, err := tx.Moved(t.Context(), nil); return err }))
	must2(other.Admit(t.Context(), anySales(2), true))(t)
	if len(hints) != 2 {
		t.Errorf("%d hints were given for 2 transactions that appended", len(hints))
	}
}

func TestTicksCarryOnFromLeaderToLeader(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 12)
	reader := p.newReader("relay")
	const said = 60
	ctx, stop := context.WithCancel(t.Context())
	var leaders sync.WaitGroup
	for _, holder := range []string{"one", "two"} {
		leaders.Go(func() {
			p.Lead(ctx, "ticker", holder, store.NewTicker(p.DB, quiet()).Run, func(err error) {
				if !errors.Is(err, store.ErrNotLeader) {
					t.Error(err)
				}
			})
		})
	}
	defer leaders.Wait()
	defer stop()
	for i := range said {
		if i%20 == 10 { // whoever leads is taken to be gone
			p.exec(`UPDATE lease SET expires_at = '-infinity' WHERE name = 'ticker'`)
		}
		p.append(sale("a"))
		p.ticked()
	}
	if n := len(reader.readAll(7)); n != said {
		t.Errorf("%d of %d events were read", n, said)
	}
}

func TestATickerRefusesATablesOfAnotherCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	must(t, p.CheckEpoch(t.Context()))
	p.exec(`UPDATE epoch SET system_identifier = system_identifier + 1`)
	err := store.NewTicker(p.DB, quiet()).Run(t.Context(), p.newTicker().lease)
	isError(t, err, store.ErrRestored)
	p.exec(`UPDATE epoch SET system_identifier = system_identifier - 1`)
	must(t, p.CheckEpoch(t.Context()))
	// The same cluster, put back to before a tick was made.
	p.exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) VALUES (1, 1, '900000000000:900000000000:', 0, 0)`)
	isError(t, p.CheckEpoch(t.Context()), store.ErrRestored)
}

func TestThinningKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	p.exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT i, 1, pg_current_snapshot(), 0, 0 FROM generate_series(1, 2500) i`)
	must2(p.Subscribe(t.Context(), "worker", []string{"SALE_COMPLETED"}))(t) // from tick 2500
	p.exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT i, 1, pg_current_snapshot(), 0, 0 FROM generate_series(2501, 3500) i`)
	count := func() int { return value[int](t, p.SQL(), `SELECT count(*) FROM tick`) }
	p.exec(`INSERT INTO log_cursor (consumer, tick, upto, seq, term) VALUES ('slow', 2400, 2600, 17, 1), ('fast', 3500, 3500, 0, 1)`)
	must(t, p.ThinTicks(t.Context()))
	if n, want := count(), 3+1101; n != want { // 0, 1000, 2000 and from 2400 on
		t.Errorf("%d ticks were kept, want %d", n, want)
	}
	p.exec(`DELETE FROM log_cursor WHERE consumer = 'slow'`)
	must(t, p.ThinTicks(t.Context()))
	if n, want := count(), 4+1+1; n != want { // 0, 1000, 2000, 3000; 2500; 3500
		t.Errorf("%d ticks were kept, want %d", n, want)
	}
	// A new reader begins at 0, which is always kept; one whose tick is gone says so.
	if at := p.newReader("new").at; at.Tick != 0 {
		t.Errorf("a new cursor stands at %+v", at)
	}
	for _, at := range []store.Cursor{{Tick: 7, Upto: 7}, {Tick: 7, Upto: 3500, Seq: 3}, {Tick: 1000, Upto: 1007}} {
		_, err := p.ReadPage(t.Context(), at, 10)
		isError(t, err, store.ErrNotFound)
	}
}
