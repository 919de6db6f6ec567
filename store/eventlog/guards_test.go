package eventlog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// Each test of this file removes one guard, by reading or ticking in its own way, and shows in a fixed interleaving
// that events are then lost, doubled or delayed, and that with the guard they are not.

// lateCommit is the interleaving most of them need: late has its id and its position first, and commits last, after a
// tick has seen it in progress.
type lateCommit struct {
	*storetest.Env
	ticker       *storetest.Ticker
	late, early  event.Any
	before, upto int64 // the ticks around late's commit
}

func newLateCommit(t *testing.T) *lateCommit {
	t.Helper()
	p := storetest.NewEnv(t, 6)
	l := &lateCommit{Env: p, ticker: p.NewTicker(), late: storetest.Sale("late"), early: storetest.Sale("early")}
	tx := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), tx, []event.Any{l.late}))
	p.Append(l.early)
	l.before = l.ticker.Tick()
	storetest.Must(t, tx.Commit())
	l.upto = l.ticker.Tick()
	return l
}

// query runs the test's own reading statement.
func query(p *storetest.Env, text string, args ...any) []uuid.UUID {
	p.Helper()
	rows, err := p.SQL().Query(text, args...)
	storetest.Must(p, err)
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		storetest.Must(p, rows.Scan(&id))
		ids = append(ids, id)
	}
	storetest.Must(p, rows.Err())
	return ids
}

// interval reads (from, upto] as the product does.
func interval(p *storetest.Env, from, upto int64) []uuid.UUID {
	p.Helper()
	return query(p, `SELECT event_id FROM (`+inline(eventlog.ReadPageText, from, upto, 0, 1000)+`) q WHERE event_id IS NOT NULL ORDER BY seq`)
}

// inline writes numbers into a statement's text in place of its parameters.
func inline(query string, args ...any) string {
	for i, a := range slices.Backward(args) {
		query = strings.ReplaceAll(query, fmt.Sprintf("$%d", i+1), fmt.Sprintf("%d::bigint", a))
	}
	return query
}

func TestReadingPastTheLastSeqLosesALateCommit(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	const pastLast = `SELECT event_id FROM event_log WHERE seq > $1 ORDER BY seq`
	late, early := storetest.Sale("late"), storetest.Sale("early")
	tx := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), tx, []event.Any{late}))
	p.Append(early)
	naive := query(p, pastLast, 0)
	last := storetest.One[int64](t, p.SQL(), `SELECT max(seq) FROM event_log`)
	ticker.Tick()
	read := reader.ReadAll(10)
	storetest.Must(t, tx.Commit())
	naive = append(naive, query(p, pastLast, last)...)
	ticker.Tick()
	read = append(read, reader.ReadAll(10)...)
	if slices.Contains(naive, late.ID) {
		t.Error("the reader without ticks lost nothing: the interleaving proves nothing")
	}
	if !slices.Equal(read, []uuid.UUID{early.ID, late.ID}) {
		t.Errorf("the tick reader read %v", read)
	}
}

func TestWithoutTheLateBranchALateCommitIsLost(t *testing.T) {
	t.Parallel()
	l := newLateCommit(t)
	const firstBranchAlone = `
		SELECT e.event_id FROM event_log e, tick p, tick c WHERE p.id = $1 AND c.id = $2
		AND e.tx >= pg_snapshot_xmax(p.snapshot) AND pg_visible_in_snapshot(e.tx, c.snapshot) ORDER BY e.seq`
	if ids := slices.Concat(query(l.Env, firstBranchAlone, 0, l.before), query(l.Env, firstBranchAlone, l.before, l.upto)); !slices.Equal(ids, []uuid.UUID{l.early.ID}) {
		t.Errorf("without the late branch %v were read: the interleaving proves nothing", ids)
	}
	if ids := slices.Concat(interval(l.Env, 0, l.before), interval(l.Env, l.before, l.upto)); !slices.Equal(ids, []uuid.UUID{l.early.ID, l.late.ID}) {
		t.Errorf("the tick reader read %v", ids)
	}
	// Intervals add up.
	if ids := interval(l.Env, 0, l.upto); !slices.Equal(ids, []uuid.UUID{l.late.ID, l.early.ID}) {
		t.Errorf("over both intervals at once %v were read", ids)
	}
}

func TestReadingBelowXminStallsBehindAnyOpenTransaction(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	// It appends nothing, and has only written elsewhere.
	open := p.OpenTx()
	_, err := pg.RawTx(open).Exec(`INSERT INTO suspect (consumer, message_id, deaths) VALUES ('x', 'y', 0)`)
	storetest.Must(t, err)
	appended := storetest.Sale("a")
	p.Append(appended)
	ticker.Tick()
	if ids := query(p, `SELECT event_id FROM event_log WHERE tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY seq`); len(ids) != 0 {
		t.Errorf("below xmin %v were read: the interleaving proves nothing", ids)
	}
	if ids := reader.ReadAll(10); !slices.Equal(ids, []uuid.UUID{appended.ID}) {
		t.Errorf("the tick reader read %v", ids)
	}
}

