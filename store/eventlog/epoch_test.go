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

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
)

// restore makes the tables look like a dump of them in another server, whose transaction ids are lower by ahead. Below
// zero the other server's are higher; that needs useIDs first. A snapshot also names open transactions of tests beside
// this one, which may be older than useIDs: an id that would fall below the first, 3, is left out.
func restore(p *storetest.Env, ahead int64) {
	p.Helper()
	tx, err := p.SQL().Begin()
	storetest.Must(p, err)
	defer tx.Rollback()
	for _, q := range []string{
		`UPDATE event_log SET tx = (tx::text::bigint + $1)::text::xid8`,
		`UPDATE tick SET tx = greatest(3, tx::text::bigint + $1)::text::xid8,
			snapshot = concat_ws(':', greatest(3, pg_snapshot_xmin(snapshot)::text::bigint + $1), greatest(3, pg_snapshot_xmax(snapshot)::text::bigint + $1),
				(SELECT coalesce(string_agg((x::text::bigint + $1)::text, ',' ORDER BY x::text::bigint), '') FROM pg_snapshot_xip(snapshot) x
				 WHERE x::text::bigint + $1 >= 3))::pg_snapshot
		 WHERE tx::text <> '9223372036854775807'`,
		`UPDATE epoch SET system_identifier = system_identifier + 1 WHERE $1 <> 0`,
	} {
		_, err := tx.Exec(q, ahead)
		storetest.Must(p, err)
	}
	storetest.Must(p, tx.Commit())
}

// idsToUse is more than all restores of a test go back by.
const idsToUse = 100_000

var used sync.Once

