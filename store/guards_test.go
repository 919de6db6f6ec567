package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

// The tests of this file take one guard away each, by reading or ticking in a
// way of their own, and show in a fixed interleaving that events are then lost,
// doubled or held up, and that with the guard they are not.

// lateCommit is the interleaving most of them need: late has its id and its
// place first, and commits last, after a tick has seen it in progress.
type lateCommit struct {
	*place
	ticker       *ticker
	late, early  event.Any
	before, upto int64 // the ticks around late's commit
}

func newLateCommit(t *testing.T) *lateCommit {
	t.Helper()
	p := newPlace(t, 6)
	l := &lateCommit{place: p, ticker: p.newTicker(), late: sale("late"), early: sale("early")}
	tx := p.begin()
	must(t, tx.Append(t.Context(), []event.Any{l.late}))
	p.append(l.early)
	l.before = l.ticker.tick()
	must(t, tx.Commit())
	l.upto = l.ticker.tick()
	return l
}

// read runs a reader's query of the test's own.
func (p *place) read(query string, args ...any) []uuid.UUID {
	p.Helper()
	rows, err := p.SQL().Query(query, args...)
	must(p, err)
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		must(p, rows.Scan(&id))
		ids = append(ids, id)
	}
	must(p, rows.Err())
	return ids
}

// interval reads (from, upto] as the product does.
func (p *place) interval(from, upto int64) []uuid.UUID {
	p.Helper()
	return p.read(`SELECT event_id FROM (` + inline(store.ReadInterval, from, upto, 0, 1000) + `) q`)
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
	p := newPlace(t, 6)
	ticker, reader := p.newTicker(), p.newReader("relay")
	const pastLast = `SELECT event_id FROM event_log WHERE seq > $1 ORDER BY seq`
	late, early := sale("late"), sale("early")
	tx := p.begin()
	must(t, tx.Append(t.Context(), []event.Any{late}))
	p.append(early)
	naive := p.read(pastLast, 0)
	last := value[int64](t, p.SQL(), `SELECT max(seq) FROM event_log`)
	ticker.tick()
	read := reader.readAll(10)
	must(t, tx.Commit())
	naive = append(naive, p.read(pastLast, last)...)
	ticker.tick()
	read = append(read, reader.readAll(10)...)
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
	if ids := slices.Concat(l.read(firstBranchAlone, 0, l.before), l.read(firstBranchAlone, l.before, l.upto)); !slices.Equal(ids, []uuid.UUID{l.early.ID}) {
		t.Errorf("without the late branch %v were read: the interleaving proves nothing", ids)
	}
	if ids := slices.Concat(l.interval(0, l.before), l.interval(l.before, l.upto)); !slices.Equal(ids, []uuid.UUID{l.early.ID, l.late.ID}) {
		t.Errorf("the tick reader read %v", ids)
	}
	// Intervals add up.
	if ids := l.interval(0, l.upto); !slices.Equal(ids, []uuid.UUID{l.late.ID, l.early.ID}) {
		t.Errorf("over both intervals at once %v were read", ids)
	}
}

func TestReadingBelowXminStallsBehindAnyOpenTransaction(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	ticker, reader := p.newTicker(), p.newReader("relay")
	// It says nothing at all, and has only written elsewhere.
	open := p.begin()
	_, err := store.RawTx(open).Exec(`INSERT INTO suspect (consumer, message_id, deaths) VALUES ('x', 'y', 0)`)
	must(t, err)
	said := sale("a")
	p.append(said)
	ticker.tick()
	if ids := p.read(`SELECT event_id FROM event_log WHERE tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY seq`); len(ids) != 0 {
		t.Errorf("below xmin %v were read: the interleaving proves nothing", ids)
	}
	if ids := reader.readAll(10); !slices.Equal(ids, []uuid.UUID{said.ID}) {
		t.Errorf("the tick reader read %v", ids)
	}
}

// handMadeTick is a tick whose steps a test takes one by one: the sequence is
// read, the tick's transaction gets its id, the snapshot is taken.
type handMadeTick struct {
	*place
	tx store.Tx
}

