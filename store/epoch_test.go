package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

// restore makes of the tables what a dump of them would be in another server,
// whose transaction ids are lower by ahead: all ids in them stay where they are,
// seen from there. Below zero the other server's are higher; that needs spendIDs first.
func (p *place) restore(ahead int64) {
	p.Helper()
	tx, err := p.SQL().Begin()
	must(p, err)
	defer tx.Rollback()
	for _, q := range []string{
		`UPDATE event_log SET tx = (tx::text::bigint + $1)::text::xid8`,
		`UPDATE tick SET tx = greatest(3, tx::text::bigint + $1)::text::xid8,
			snapshot = concat_ws(':', greatest(3, pg_snapshot_xmin(snapshot)::text::bigint + $1), greatest(3, pg_snapshot_xmax(snapshot)::text::bigint + $1),
				(SELECT coalesce(string_agg((x::text::bigint + $1)::text, ',' ORDER BY x::text::bigint), '') FROM pg_snapshot_xip(snapshot) x))::pg_snapshot
		 WHERE tx::text <> '9223372036854775807'`,
		`UPDATE epoch SET system_identifier = system_identifier + 1 WHERE $1 <> 0`,
	} {
		_, err := tx.Exec(q, ahead)
		must(p, err)
	}
	must(p, tx.Commit())
}

// idsToSpend are more than all restores of a test go back by.
const idsToSpend = 100_000

var spent sync.Once