// manualTick is a tick made step by step: the sequence is read, the tick's transaction gets its id, the snapshot is
// taken.
type manualTick struct {
	*storetest.Env
	tx *store.Transaction
}

func lastSequence(p *storetest.Env) int64 {
	p.Helper()
	return storetest.One[int64](p, p.SQL(), `SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0)`)
}

// beginTick begins a tick's transaction, which gets its id.
func beginTick(p *storetest.Env) *manualTick {
	p.Helper()
	tx := p.OpenTx()
	storetest.MustGet(pg.RawTx(tx).Exec(`SELECT pg_current_xact_id()`))(p)
	return &manualTick{p, tx}
}

// end takes the snapshot and commits.
func (h *manualTick) end(id, seqBefore int64) {
	h.Helper()
	storetest.MustGet(pg.RawTx(h.tx).Exec(`
		INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
		VALUES ($1, 1, pg_current_snapshot(), $2, pg_sequence_last_value('event_log_seq'))`, id, seqBefore))(h)
	storetest.Must(h, h.tx.Commit())
}

// seq_before is the lower bound of the first branch.
func TestSeqBeforeReadAfterTheTickHasItsIDLosesEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before bool
		want   int
	}{{"before the tick has its id", true, 2}, {"after it", false, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := storetest.NewEnv(t, 6)
			seqBefore := lastSequence(p)
			tick := beginTick(p)
			tx := p.OpenTx()
			storetest.Must(t, eventlog.Append(t.Context(), tx, storetest.Sales(1)))
			if !c.before {
				seqBefore = lastSequence(p)
			}
			tick.end(1, seqBefore)
			storetest.Must(t, tx.Commit())
			p.Append(storetest.Sale("b"))
			upto := p.NewTicker().Tick()
			if got := len(interval(p, 0, 1)) + len(interval(p, 1, upto)); got != c.want {
				t.Errorf("%d of 2 events were read, want %d", got, c.want)
			}
		})
	}
}

// A snapshot's xmax is one more than the last id that has ended: a transaction
// from there on may have begun, and drawn numbers, before the tick.
func TestXmaxIsNoBorderBetweenOldAndNew(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker := p.NewTicker()
	const xmaxAsBorder = `
		SELECT e.event_id FROM event_log e, tick p, tick c WHERE p.id = $1 AND c.id = $2 AND pg_visible_in_snapshot(e.tx, c.snapshot)
		AND (e.tx >= pg_snapshot_xmax(p.snapshot) AND e.seq > p.seq_before OR e.tx IN (SELECT pg_snapshot_xip(p.snapshot)))`
	p.Append(storetest.Sale("a"))
	from := ticker.Tick()
	var before, upto int64
	var tried []uuid.UUID
	storetest.Eventually(t, "no other transaction ends while it is tried", func() bool {
		tx, tries := p.OpenTx(), storetest.Sale("b")
		storetest.Must(t, eventlog.Append(t.Context(), tx, []event.Any{tries}))
		tried = append(tried, tries.ID)
		before = ticker.Tick()
		beyond := false
		storetest.Must(t, pg.RawTx(tx).QueryRow(`SELECT pg_snapshot_xmax(snapshot) <= pg_current_xact_id() FROM tick WHERE id = $1`, before).Scan(&beyond))
		storetest.Must(t, tx.Commit())
		upto = ticker.Tick() // due although the sequence has not moved
		return beyond
	})
	if ids := query(p, xmaxAsBorder, before, upto); len(ids) != 0 {
		t.Errorf("with xmax as the border %v were read: the interleaving proves nothing", ids)
	}
	var ids []uuid.UUID
	for id := from; id < upto; id++ {
		ids = append(ids, interval(p, id, id+1)...)
	}
	if !slices.Equal(ids, tried) {
		t.Errorf("the tick reader read %v of %v", ids, tried)
	}
}

// A transaction may begin after the tick has its id and end before its snapshot.
func TestWhatTheTickHasSeenIsNotReadAfterIt(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	seqBefore := lastSequence(p)
	tick := beginTick(p)
	p.Append(storetest.Sale("a"))
	tick.end(1, seqBefore)
	p.Append(storetest.Sale("b"))
	upto := p.NewTicker().Tick()
	const unseenOrNot = `
		SELECT e.event_id FROM event_log e, tick p, tick c WHERE p.id = $1 AND c.id = $2
		AND e.tx > p.tx AND e.seq > p.seq_before AND pg_visible_in_snapshot(e.tx, c.snapshot)`
	if n := len(interval(p, 0, 1)) + len(query(p, unseenOrNot, 1, upto)); n != 3 {
		t.Errorf("2 events were read %d times: the interleaving proves nothing", n)
	}
	if n := len(interval(p, 0, 1)) + len(interval(p, 1, upto)); n != 2 {
		t.Errorf("2 events were read %d times", n)
	}
}