func (p *place) sequence() int64 {
	p.Helper()
	return value[int64](p, p.SQL(), `SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0)`)
}

// beginTick begins a tick's transaction, which gets its id.
func (p *place) beginTick() *handMadeTick {
	p.Helper()
	tx := p.begin()
	must2(store.RawTx(tx).Exec(`SELECT pg_current_xact_id()`))(p)
	return &handMadeTick{p, tx}
}

// end takes the snapshot and commits.
func (h *handMadeTick) end(id, seqBefore int64) {
	h.Helper()
	must2(store.RawTx(h.tx).Exec(`
		INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
		VALUES ($1, 1, pg_current_snapshot(), $2, pg_sequence_last_value('event_log_seq'))`, id, seqBefore))(h)
	must(h, h.tx.Commit())
}

// seq_before is the bound below which the first branch does not look.
func TestSeqBeforeReadAfterTheTickHasItsIDLosesEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before bool
		want   int
	}{{"before the tick has its id", true, 2}, {"after it", false, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 6)
			seqBefore := p.sequence()
			tick := p.beginTick()
			tx := p.begin()
			must(t, tx.Append(t.Context(), anySales(1)))
			if !c.before {
				seqBefore = p.sequence()
			}
			tick.end(1, seqBefore)
			must(t, tx.Commit())
			p.append(sale("b"))
			upto := p.newTicker().tick()
			if got := len(p.interval(0, 1)) + len(p.interval(1, upto)); got != c.want {
				t.Errorf("%d of 2 events were read, want %d", got, c.want)
			}
		})
	}
}

// A snapshot's xmax is one more than the last id that has ended: a transaction
// from there on may have begun, and drawn numbers, before the tick.
func TestXmaxIsNoBorderBetweenOldAndNew(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	ticker := p.newTicker()
	const xmaxAsBorder = `
		SELECT e.event_id FROM event_log e, tick p, tick c WHERE p.id = $1 AND c.id = $2 AND pg_visible_in_snapshot(e.tx, c.snapshot)
		AND (e.tx >= pg_snapshot_xmax(p.snapshot) AND e.seq > p.seq_before OR e.tx IN (SELECT pg_snapshot_xip(p.snapshot)))`
	p.append(sale("a"))
	from := ticker.tick()
	var before, upto int64
	var tried []uuid.UUID
	eventually(t, "no other transaction ends while it is tried", func() bool {
		tx, tries := p.begin(), sale("b")
		must(t, tx.Append(t.Context(), []event.Any{tries}))
		tried = append(tried, tries.ID)
		before = ticker.tick()
		beyond := false
		must(t, store.RawTx(tx).QueryRow(`SELECT pg_snapshot_xmax(snapshot) <= pg_current_xact_id() FROM tick WHERE id = $1`, before).Scan(&beyond))
		must(t, tx.Commit())
		upto = ticker.tick() // due although the sequence has not moved
		return beyond
	})
	if ids := p.read(xmaxAsBorder, before, upto); len(ids) != 0 {
		t.Errorf("with xmax as the border %v were read: the interleaving proves nothing", ids)
	}
	var ids []uuid.UUID
	for id := from; id < upto; id++ {
		ids = append(ids, p.interval(id, id+1)...)
	}
	if !slices.Equal(ids, tried) {
		t.Errorf("the tick reader read %v of %v", ids, tried)
	}
}

// A transaction may begin after the tick has its id and end before its snapshot.
func TestWhatTheTickHasSeenIsNotReadAfterIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	seqBefore := p.sequence()
	tick := p.beginTick()
	p.append(sale("a"))
	tick.end(1, seqBefore)
	p.append(sale("b"))
	upto := p.newTicker().tick()
	const unseenOrNot = `
		SELECT e.event_id FROM event_log e, tick p, tick c WHERE p.id = $1 AND c.id = $2
		AND e.tx > p.tx AND e.seq > p.seq_before AND pg_visible_in_snapshot(e.tx, c.snapshot)`
	if n := len(p.interval(0, 1)) + len(p.read(unseenOrNot, 1, upto)); n != 3 {
		t.Errorf("2 events were read %d times: the interleaving proves nothing", n)
	}
	if n := len(p.interval(0, 1)) + len(p.interval(1, upto)); n != 2 {
		t.Errorf("2 events were read %d times", n)
	}
}