// spendIDs has the server give away as many transaction ids as a test may go back by: one that has just been made has few.
func spendIDs(p *place) {
	p.Helper()
	spent.Do(func() {
		p.exec(`DO $$ BEGIN FOR i IN 1..` + fmt.Sprint(idsToSpend) + ` LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)
	})
}

// nobodyLeads lets go of every lease, as a fleet that was stopped has done.
func (p *place) nobodyLeads() {
	p.Helper()
	p.exec(`UPDATE lease SET expires_at = '-infinity'`)
}

// turn begins a new epoch, which must be due.
func (p *place) turn() {
	p.Helper()
	p.nobodyLeads()
	begun, err := p.BeginEpoch(context.Background(), false)
	must(p, err)
	if !begun {
		p.Fatal("no new epoch was begun")
	}
	must(p, p.CheckEpoch(context.Background()))
}

// again is a reader's place after a restart.
func (r *reader) again() {
	r.Helper()
	r.nobodyLeads()
	*r = *r.newReader(r.lease.Name)
}

func TestWhatWasNotReadBeforeARestoreIsReadOnceAfterIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ahead int64 // of the old server's ids
	}{{"lower ids", 1_000_000}, {"ids that catch up", 12}, {"higher ids", -5000}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, 6)
			spendIDs(p)
			ticker, reader := p.newTicker(), p.newReader("relay")
			late, lost := p.begin(), p.begin()
			committedLate := sale("late")
			must(t, late.Append(t.Context(), []event.Any{committedLate}))
			must(t, lost.Append(t.Context(), anySales(1))) // open when the dump is made
			first := anySales(5)
			must2(p.Admit(t.Context(), first, true))(t)
			ticker.tick()
			// In the middle of an interval, past its second event.
			page, err := reader.ReadPage(t.Context(), reader.at, 2)
			must(t, err)
			must(t, reader.MoveCursor(t.Context(), reader.at, page.Next))
			must(t, late.Commit())
			ticker.tick()
			unticked := sale("unticked")
			p.append(unticked)
			must(t, lost.Rollback())

			p.restore(c.ahead)
			stray := sale("stray")
			p.append(stray)
			isError(t, must3(p.LogState(t.Context(), "")), store.ErrRestored)
			p.turn()
			reader.again()
			want := append(idsOf(first[2:]), committedLate.ID, unticked.ID, stray.ID)
			if n := unpublished(t, p); n != int64(len(want)) {
				t.Errorf("%d events are to be published, want %d", n, len(want))
			}
			ticker = p.newTicker()
			var after []uuid.UUID
			for range 20 { // ids go on, and past those of the old server's last events
				e := sale("after")
				p.append(e)
				after = append(after, e.ID)
				ticker.tick()
			}
			if got := reader.readAll(3); !slices.Equal(got, append(want, after...)) {
				t.Errorf("read\n%v, want\n%v", got, append(want, after...))
			}
			if n := unpublished(t, p); n != 0 {
				t.Errorf("%d events are to be published, want none", n)
			}
		})
	}
}

// must3 is the error of a call that gives a value too.
func must3[T any](_ T, err error) error { return err }

func unpublished(t testing.TB, p *place) int64 {
	t.Helper()
	state, err := p.LogState(context.Background(), "")
	must(t, err)
	return state.Unpublished
}

// An epoch is begun once, however often the command is run.
func TestAnEpochThatFitsIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	begun, err := p.BeginEpoch(t.Context(), false)
	must(t, err)
	p.restore(10)
	p.turn()
	again, err := p.BeginEpoch(t.Context(), false)
	must(t, err)
	epochs, err := p.Epochs(t.Context())
	must(t, err)
	if begun || again || len(epochs) != 2 || epochs[0].Fits || !epochs[1].Fits || epochs[1].Epoch != 2 {
		t.Errorf("begun %t and %t: %+v", begun, again, epochs)
	}
	// By force it is, also where nothing was restored.
	forced, err := p.BeginEpoch(t.Context(), true)
	must(t, err)
	if n := value[int](t, p.SQL(), `SELECT max(epoch) FROM epoch`); !forced || n != 3 {
		t.Errorf("forced %t to epoch %d", forced, n)
	}
}

// Of several who run the command at once one begins the epoch.
func TestAnEpochIsBegunOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 8)
	p.restore(10)
	var begun atomic.Int32
	var run []func(context.Context) error
	for range 4 {
		run = append(run, func(ctx context.Context) error {
			did, err := p.BeginEpoch(ctx, false)
			if did {
				begun.Add(1)
			}
			return err
		})
	}
	storetest.Concurrently(t, run...)
	if n := value[int](t, p.SQL(), `SELECT max(epoch) FROM epoch`); n != 2 || begun.Load() != 1 {
		t.Errorf("%d say that they have begun it, and the epoch is %d", begun.Load(), n)
	}
}

func TestNoEpochBeginsUnderALivingLeader(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	p.restore(10)
	ctx, stop := context.WithCancel(t.Context())
	leading, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.Lead(ctx, "relay", "somebody#7", func(ctx context.Context, _ store.Lease) error {
			close(leading)
			<-ctx.Done()
			return nil
		}, func(error) {})
	}()
	<-leading
	_, err := p.BeginEpoch(t.Context(), false)
	isError(t, err, store.ErrLed)
	stop()
	<-ended
	// One that was killed has let go of nothing, and nobody renews it.
	p.exec(`INSERT INTO lease VALUES ('ticker', 3, 'killed#8', clock_timestamp() + interval '1 hour')`)
	began := time.Now()
	must2(p.BeginEpoch(t.Context(), false))(t)
	if took := time.Since(began); took > store.LeaseTTL+localtest.Deadline(2*time.Second) {
		t.Errorf("it took %v", took)
	}
	// Who leads now has a term that no sleeper of the old life can have come to.
	lease, err := p.Acquire(t.Context(), "ticker", "new")
	must(t, err)
	if lease.Term < 1_000_000_000 {
		t.Errorf("the next term is %d", lease.Term)
	}
}

// Whoever is about to append while the epoch turns waits, and appends to the new
// one; also with an id from before.
func TestWhoAppendsWhileAnEpochBeginsIsReadInIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 8)
	reader := p.newReader("relay")
	p.restore(1_000_000)
	early := p.begin()
	must2(early.SQL().Exec(`SELECT pg_current_xact_id()`))(t)
	writing := p.begin()
	written := sale("before")
	must(t, writing.Append(t.Context(), []event.Any{written}))
	p.nobodyLeads()
	turned := make(chan error, 1)
	go func() { turned <- must3(p.BeginEpoch(context.Background(), false)) }()
	p.waitsForLock(1) // the command, for the writer
	said := sale("after")
	appended := make(chan error, 1)
	go func() { appended <- early.Append(context.Background(), []event.Any{said}) }()
	p.waitsForLock(2) // and the other writer, for the command
	must(t, writing.Commit())
	must(t, <-turned)
	must(t, <-appended)
	ticker := p.newTicker()
	ticker.tick()
	must(t, early.Commit())
	ticker.tick()
	if n := value[int](t, p.SQL(), `SELECT epoch FROM event_log WHERE event_id = $1`, said.ID); n != 2 {
		t.Errorf("it stands in epoch %d", n)
	}
	reader.again()
	if got := reader.readAll(10); !slices.Equal(got, []uuid.UUID{written.ID, said.ID}) {
		t.Errorf("read %v, want %v", got, []uuid.UUID{written.ID, said.ID})
	}
}

// A process may sleep through the restore, with a term and places of the lost life in its hand.
func TestWhoSleptThroughARestoreIsFenced(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	slept, sleeper := p.newTicker(), p.newReader("relay")
	p.append(sale("a"))
	slept.tick()
	sleeper.readAll(10)
	dumped := sleeper.at
	lost := store.Cursor{Consumer: dumped.Consumer, Term: dumped.Term, Tick: dumped.Tick + 40, Upto: dumped.Tick + 40}
	p.restore(1_000_000)
	p.append(sale("b"))
	// Before the new epoch: what it has passed in the lost life is no place here, and no tick is made.
	isError(t, sleeper.MoveCursor(t.Context(), dumped, lost), store.ErrNotLeader)
	_, err := slept.Step(t.Context(), slept.lease)
	isError(t, err, store.ErrRestored)
	p.turn()
	p.append(sale("c"))
	// After it: neither with its own term, nor with those that the lost life may have come to.
	for _, term := range []int64{slept.lease.Term, slept.lease.Term + 1, slept.lease.Term + 50} {
		lease := slept.lease
		lease.Term = term
		_, err := slept.Step(t.Context(), lease)
		isError(t, err, store.ErrNotLeader)
		lease = sleeper.lease
		lease.Term = term
		if _, err := p.OpenCursor(t.Context(), lease); !errors.Is(err, store.ErrNotLeader) {
			t.Errorf("with term %d the cursor opens: %v", term, err)
		}
	}
	isError(t, sleeper.MoveCursor(t.Context(), dumped, store.Cursor{Tick: dumped.Tick + 1, Upto: dumped.Tick + 1}), store.ErrNotLeader)
}

// Whoever restores the tables alone would have numbers drawn again.
func TestANewEpochLiftsTheSequence(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ticker := p.newTicker()
	must2(p.Admit(t.Context(), anySales(7), true))(t)
	ticker.tick()
	p.exec(`SELECT setval('event_log_seq', 1, false)`)
	p.restore(50)
	p.turn()
	p.append(sale("a"))
	if n := value[int64](t, p.SQL(), `SELECT max(seq) FROM event_log`); n != 8 {
		t.Errorf("the next place was %d, want 8", n)
	}
}

// Thinning leaves the borders, so that a replay from long ago crosses them.
func TestAReplayFromTheBeginningCrossesEpochs(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	spendIDs(p)
	var want []uuid.UUID
	for epoch := range 3 {
		ticker := p.newTicker()
		for range 4 {
			e := sale("a")
			p.append(e)
			want = append(want, e.ID)
			ticker.tick()
		}
		p.exec(`INSERT INTO log_cursor (consumer, tick, upto, seq, term) SELECT 'fast', max(id), max(id), 0, 1 FROM tick
			ON CONFLICT (consumer) DO UPDATE SET tick = excluded.tick, upto = excluded.upto`)
		must(t, p.ThinTicks(t.Context()))
		p.nobodyLeads()
		if epoch < 2 {
			p.restore([]int64{700, -3000}[epoch])
			p.turn()
		}
	}
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM tick`); n != 6 { // 0, two borders of two, the newest
		t.Errorf("%d ticks are left", n)
	}
	if got := p.newReader("replay").readAll(2); !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

// What is owed since a tick, and what has been said since a point, is told
// apart from old events with ids that are higher.
func TestTheAuditCountsWithinEpochs(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	audit := func(since store.LogState) (moved int64, wrong map[string]int64) {
		proof, err := p.Audit(t.Context(), store.AuditScope{Forget: true}, nil)
		must(t, err)
		wrong = map[string]int64{}
		for _, c := range proof.Checks {
			wrong[c.Name] = c.Wrong
		}
		now, err := p.LogState(t.Context(), since.Point)
		must(t, err)
		return now.Moved, wrong
	}
	ticker, reader := p.newTicker(), p.newReader("relay")
	p.append(sale("before anybody heard"))
	ticker.tick()
	worker := p.consumer("worker")
	old := sale("a")
	p.append(old)
	ticker.tick()
	reader.readAll(10)
	p.restore(1_000_000)
	if _, err := p.Audit(t.Context(), store.AuditScope{}, nil); !errors.Is(err, store.ErrRestored) {
		t.Errorf("without a new epoch it says %v", err)
	}
	p.turn()
	reader.again()
	state, err := p.LogState(t.Context(), "")
	must(t, err)
	if moved, wrong := audit(state); moved != 0 || wrong["published"] != 0 || wrong["handled"] != 1 {
		t.Errorf("%d moved, %v", moved, wrong)
	}
	ticker = p.newTicker()
	said := sale("b")
	p.append(said)
	if moved, wrong := audit(state); moved != 1 || wrong["published"] != 1 || wrong["handled"] != 2 {
		t.Errorf("after one event more: %d moved, %v", moved, wrong)
	}
	must(t, p.InTx(t.Context(), func(tx *store.Tx) error {
		return must3(tx.Claim(t.Context(), worker, []uuid.UUID{old.ID, said.ID}))
	}))
	// Whoever hears from now on owes nothing of before.
	ticker.tick()
	must2(p.Subscribe(t.Context(), "newcomer", []string{"SALE_COMPLETED"}))(t)
	reader.readAll(10)
	if moved, wrong := audit(state); moved != 1 || wrong["published"] != 0 || wrong["handled"] != 0 {
		t.Errorf("when all is read and handled: %d moved, %v", moved, wrong)
	}
}