// A transaction must have its id before it draws a number, or the snapshot of a
// tick between the two does not know it, and its number is below seq_before.
func TestANumberDrawnBeforeTheTransactionHasItsIDIsLost(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	// The first to draw logs 32 numbers, and gets its id by that; so does the first after a checkpoint, which may come
	// between.
	tx, drawn := p.OpenTx(), int64(0)
	for hasID := true; hasID; {
		storetest.Must(t, tx.Rollback())
		p.Exec(`SELECT nextval('event_log_seq')`)
		tx = p.OpenTx()
		storetest.Must(t, pg.RawTx(tx).QueryRow(`SELECT nextval('event_log_seq')`).Scan(&drawn))
		storetest.Must(t, pg.RawTx(tx).QueryRow(`SELECT pg_current_xact_id_if_assigned() IS NOT NULL`).Scan(&hasID))
	}
	ticker.Tick()
	reader.ReadAll(10) // stands at that tick now
	_, err := pg.RawTx(tx).Exec(`
		INSERT INTO event_log (seq, epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
		VALUES ($1, 1, true, now(), gen_random_uuid(), '', '', '', '', '', '')`, drawn)
	storetest.Must(t, err)
	storetest.Must(t, tx.Commit())
	p.Append(storetest.Sale("b"))
	ticker.Tick()
	if n := len(reader.ReadAll(10)); n != 1 {
		t.Errorf("%d of 2 events were read: the interleaving proves nothing", n)
	}
}

// drawnWithID replaces nextval by one that refuses to draw for a transaction without an id.
const drawnWithID = `
	CREATE SCHEMA guard;
	CREATE FUNCTION guard.nextval(s regclass) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
		IF pg_current_xact_id_if_assigned() IS NULL THEN RAISE 'a number is drawn before the transaction has its id'; END IF;
		RETURN pg_catalog.nextval(s);
	END $$;
	ALTER TABLE event_log ALTER COLUMN seq SET DEFAULT guard.nextval('event_log_seq')`

func TestAppendAndAdmitDrawNumbersAfterTheID(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	p.Exec(drawnWithID)
	guarded := storetest.Open(t, storetest.WithParameter(p.URL, "search_path", "guard,pg_catalog,public"), 4)
	storetest.Must(t, guarded.InTx(t.Context(), func(tx store.Tx) error {
		if _, err := pg.RawTx(tx).Exec(`SAVEPOINT s`); err != nil {
			return err
		}
		return eventlog.Append(t.Context(), tx, storetest.Sales(3))
	}))
	verdicts, err := eventlog.AdmitOnce(t.Context(), guarded, storetest.Sales(3), true)
	storetest.Must(t, err)
	if !slices.Equal(verdicts, make([]eventlog.Admission, 3)) {
		t.Errorf("verdicts are %v", verdicts)
	}
	// The guard itself works.
	if _, err := pg.Pool(guarded).Exec(`SELECT nextval('event_log_seq')`); err == nil {
		t.Error("the guard lets a number be drawn without an id")
	}
}

// A second ticker that does not hold the lease's row may write an older snapshot under a higher id.
func TestATickOutOfOrderDoublesEvents(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker := p.NewTicker()
	late := beginTick(p)
	tx := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), tx, storetest.Sales(1)))
	old := storetest.One[string](t, p.SQL(), `SELECT pg_current_snapshot()::text`)
	storetest.Must(t, tx.Commit())
	first := ticker.Tick()
	storetest.MustGet(pg.RawTx(late.tx).Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) VALUES ($1, 1, $2::pg_snapshot, 0, 1)`, first+1, old))(t)
	storetest.Must(t, late.tx.Commit())
	p.Append(storetest.Sale("b"))
	storetest.MustGet(ticker.Step(t.Context(), ticker.Lease))(t)
	if n := len(interval(p, 0, first)) + len(interval(p, first, first+1)) + len(interval(p, first+1, first+2)); n != 3 {
		t.Errorf("2 events were read %d times: the interleaving proves nothing", n)
	}
}

// Two tickers that both believe they lead collide on the id: here each has a lease's row of its own.
func TestTwoTicksAtOnceCollide(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	p.Append(storetest.Sale("a"))
	storetest.MustGet(store.AcquireLease(t.Context(), p.DB, "one", "one"))(t)
	storetest.MustGet(store.AcquireLease(t.Context(), p.DB, "two", "two"))(t)
	one, two := p.OpenTx(), p.OpenTx()
	_, err := pg.RawTx(one).Exec(eventlog.MakeTick, "one", 1)
	storetest.Must(t, err)
	second := make(chan error, 1)
	go func() {
		_, err := pg.RawTx(two).Exec(eventlog.MakeTick, "two", 1)
		second <- err
	}()
	p.AwaitLockWaiters(1)
	storetest.Must(t, one.Commit())
	if err := <-second; err == nil {
		t.Error("two ticks were made at once")
	}
}