// A transaction must have its id before it draws a number, or the snapshot of a
// tick between the two does not know it, and its number is below seq_before.
func TestANumberDrawnBeforeTheTransactionHasItsIDIsLost(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	ticker, reader := p.newTicker(), p.newReader("relay")
	// The first to draw logs 32 numbers, and gets its id by that; so does the first after a checkpoint, which may come between.
	tx, drawn := p.begin(), int64(0)
	for hasID := true; hasID; {
		must(t, tx.Rollback())
		p.exec(`SELECT nextval('event_log_seq')`)
		tx = p.begin()
		must(t, store.RawTx(tx).QueryRow(`SELECT nextval('event_log_seq')`).Scan(&drawn))
		must(t, store.RawTx(tx).QueryRow(`SELECT pg_current_xact_id_if_assigned() IS NOT NULL`).Scan(&hasID))
	}
	ticker.tick()
	reader.readAll(10) // stands at that tick now
	_, err := store.RawTx(tx).Exec(`
		INSERT INTO event_log (seq, epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
		VALUES ($1, 1, true, now(), gen_random_uuid(), '', '', '', '', '', '')`, drawn)
	must(t, err)
	must(t, tx.Commit())
	p.append(sale("b"))
	ticker.tick()
	if n := len(reader.readAll(10)); n != 1 {
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
	p := newPlace(t, 2)
	p.exec(drawnWithID)
	guarded := openAt(t, withParameter(p.url, "search_path", "guard,pg_catalog,public"))
	must(t, guarded.InTx(t.Context(), func(tx store.Tx) error {
		if _, err := store.RawTx(tx).Exec(`SAVEPOINT s`); err != nil {
			return err
		}
		return tx.Append(t.Context(), anySales(3))
	}))
	verdicts, err := guarded.Admit(t.Context(), anySales(3), true)
	must(t, err)
	if !slices.Equal(verdicts, make([]store.Admission, 3)) {
		t.Errorf("verdicts are %v", verdicts)
	}
	// The guard itself works.
	if _, err := store.Pool(guarded).Exec(`SELECT nextval('event_log_seq')`); err == nil {
		t.Error("the guard lets a number be drawn without an id")
	}
}

// A second ticker that does not hold the lease's row may write an older snapshot under a higher id.
func TestATickOutOfOrderDoublesEvents(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	ticker := p.newTicker()
	late := p.beginTick()
	tx := p.begin()
	must(t, tx.Append(t.Context(), anySales(1)))
	old := value[string](t, p.SQL(), `SELECT pg_current_snapshot()::text`)
	must(t, tx.Commit())
	first := ticker.tick()
	must2(store.RawTx(late.tx).Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) VALUES ($1, 1, $2::pg_snapshot, 0, 1)`, first+1, old))(t)
	must(t, late.tx.Commit())
	p.append(sale("b"))
	must2(ticker.Step(t.Context(), ticker.lease))(t)
	if n := len(p.interval(0, first)) + len(p.interval(first, first+1)) + len(p.interval(first+1, first+2)); n != 3 {
		t.Errorf("2 events were read %d times: the interleaving proves nothing", n)
	}
}

// Two tickers that both believe they lead collide on the id, even without the lease's row.
func TestTwoTicksAtOnceCollide(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	p.append(sale("a"))
	one, two := p.begin(), p.begin()
	_, err := store.RawTx(one).Exec(store.MakeTick, 0)
	must(t, err)
	second := make(chan error, 1)
	go func() {
		_, err := store.RawTx(two).Exec(store.MakeTick, 0)
		second <- err
	}()
	p.waitsForLock(1)
	must(t, one.Commit())
	if err := <-second; err == nil {
		t.Error("two ticks were made at once")
	}
}
