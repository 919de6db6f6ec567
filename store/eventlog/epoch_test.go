package eventlog_test

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

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// restore makes of the tables what a dump of them would be in another server,
// whose transaction ids are lower by ahead: all ids in them stay where they are,
// seen from there. Below zero the other server's are higher; that needs spendIDs first.
func restore(p *storetest.Env, ahead int64) {
	p.Helper()
	tx, err := p.SQL().Begin()
	storetest.Must(p, err)
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
		storetest.Must(p, err)
	}
	storetest.Must(p, tx.Commit())
}

// idsToSpend are more than all restores of a test go back by.
const idsToSpend = 100_000

var spent sync.Once

// spendIDs has the server give away as many transaction ids as a test may go back by: one that has just been made has few.
func spendIDs(p *storetest.Env) {
	p.Helper()
	spent.Do(func() {
		p.Exec(`DO $$ BEGIN FOR i IN 1..` + fmt.Sprint(idsToSpend) + ` LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)
	})
}

// nobodyLeads lets go of every lease, as a fleet that was stopped has done.
func nobodyLeads(p *storetest.Env) {
	p.Helper()
	p.Exec(`UPDATE lease SET expires_at = '-infinity'`)
}

// turn begins a new epoch, which must be due.
func turn(p *storetest.Env) {
	p.Helper()
	nobodyLeads(p)
	begun, err := eventlog.BeginEpoch(context.Background(), p.DB, false)
	storetest.Must(p, err)
	if !begun {
		p.Fatal("no new epoch was begun")
	}
	storetest.Must(p, eventlog.CheckEpoch(context.Background(), p.DB))
}

// again is a reader's place after a restart.
func again(r *storetest.Reader) {
	r.Helper()
	nobodyLeads(r.Env)
	*r = *r.NewReader(r.Lease.Name)
}

func TestWhatWasNotReadBeforeARestoreIsReadOnceAfterIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ahead int64 // of the old server's ids
	}{{"lower ids", 1_000_000}, {"ids that catch up", 12}, {"higher ids", -5000}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := storetest.NewEnv(t, 6)
			spendIDs(p)
			ticker, reader := p.NewTicker(), p.NewReader("relay")
			late, lost := p.OpenTx(), p.OpenTx()
			committedLate := storetest.Sale("late")
			storetest.Must(t, eventlog.Append(t.Context(), late, []event.Any{committedLate}))
			storetest.Must(t, eventlog.Append(t.Context(), lost, storetest.AnySales(1))) // open when the dump is made
			first := storetest.AnySales(5)
			storetest.Must2(eventlog.AdmitOnce(t.Context(), p.DB, first, true))(t)
			ticker.Tick()
			// In the middle of an interval, past its second event.
			page, err := eventlog.ReadPage(t.Context(), reader.Env.DB, reader.At, 2)
			storetest.Must(t, err)
			storetest.Must(t, eventlog.MoveCursor(t.Context(), reader.Env.DB, reader.At, page.Next))
			storetest.Must(t, late.Commit())
			ticker.Tick()
			unticked := storetest.Sale("unticked")
			p.Append(unticked)
			storetest.Must(t, lost.Rollback())

			restore(p, c.ahead)
			stray := storetest.Sale("stray")
			p.Append(stray)
			storetest.IsError(t, must3(eventlog.ReadState(t.Context(), p.DB, "")), eventlog.ErrRestored)
			turn(p)
			again(reader)
			want := append(storetest.IDs(first[2:]), committedLate.ID, unticked.ID, stray.ID)
			if n := unpublished(t, p); n != int64(len(want)) {
				t.Errorf("%d events are to be published, want %d", n, len(want))
			}
			ticker = p.NewTicker()
			var after []uuid.UUID
			for range 20 { // ids go on, and past those of the old server's last events
				e := storetest.Sale("after")
				p.Append(e)
				after = append(after, e.ID)
				ticker.Tick()
			}
			if got := reader.ReadAll(3); !slices.Equal(got, append(want, after...)) {
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

func unpublished(t testing.TB, p *storetest.Env) int64 {
	t.Helper()
	state, err := eventlog.ReadState(context.Background(), p.DB, "")
	storetest.Must(t, err)
	return state.Unpublished
}

// An epoch is begun once, however often the command is run.
func TestAnEpochThatFitsIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	begun, err := eventlog.BeginEpoch(t.Context(), p.DB, false)
	storetest.Must(t, err)
	restore(p, 10)
	turn(p)
	again, err := eventlog.BeginEpoch(t.Context(), p.DB, false)
	storetest.Must(t, err)
	epochs, err := eventlog.Epochs(t.Context(), p.DB)
	storetest.Must(t, err)
	if begun || again || len(epochs) != 2 || epochs[0].Fits || !epochs[1].Fits || epochs[1].Epoch != 2 {
		t.Errorf("begun %t and %t: %+v", begun, again, epochs)
	}
	// By force it is, also where nothing was restored.
	forced, err := eventlog.BeginEpoch(t.Context(), p.DB, true)
	storetest.Must(t, err)
	if n := storetest.One[int](t, p.SQL(), `SELECT max(epoch) FROM epoch`); !forced || n != 3 {
		t.Errorf("forced %t to epoch %d", forced, n)
	}
}

// Of several who run the command at once one begins the epoch.
func TestAnEpochIsBegunOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	restore(p, 10)
	var begun atomic.Int32
	var run []func(context.Context) error
	for range 4 {
		run = append(run, func(ctx context.Context) error {
			did, err := eventlog.BeginEpoch(ctx, p.DB, false)
			if did {
				begun.Add(1)
			}
			return err
		})
	}
	storetest.Concurrently(t, run...)
	if n := storetest.One[int](t, p.SQL(), `SELECT max(epoch) FROM epoch`); n != 2 || begun.Load() != 1 {
		t.Errorf("%d say that they have begun it, and the epoch is %d", begun.Load(), n)
	}
}

func TestNoEpochBeginsUnderALivingLeader(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	restore(p, 10)
	ctx, stop := context.WithCancel(t.Context())
	leading, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		store.Lead(ctx, p.DB, "relay", "somebody#7", func(ctx context.Context, _ store.Lease) error {
			close(leading)
			<-ctx.Done()
			return nil
		}, func(error) {})
	}()
	<-leading
	_, err := eventlog.BeginEpoch(t.Context(), p.DB, false)
	storetest.IsError(t, err, eventlog.ErrFleetRunning)
	stop()
	<-ended
	// One that was killed has let go of nothing, and nobody renews it.
	p.Exec(`INSERT INTO lease VALUES ('ticker', 3, 'killed#8', clock_timestamp() + interval '1 hour')`)
	began := time.Now()
	storetest.Must2(eventlog.BeginEpoch(t.Context(), p.DB, false))(t)
	if took := time.Since(began); took > store.LeaseTTL+2*time.Second {
		t.Errorf("it took %v", took)
	}
	// Who leads now has a term that no sleeper of the old life can have come to.
	lease, err := store.AcquireLease(t.Context(), p.DB, "ticker", "new")
	storetest.Must(t, err)
	if lease.Term < 1_000_000_000 {
		t.Errorf("the next term is %d", lease.Term)
	}
}

// Whoever is about to append while the epoch turns waits, and appends to the new
// one; also with an id from before.
func TestWhoAppendsWhileAnEpochBeginsIsReadInIt(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	reader := p.NewReader("relay")
	restore(p, 1_000_000)
	early := p.OpenTx()
	storetest.Must2(pg.RawTx(early).Exec(`SELECT pg_current_xact_id()`))(t)
	writing := p.OpenTx()
	written := storetest.Sale("before")
	storetest.Must(t, eventlog.Append(t.Context(), writing, []event.Any{written}))
	nobodyLeads(p)
	turned := make(chan error, 1)
	go func() { turned <- must3(eventlog.BeginEpoch(context.Background(), p.DB, false)) }()
	p.AwaitLockWaiters(1) // the command, for the writer
	said := storetest.Sale("after")
	appended := make(chan error, 1)
	go func() { appended <- eventlog.Append(context.Background(), early, []event.Any{said}) }()
	p.AwaitLockWaiters(2) // and the other writer, for the command
	storetest.Must(t, writing.Commit())
	storetest.Must(t, <-turned)
	storetest.Must(t, <-appended)
	ticker := p.NewTicker()
	ticker.Tick()
	storetest.Must(t, early.Commit())
	ticker.Tick()
	if n := storetest.One[int](t, p.SQL(), `SELECT epoch FROM event_log WHERE event_id = $1`, said.ID); n != 2 {
		t.Errorf("it stands in epoch %d", n)
	}
	again(reader)
	if got := reader.ReadAll(10); !slices.Equal(got, []uuid.UUID{written.ID, said.ID}) {
		t.Errorf("read %v, want %v", got, []uuid.UUID{written.ID, said.ID})
	}
}

// A process may sleep through the restore, with a term and places of the lost life in its hand.
func TestWhoSleptThroughARestoreIsFenced(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	slept, sleeper := p.NewTicker(), p.NewReader("relay")
	p.Append(storetest.Sale("a"))
	slept.Tick()
	sleeper.ReadAll(10)
	dumped := sleeper.At
	lost := eventlog.Cursor{Consumer: dumped.Consumer, Term: dumped.Term, Tick: dumped.Tick + 40, Upto: dumped.Tick + 40}
	restore(p, 1_000_000)
	p.Append(storetest.Sale("b"))
	// Before the new epoch: what it has passed in the lost life is no place here, and no tick is made.
	storetest.IsError(t, eventlog.MoveCursor(t.Context(), sleeper.Env.DB, dumped, lost), store.ErrNotLeader)
	_, err := slept.Step(t.Context(), slept.Lease)
	storetest.IsError(t, err, eventlog.ErrRestored)
	turn(p)
	p.Append(storetest.Sale("c"))
	// After it: neither with its own term, nor with those that the lost life may have come to.
	for _, term := range []int64{slept.Lease.Term, slept.Lease.Term + 1, slept.Lease.Term + 50} {
		lease := slept.Lease
		lease.Term = term
		_, err := slept.Step(t.Context(), lease)
		storetest.IsError(t, err, store.ErrNotLeader)
		lease = sleeper.Lease
		lease.Term = term
		if _, err := eventlog.OpenCursor(t.Context(), p.DB, lease); !errors.Is(err, store.ErrNotLeader) {
			t.Errorf("with term %d the cursor opens: %v", term, err)
		}
	}
	storetest.IsError(t, eventlog.MoveCursor(t.Context(), sleeper.Env.DB, dumped, eventlog.Cursor{Tick: dumped.Tick + 1, Upto: dumped.Tick + 1}), store.ErrNotLeader)
}

// Whoever restores the tables alone would have numbers drawn again.
func TestANewEpochLiftsTheSequence(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker := p.NewTicker()
	storetest.Must2(eventlog.AdmitOnce(t.Context(), p.DB, storetest.AnySales(7), true))(t)
	ticker.Tick()
	p.Exec(`SELECT setval('event_log_seq', 1, false)`)
	restore(p, 50)
	turn(p)
	p.Append(storetest.Sale("a"))
	if n := storetest.One[int64](t, p.SQL(), `SELECT max(seq) FROM event_log`); n != 8 {
		t.Errorf("the next place was %d, want 8", n)
	}
}

// Thinning leaves the borders, so that a replay from long ago crosses them.
func TestAReplayFromTheBeginningCrossesEpochs(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	spendIDs(p)
	var want []uuid.UUID
	for epoch := range 3 {
		ticker := p.NewTicker()
		for range 4 {
			e := storetest.Sale("a")
			p.Append(e)
			want = append(want, e.ID)
			ticker.Tick()
		}
		p.Exec(`INSERT INTO log_cursor (consumer, tick, upto, seq, term) SELECT 'fast', max(id), max(id), 0, 1 FROM tick
			ON CONFLICT (consumer) DO UPDATE SET tick = excluded.tick, upto = excluded.upto`)
		storetest.Must(t, eventlog.ThinTicks(t.Context(), p.DB))
		nobodyLeads(p)
		if epoch < 2 {
			restore(p, []int64{700, -3000}[epoch])
			turn(p)
		}
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM tick`); n != 6 { // 0, two borders of two, the newest
		t.Errorf("%d ticks are left", n)
	}
	if got := p.NewReader("replay").ReadAll(2); !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

// What is owed since a tick, and what has been said since a point, is told
// apart from old events with ids that are higher.
func TestTheAuditCountsWithinEpochs(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	audited := func(since eventlog.State) (moved int64, wrong map[string]int64) {
		proof, err := audit.Run(t.Context(), p.DB, audit.Scope{Forget: true}, nil)
		storetest.Must(t, err)
		wrong = map[string]int64{}
		for _, c := range proof.Checks {
			wrong[c.Name] = c.Wrong
		}
		now, err := eventlog.ReadState(t.Context(), p.DB, since.Position)
		storetest.Must(t, err)
		return now.Moved, wrong
	}
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	p.Append(storetest.Sale("before anybody heard"))
	ticker.Tick()
	worker := p.Consumer("worker")
	old := storetest.Sale("a")
	p.Append(old)
	ticker.Tick()
	reader.ReadAll(10)
	restore(p, 1_000_000)
	if _, err := audit.Run(t.Context(), p.DB, audit.Scope{}, nil); !errors.Is(err, eventlog.ErrRestored) {
		t.Errorf("without a new epoch it says %v", err)
	}
	turn(p)
	again(reader)
	state, err := eventlog.ReadState(t.Context(), p.DB, "")
	storetest.Must(t, err)
	if moved, wrong := audited(state); moved != 0 || wrong["published"] != 0 || wrong["handled"] != 1 {
		t.Errorf("%d moved, %v", moved, wrong)
	}
	ticker = p.NewTicker()
	said := storetest.Sale("b")
	p.Append(said)
	if moved, wrong := audited(state); moved != 1 || wrong["published"] != 1 || wrong["handled"] != 2 {
		t.Errorf("after one event more: %d moved, %v", moved, wrong)
	}
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error {
		return must3(inbox.Claim(t.Context(), tx, worker, []uuid.UUID{old.ID, said.ID}))
	}))
	// Whoever hears from now on owes nothing of before.
	ticker.Tick()
	storetest.Must2(inbox.Subscribe(t.Context(), p.DB, "newcomer", []string{"SALE_COMPLETED"}))(t)
	reader.ReadAll(10)
	if moved, wrong := audited(state); moved != 1 || wrong["published"] != 0 || wrong["handled"] != 0 {
		t.Errorf("when all is read and handled: %d moved, %v", moved, wrong)
	}
}
