package eventlog_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/storetest"
)

// run runs a ticker until the test ends.
func run(p *storetest.Env) *eventlog.Ticker {
	p.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ticker, ended := eventlog.NewTicker(p.DB, slog.New(slog.DiscardHandler)), make(chan struct{})
	go func() {
		defer close(ended)
		store.Lead(ctx, p.DB, "ticker", p.Name(), ticker.Run, func(err error) { p.Error(err) })
	}()
	p.Cleanup(func() { stop(); <-ended })
	p.Append(storetest.Sale("first"))
	ticked(p)
	return ticker
}

// ticked waits until the newest tick shows every event.
func ticked(p *storetest.Env) {
	p.Helper()
	storetest.Eventually(p, "every event is ticked", func() bool {
		return storetest.One[bool](p, p.SQL(), `
			SELECT NOT EXISTS (SELECT FROM event_log WHERE NOT pg_visible_in_snapshot(tx, t.snapshot)) FROM tick t ORDER BY id DESC LIMIT 1`)
	})
}

func TestATransactionThatCommitsLongAfterItsNumberIsTickedSoon(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	run(p)
	tx := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), tx, storetest.Sales(1)))
	drawn := lastSequence(p)
	// Other transactions write and are ticked meanwhile; then nothing moves any more.
	for range 3 {
		p.Append(storetest.Sale("b"))
	}
	storetest.Eventually(t, "the others are ticked", func() bool {
		return storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log e, (SELECT snapshot FROM tick ORDER BY id DESC LIMIT 1) t
			WHERE pg_visible_in_snapshot(e.tx, t.snapshot)`) == 4
	})
	before, sequence := storetest.One[int64](t, p.SQL(), `SELECT max(id) FROM tick`), lastSequence(p)
	committed := time.Now()
	storetest.Must(t, tx.Commit())
	ticked(p)
	t.Logf("ticked after %v", time.Since(committed))
	if sequence != lastSequence(p) || drawn >= sequence {
		t.Error("the sequence moved: the interleaving proves nothing")
	}
	if storetest.One[int64](t, p.SQL(), `SELECT max(id) FROM tick`) <= before {
		t.Error("no tick was made")
	}
}

// As above, for the one that a snapshot does not know though it had begun: its end moves neither the sequence nor
// anything the snapshot calls in progress.
func TestATransactionBeyondXmaxIsDueWhenItEnds(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker := p.NewTicker()
	p.Append(storetest.Sale("a"))
	ticker.Tick()
	tx := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), tx, storetest.Sales(1)))
	ticker.Tick()
	storetest.Must(t, tx.Commit())
	ticker.Tick()
}

func TestAnIdleDatabaseMakesFewTicks(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	run(p)
	// Other databases of the server use up transaction ids too, and their ends may be due: they are taken off.
	const count = `SELECT (SELECT max(id) FROM tick), pg_snapshot_xmax(pg_current_snapshot())::text::bigint`
	var ticksBefore, ticksAfter, xmaxBefore, xmaxAfter int64
	storetest.Must(t, p.SQL().QueryRow(count).Scan(&ticksBefore, &xmaxBefore))
	<-time.After(2 * time.Second) // something that does not happen can only be waited for
	storetest.Must(t, p.SQL().QueryRow(count).Scan(&ticksAfter, &xmaxAfter))
	ticks, others := ticksAfter-ticksBefore, xmaxAfter-xmaxBefore-(ticksAfter-ticksBefore)
	t.Logf("%d ticks, %d other transactions", ticks, others)
	if ticks > 4+others {
		t.Errorf("%d ticks were made in 2 s of idleness, with %d other transactions", ticks, others)
	}
}

func TestPokeMakesATickAtOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker := run(p)
	for range 5 {
		ticker.Poke() // never blocks, with or without a receiver
	}
	appended := time.Now()
	p.Append(storetest.Sale("b"))
	ticker.Poke()
	ticked(p)
	t.Logf("ticked after %v", time.Since(appended))

	// A store opened with the hint calls it after the commit of an appending transaction, and of no other.
	hints := make(chan struct{}, 10)
	hinted, err := store.Open(t.Context(), store.Config{URL: p.URL, Appended: func() bool { hints <- struct{}{}; return true }})
	storetest.Must(t, err)
	t.Cleanup(func() { hinted.Close() })
	other := &storetest.Env{TB: t, DB: hinted, URL: p.URL}
	once := storetest.Sale("c")
	other.Append(once)
	rolledBack := other.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), rolledBack, storetest.Sales(1)))
	storetest.Must(t, rolledBack.Rollback())
	storetest.Must(t, other.InTx(t.Context(), func(tx store.Tx) error { _, err := ledger.Moved(t.Context(), tx, nil); return err }))
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), other.DB, storetest.Sales(2), true))(t)
	if len(hints) != 2 {
		t.Errorf("%d hints were given for 2 transactions that appended", len(hints))
	}
	if !ticker.Poke() || eventlog.NewTicker(p.DB, slog.New(slog.DiscardHandler)).Poke() {
		t.Error("a ticker does not know whether it leads")
	}
}

// Where a ticker of the same process takes the hint nothing is announced: it would make a second tick.
func TestWhatNoTickerHereTakesIsAnnounced(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	announcements := make(chan int, 10) // pids
	listener := pq.NewListener(p.URL, time.Second, time.Minute, nil)
	t.Cleanup(func() { listener.Close() })
	storetest.Must(t, listener.Listen(eventlog.AppendChannel))
	go func() {
		for n := range listener.NotificationChannel() {
			if n != nil {
				announcements <- n.BePid
			}
		}
	}()
	appendOne := func(appended func() bool) (pid int) {
		db, err := store.Open(t.Context(), store.Config{URL: p.URL, Connections: 1, Appended: appended})
		storetest.Must(t, err)
		t.Cleanup(func() { db.Close() })
		other := &storetest.Env{TB: t, DB: db, URL: p.URL}
		rolledBack := other.OpenTx()
		storetest.Must(t, eventlog.Append(t.Context(), rolledBack, storetest.Sales(1)))
		storetest.Must(t, rolledBack.Rollback())
		other.Append(storetest.Sale("a"))
		return storetest.One[int](t, pg.Pool(db), `SELECT pg_backend_pid()`)
	}
	appendOne(func() bool { return true })
	for _, appended := range []func() bool{nil, func() bool { return false }} {
		if want, got := appendOne(appended), <-announcements; got != want {
			t.Errorf("process %d announced, want %d", got, want)
		}
	}
	if len(announcements) > 0 {
		t.Errorf("%d more announcements were made", len(announcements))
	}
}

// A database that hangs holds no caller whose transaction is committed.
func TestNoCommitWaitsForItsAnnouncement(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	begun, release := make(chan struct{}, 10), make(chan struct{})
	hangs := func(*store.DB) {
		begun <- struct{}{}
		select {
		case <-release:
		case <-time.After(localtest.Deadline(10 * time.Second)):
			t.Error("a commit waits for its announcement")
		}
	}
	open := func() (db *store.DB, commit func()) {
		db, err := store.Open(t.Context(), store.Config{URL: p.URL, Connections: 1})
		storetest.Must(t, err)
		return db, func() {
			storetest.Must(t, db.InTx(t.Context(), func(tx store.Tx) error { pg.NoteAppended(tx, hangs); return nil }))
		}
	}
	db, commit := open()
	commit()
	<-begun
	stuck, commitToo := open()
	commitToo()
	<-begun
	storetest.Must(t, stuck.Close()) // in spite of it

	for range 3 {
		commit()
	}
	close(release)
	storetest.Must(t, db.Close()) // after it
	if n := len(begun); n != 1 {
		t.Errorf("%d announcements followed the first for three commits, want one", n)
	}
}

func TestAnAnnouncementMakesATick(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	run(p)
	for range 3 {
		before := storetest.One[int64](t, p.SQL(), `SELECT max(id) FROM tick`)
		p.Exec(`NOTIFY ` + eventlog.AppendChannel) // and nothing was appended: no check would find a tick due
		storetest.Eventually(t, "a tick is made", func() bool { return storetest.One[int64](t, p.SQL(), `SELECT max(id) FROM tick`) > before })
	}
}

func TestTicksCarryOnFromLeaderToLeader(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 12)
	reader := p.NewReader("relay")
	const appended = 60
	ctx, stop := context.WithCancel(t.Context())
	var leaders sync.WaitGroup
	for _, holder := range []string{"one", "two"} {
		leaders.Go(func() {
			store.Lead(ctx, p.DB, "ticker", holder, eventlog.NewTicker(p.DB, slog.New(slog.DiscardHandler)).Run, func(err error) {
				if !errors.Is(err, store.ErrNotLeader) {
					t.Error(err)
				}
			})
		})
	}
	defer leaders.Wait()
	defer stop()
	for i := range appended {
		if i%20 == 10 { // the leader is taken to be gone
			p.Exec(`UPDATE lease SET expires_at = '-infinity' WHERE name = 'ticker'`)
		}
		p.Append(storetest.Sale("a"))
		ticked(p)
	}
	if n := len(reader.ReadAll(7)); n != appended {
		t.Errorf("%d of %d events were read", n, appended)
	}
}

func TestATickerRefusesTablesOfAnotherServer(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	storetest.Must(t, eventlog.CheckEpoch(t.Context(), p.DB))
	p.Exec(`UPDATE epoch SET system_identifier = system_identifier + 1`)
	err := eventlog.NewTicker(p.DB, slog.New(slog.DiscardHandler)).Run(t.Context(), p.NewTicker().Lease)
	storetest.IsError(t, err, eventlog.ErrRestored)
	p.Exec(`UPDATE epoch SET system_identifier = system_identifier - 1`)
	storetest.Must(t, eventlog.CheckEpoch(t.Context(), p.DB))
	// The same server, set back to before a tick was made.
	p.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) VALUES (1, 1, '900000000000:900000000000:', 0, 0)`)
	storetest.IsError(t, eventlog.CheckEpoch(t.Context(), p.DB), eventlog.ErrRestored)
}

func TestThinningKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT i, 1, pg_current_snapshot(), 0, 0 FROM generate_series(1, 2500) i`)
	storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "worker", []string{"SALE_COMPLETED"}))(t) // from tick 2500
	p.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT i, 1, pg_current_snapshot(), 0, 0 FROM generate_series(2501, 3500) i`)
	count := func() int { return storetest.One[int](t, p.SQL(), `SELECT count(*) FROM tick`) }
	p.Exec(`INSERT INTO log_cursor (consumer, tick, upto, seq, term) VALUES ('slow', 2400, 2600, 17, 1), ('fast', 3500, 3500, 0, 1)`)
	storetest.Must(t, eventlog.ThinTicks(t.Context(), p.DB))
	if n, want := count(), 3+1101; n != want { // 0, 1000, 2000 and from 2400 on
		t.Errorf("%d ticks were kept, want %d", n, want)
	}
	p.Exec(`DELETE FROM log_cursor WHERE consumer = 'slow'`)
	storetest.Must(t, eventlog.ThinTicks(t.Context(), p.DB))
	if n, want := count(), 4+1+1; n != want { // 0, 1000, 2000, 3000; 2500; 3500
		t.Errorf("%d ticks were kept, want %d", n, want)
	}
	// A new reader begins at 0, which is always kept; one whose tick is gone returns an error.
	if at := p.NewReader("new").At; at.Tick != 0 {
		t.Errorf("a new cursor stands at %+v", at)
	}
	for _, at := range []eventlog.Cursor{{Tick: 7, Upto: 7}, {Tick: 7, Upto: 3500, Seq: 3}, {Tick: 1000, Upto: 1007}} {
		_, err := eventlog.ReadPage(t.Context(), p.DB, at, 10)
		storetest.IsError(t, err, store.ErrNotFound)
	}
}
