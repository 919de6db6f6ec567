package eventquery_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
)

// tailing follows the log and keeps what it was handed.
type tailing struct {
	mu      sync.Mutex
	seen    map[uuid.UUID]int
	order   []uuid.UUID
	changes []eventquery.Change
}

func (f *tailing) take(events []eventquery.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		f.seen[e.ID]++
		f.order = append(f.order, e.ID)
	}
	return nil
}

func (f *tailing) tell(n eventquery.Change, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, n)
}

func (f *tailing) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.order)
}

func (f *tailing) told() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.changes)
}

// follow follows from now on, until the test ends.
func follow(t *testing.T, db *store.DB, q eventquery.Query) *tailing {
	t.Helper()
	f := &tailing{seen: map[uuid.UUID]int{}}
	mark, _, err := eventquery.Tail(t.Context(), db, q, f.take)
	storetest.Must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- eventquery.Follow(ctx, db, q, mark, f.take, f.tell) }()
	t.Cleanup(func() {
		cancel()
		storetest.IsError(t, <-ended, context.Canceled)
	})
	return f
}

// ticking has a ticker of the test's own run.
func ticking(t *testing.T, p *storetest.Env) {
	t.Helper()
	lease := storetest.MustGet(store.AcquireLease(t.Context(), p.DB, "ticker", "test"))(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- eventlog.NewTicker(p.DB, slog.New(slog.DiscardHandler)).Run(ctx, lease) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// A tail skips no committed event under concurrent appends, shows none twice and none that was rolled back, and keeps
// the order of each aggregate, while transactions commit in another order than that of their places.
func TestATailSkipsNothingUnderConcurrentAppends(t *testing.T) {
	t.Parallel()
	const writers, rounds = 8, 60
	p := storetest.NewEnv(t, writers+6)
	p.Exec(`CREATE TABLE aggregate (id int PRIMARY KEY)`)
	p.Exec(`INSERT INTO aggregate SELECT generate_series(0, 4)`)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	held := p.OpenTx() // is open throughout, with the lowest place
	early := storetest.Sale("early")
	storetest.Must(t, eventlog.Append(t.Context(), held, []event.Any{early}))
	ticking(t, p)
	f := follow(t, storetest.Open(t, p.URL, 2), eventquery.Query{})
	var mu sync.Mutex
	committed := []event.Any{early}
	inOrder := map[string][]uuid.UUID{}
	var run []func(context.Context) error
	for w := range writers {
		run = append(run, func(ctx context.Context) error {
			rnd := rand.New(rand.NewPCG(seed, uint64(w)))
			for range rounds {
				tx, err := p.Begin(ctx)
				if err != nil {
					return err
				}
				first := []event.Any{storetest.Sale(fmt.Sprint("own-", w))}
				if err := eventlog.Append(ctx, tx, first); err != nil {
					return err
				}
				// Its place is drawn; it waits for the lock of an aggregate that another holds, and commits when it can.
				aggregate := rnd.IntN(5)
				if _, err := pg.RawTx(tx).ExecContext(ctx, `SELECT FROM aggregate WHERE id = $1 FOR UPDATE`, aggregate); err != nil {
					return err
				}
				more := []event.Any{storetest.Sale(fmt.Sprint("shared-", aggregate)), storetest.Sale(fmt.Sprint("shared-", aggregate))}
				if err := eventlog.Append(ctx, tx, more); err != nil {
					return err
				}
				if rnd.IntN(5) == 0 {
					if err := tx.Rollback(); err != nil {
						return err
					}
					continue
				}
				mu.Lock() // the lock of the aggregate is still held
				committed = append(committed, append(first, more...)...)
				for _, e := range more {
					inOrder[e.AggregateID] = append(inOrder[e.AggregateID], e.ID)
				}
				mu.Unlock()
				if err := tx.Commit(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, run...)
	storetest.Must(t, held.Commit())
	storetest.Eventually(t, "all committed events are shown", func() bool { return f.count() >= len(committed) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) != len(committed) {
		t.Errorf("%d events were shown, %d committed", len(f.order), len(committed))
	}
	for _, e := range committed {
		if f.seen[e.ID] != 1 {
			t.Errorf("%s was shown %d times", e.AggregateID, f.seen[e.ID])
		}
	}
	at := map[uuid.UUID]int{}
	for i, id := range f.order {
		at[id] = i
	}
	for aggregate, ids := range inOrder {
		for i := range ids[1:] {
			if at[ids[i]] > at[ids[i+1]] {
				t.Errorf("two events of %s were shown in the wrong order", aggregate)
			}
		}
	}
	if out := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM (SELECT tx < lag(tx) OVER (ORDER BY seq) AS late FROM event_log) x WHERE late`); out == 0 {
		t.Error("no place was drawn out of the order of transactions: the test has tried nothing")
	}
}

// A tail goes on where it was when the database comes back, whatever was committed and ticked meanwhile, and though the
// tick that it stood at is gone.
func TestATailSurvivesTheDatabase(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	wire, through := storetest.Proxied(t, p.URL)
	ticking(t, p)
	f := follow(t, storetest.Open(t, through, 2), eventquery.Query{Filter: eventquery.Filter{Tenant: "shop"}})
	p.Append(storetest.Sale("before"))
	storetest.Eventually(t, "the first is shown", func() bool { return f.count() == 1 })
	wire.Shut()
	storetest.Eventually(t, "it says that the database is away", func() bool { return f.told() == 1 })
	for range 5 {
		p.Append(storetest.Sale("meanwhile"))
	}
	ticks := storetest.One[int64](t, p.SQL(), `SELECT max(id) FROM tick`)
	storetest.Eventually(t, "a tick has seen them", func() bool {
		return storetest.One[bool](t, p.SQL(), `SELECT max(max_seq) = 6 FROM tick`) && storetest.One[int64](t, p.SQL(), `SELECT max(id) FROM tick`) >= ticks
	})
	p.Exec(`DELETE FROM tick WHERE id < (SELECT max(id) FROM tick)`)
	wire.Open()
	storetest.Eventually(t, "the others are shown", func() bool { return f.count() == 6 })
	for id, n := range f.seen {
		if n != 1 {
			t.Errorf("%s was shown %d times", id, n)
		}
	}
	if f.told() != 2 || f.changes[0] != eventquery.Away || f.changes[1] != eventquery.Back {
		t.Errorf("it told %v", f.changes)
	}
}

// The newest are shown in the order of the log, and only what a tick has seen.
func TestATailBeginsWithTheNewest(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker := p.NewTicker()
	var ids []uuid.UUID
	for i := range 30 {
		e := storetest.Sale(fmt.Sprint(i % 2))
		p.Append(e)
		ids = append(ids, e.ID)
	}
	ticker.Tick()
	p.Append(storetest.Sale("0")) // no tick has seen it
	f := &tailing{seen: map[uuid.UUID]int{}}
	mark, result, err := eventquery.Tail(t.Context(), p.DB, eventquery.Query{Limit: 3, Filter: eventquery.Filter{Aggregate: "0"}}, f.take)
	storetest.Must(t, err)
	if len(f.order) != 3 || f.order[0] != ids[24] || f.order[2] != ids[28] || !result.More || mark.MaxSeq != 30 {
		t.Errorf("shown are %v to %+v, more: %t", f.order, mark, result.More)
	}
	f = &tailing{seen: map[uuid.UUID]int{}}
	_, _, err = eventquery.Tail(t.Context(), p.DB, eventquery.Query{Filter: eventquery.Filter{After: 10}}, f.take)
	storetest.Must(t, err)
	if len(f.order) != 20 || f.order[0] != ids[10] {
		t.Errorf("%d are shown past place 10", len(f.order))
	}
}

// A new epoch is followed into; a log that was restored to before the reader is refused.
func TestATailAcrossARestore(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker := p.NewTicker()
	p.Append(storetest.Sale("old"))
	ticker.Tick()
	mark := storetest.MustGet(eventquery.NewestMark(t.Context(), p.DB))(t)
	behind := mark
	behind.Tick += 100
	_, err := eventquery.NextMark(t.Context(), p.DB, behind)
	storetest.IsError(t, err, eventquery.ErrWentBack)
	p.Append(storetest.Sale("last of the old"))
	p.Exec(`UPDATE epoch SET system_identifier = 1`)
	p.Exec(`DELETE FROM lease`)
	_, err = eventlog.BeginEpoch(t.Context(), p.DB, operatorlog.By{Operator: "ann"}, false)
	storetest.Must(t, err)
	p.Append(storetest.Sale("new"))
	p.NewTicker().Tick()
	var shown []string
	for {
		next := storetest.MustGet(eventquery.NextMark(t.Context(), p.DB, mark))(t)
		if next.Tick == mark.Tick {
			break
		}
		places := storetest.MustGet(eventquery.PlacesBetween(t.Context(), p.DB, mark, next, 0, 10))(t)
		for _, place := range places {
			shown = append(shown, storetest.One[string](t, p.SQL(), `SELECT aggregate_id FROM event_log WHERE seq = $1`, place))
		}
		mark = next
	}
	if fmt.Sprint(shown) != "[last of the old new]" {
		t.Errorf("shown are %v", shown)
	}
}