// useIDs uses up as many transaction ids as a test may go back by: a new server has few.
func useIDs(p *storetest.Env) {
	p.Helper()
	used.Do(func() {
		p.Exec(`DO $$ BEGIN FOR i IN 1..` + fmt.Sprint(idsToUse) + ` LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)
	})
}

// releaseLeases ends every lease, as a stopped fleet does.
func releaseLeases(p *storetest.Env) {
	p.Helper()
	p.Exec(`UPDATE lease SET expires_at = '-infinity'`)
}

var ann = operatorlog.By{Operator: "ann", Reason: "restored"}

// An epoch begins with its entry in the operator log, or not at all.
func TestAnEpochThatTheOperatorLogDoesNotTakeDoesNotBegin(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(`ALTER TABLE operator_log ADD CONSTRAINT refused CHECK (action <> 'epoch begin')`)
	if begun, err := eventlog.BeginEpoch(t.Context(), p.DB, ann, true); begun || err == nil {
		t.Errorf("an epoch began, %v: %v", begun, err)
	}
	if epochs := storetest.MustGet(eventlog.Epochs(t.Context(), p.DB))(t); len(epochs) != 1 {
		t.Errorf("there are %d epochs", len(epochs))
	}
	p.Exec(`ALTER TABLE operator_log DROP CONSTRAINT refused`)
	storetest.MustGet(eventlog.BeginEpoch(t.Context(), p.DB, ann, true))(t)
	entries := storetest.MustGet(operatorlog.List(t.Context(), p.DB, operatorlog.Query{}))(t)
	if len(entries) != 1 || entries[0].Subject != "2" || entries[0].Operator != "ann" || entries[0].Reason != "restored" {
		t.Errorf("the operator log has %+v", entries)
	}
}

// What reads a restored database is planned with statistics from the first statement on.
func TestANewEpochHasStatistics(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Append(storetest.Sale("S1"))
	if begun := storetest.MustGet(eventlog.BeginEpoch(t.Context(), p.DB, ann, true))(t); !begun {
		t.Fatal("no epoch was begun")
	}
	if known := storetest.One[int](p, p.SQL(), `SELECT count(*) FROM pg_stats WHERE tablename LIKE 'event_log%' AND attname = 'seq'`); known == 0 {
		t.Error("the log has no statistics after a new epoch has begun")
	}
}

// beginEpoch begins a new epoch, which must be due.
func beginEpoch(p *storetest.Env) {
	p.Helper()
	releaseLeases(p)
	begun, err := eventlog.BeginEpoch(context.Background(), p.DB, ann, false)
	storetest.Must(p, err)
	if !begun {
		p.Fatal("no new epoch was begun")
	}
	storetest.Must(p, eventlog.CheckEpoch(context.Background(), p.DB))
}

// reopen is a reader's cursor after a restart.
func reopen(r *storetest.Reader) {
	r.Helper()
	releaseLeases(r.Env)
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
			useIDs(p)
			ticker, reader := p.NewTicker(), p.NewReader("relay")
			late, lost := p.OpenTx(), p.OpenTx()
			committedLate := storetest.Sale("late")
			storetest.Must(t, eventlog.Append(t.Context(), late, []event.Any{committedLate}))
			storetest.Must(t, eventlog.Append(t.Context(), lost, storetest.Sales(1))) // open when the dump is made
			first := storetest.Sales(5)
			storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, first, true))(t)
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
			storetest.IsError(t, errorOf(eventlog.ReadState(t.Context(), p.DB, "")), eventlog.ErrRestored)
			beginEpoch(p)
			reopen(reader)
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

// errorOf is the error of a call that also returns a value.
func errorOf[T any](_ T, err error) error { return err }

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
	begun, err := eventlog.BeginEpoch(t.Context(), p.DB, ann, false)
	storetest.Must(t, err)
	restore(p, 10)
	beginEpoch(p)
	reopen, err := eventlog.BeginEpoch(t.Context(), p.DB, ann, false)
	storetest.Must(t, err)
	epochs, err := eventlog.Epochs(t.Context(), p.DB)
	storetest.Must(t, err)
	if begun || reopen || len(epochs) != 2 || epochs[0].Fits || !epochs[1].Fits || epochs[1].Epoch != 2 {
		t.Errorf("begun %t and %t: %+v", begun, reopen, epochs)
	}
	// By force it is, also where nothing was restored.
	forced, err := eventlog.BeginEpoch(t.Context(), p.DB, ann, true)
	storetest.Must(t, err)
	if n := storetest.One[int](t, p.SQL(), `SELECT max(epoch) FROM epoch`); !forced || n != 3 {
		t.Errorf("forced %t to epoch %d", forced, n)
	}
}

// Of several concurrent commands one begins the epoch.
func TestAnEpochIsBegunOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	restore(p, 10)
	var begun atomic.Int32
	var run []func(context.Context) error
	for range 4 {
		run = append(run, func(ctx context.Context) error {
			did, err := eventlog.BeginEpoch(ctx, p.DB, ann, false)
			if did {
				begun.Add(1)
			}
			return err
		})
	}
	storetest.Concurrently(t, run...)
	if n := storetest.One[int](t, p.SQL(), `SELECT max(epoch) FROM epoch`); n != 2 || begun.Load() != 1 {
		t.Errorf("%d report that they have begun it, and the epoch is %d", begun.Load(), n)
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
		store.Lead(ctx, p.DB, "relay", "leader#7", func(ctx context.Context, _ store.Lease) error {
			close(leading)
			<-ctx.Done()
			return nil
		}, func(error) {})
	}()
	<-leading
	_, err := eventlog.BeginEpoch(t.Context(), p.DB, ann, false)
	storetest.IsError(t, err, eventlog.ErrFleetRunning)
	stop()
	<-ended
	// A killed leader's lease is neither released nor renewed.
	p.Exec(`INSERT INTO lease VALUES ('ticker', 3, 'killed#8', clock_timestamp() + interval '1 hour')`)
	began := time.Now()
	storetest.MustGet(eventlog.BeginEpoch(t.Context(), p.DB, ann, false))(t)
	if took := time.Since(began); took > localtest.Deadline(store.LeaseTTL+2*time.Second) {
		t.Errorf("it took %v", took)
	}
	// The new leader's term is one that no sleeping leader can hold.
	lease, err := store.AcquireLease(t.Context(), p.DB, "ticker", "new")
	storetest.Must(t, err)
	if lease.Term < 1_000_000_000 {
		t.Errorf("the next term is %d", lease.Term)
	}
}

// An append that waits while the epoch begins enters the new one, also with a transaction id from before.
func TestAnAppendWhileAnEpochBeginsIsReadInIt(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	reader := p.NewReader("relay")
	restore(p, 1_000_000)
	early := p.OpenTx()
	storetest.MustGet(pg.RawTx(early).Exec(`SELECT pg_current_xact_id()`))(t)
	writing := p.OpenTx()
	written := storetest.Sale("before")
	storetest.Must(t, eventlog.Append(t.Context(), writing, []event.Any{written}))
	releaseLeases(p)
	begun := make(chan error, 1)
	go func() { begun <- errorOf(eventlog.BeginEpoch(context.Background(), p.DB, ann, false)) }()
	p.AwaitLockWaiters(1) // the command, for the writer
	late := storetest.Sale("after")
	appended := make(chan error, 1)
	go func() { appended <- eventlog.Append(context.Background(), early, []event.Any{late}) }()
	p.AwaitLockWaiters(2) // and the other writer, for the command
	storetest.Must(t, writing.Commit())
	storetest.Must(t, <-begun)
	storetest.Must(t, <-appended)
	ticker := p.NewTicker()
	ticker.Tick()
	storetest.Must(t, early.Commit())
	ticker.Tick()
	if n := storetest.One[int](t, p.SQL(), `SELECT epoch FROM event_log WHERE event_id = $1`, late.ID); n != 2 {
		t.Errorf("it stands in epoch %d", n)
	}
	reopen(reader)
	if got := reader.ReadAll(10); !slices.Equal(got, []uuid.UUID{written.ID, late.ID}) {
		t.Errorf("read %v, want %v", got, []uuid.UUID{written.ID, late.ID})
	}
}

// A process may sleep through the restore, with a term and a cursor from before.
func TestALeaderThatSleptThroughARestoreIsFenced(t *testing.T) {
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
	// Before the new epoch: its cursor's position does not exist, and no tick is made.
	storetest.IsError(t, eventlog.MoveCursor(t.Context(), sleeper.Env.DB, dumped, lost), store.ErrNotLeader)
	_, err := slept.Step(t.Context(), slept.Lease)
	storetest.IsError(t, err, eventlog.ErrRestored)
	beginEpoch(p)
	p.Append(storetest.Sale("c"))
	// After it: neither its own term works, nor those that may have been reached before the restore.
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

// If only the tables are restored, the sequence would draw numbers again.
func TestANewEpochLiftsTheSequence(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker := p.NewTicker()
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, storetest.Sales(7), true))(t)
	ticker.Tick()
	p.Exec(`SELECT setval('event_log_seq', 1, false)`)
	restore(p, 50)
	beginEpoch(p)
	p.Append(storetest.Sale("a"))
	if n := storetest.One[int64](t, p.SQL(), `SELECT max(seq) FROM event_log`); n != 8 {
		t.Errorf("the next place was %d, want 8", n)
	}
}

// Thinning leaves the borders, so that a replay from long ago crosses them.
func TestAReplayFromTheBeginningCrossesEpochs(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	useIDs(p)
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
		releaseLeases(p)
		if epoch < 2 {
			restore(p, []int64{700, -3000}[epoch])
			beginEpoch(p)
		}
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM tick`); n != 6 { // 0, two borders of two, the newest
		t.Errorf("%d ticks are left", n)
	}
	if got := p.NewReader("replay").ReadAll(2); !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

// What is pending since a tick, and what was appended since a snapshot, is told apart from old events with higher ids.
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
	p.Append(storetest.Sale("before the subscription"))
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
	beginEpoch(p)
	reopen(reader)
	state, err := eventlog.ReadState(t.Context(), p.DB, "")
	storetest.Must(t, err)
	if moved, wrong := audited(state); moved != 0 || wrong["published"] != 0 || wrong["handled"] != 1 {
		t.Errorf("%d moved, %v", moved, wrong)
	}
	ticker = p.NewTicker()
	appended := storetest.Sale("b")
	p.Append(appended)
	if moved, wrong := audited(state); moved != 1 || wrong["published"] != 1 || wrong["handled"] != 2 {
		t.Errorf("after one event more: %d moved, %v", moved, wrong)
	}
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error {
		return errorOf(inbox.Claim(t.Context(), tx, worker, []uuid.UUID{old.ID, appended.ID}))
	}))
	// A new subscription has no pending deliveries from before.
	ticker.Tick()
	storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "newcomer", []string{"SALE_COMPLETED"}))(t)
	reader.ReadAll(10)
	if moved, wrong := audited(state); moved != 1 || wrong["published"] != 0 || wrong["handled"] != 0 {
		t.Errorf("when all is read and handled: %d moved, %v", moved, wrong)
	}
}
