package eventlog_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

func admits(p *storetest.Env, events []event.Any, want ...eventlog.Admission) {
	p.Helper()
	got, err := eventlog.AdmitOnce(context.Background(), p.DB, events, true)
	storetest.Must(p, err)
	if !slices.Equal(got, want) {
		p.Errorf("verdicts are %v, want %v", got, want)
	}
}

func TestAdmissionVerdicts(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	a, b, c := storetest.Sale("a"), storetest.Sale("b"), storetest.Sale("c")
	other := storetest.SaleWith(a.ID, "a", 2)
	admits(p, nil)
	admits(p, []event.Any{a, b}, eventlog.Admitted, eventlog.Admitted)
	admits(p, []event.Any{a, b}, eventlog.Duplicate, eventlog.Duplicate)
	admits(p, []event.Any{b, other, c, a}, eventlog.Duplicate, eventlog.Conflict, eventlog.Admitted, eventlog.Duplicate)
	// Twice in one batch: the first to arrive is admitted, whatever its body.
	for range 8 {
		d := storetest.Sale("d")
		admits(p, []event.Any{storetest.SaleWith(d.ID, "d", 7), d, storetest.SaleWith(d.ID, "d", 7)}, eventlog.Admitted, eventlog.Conflict, eventlog.Duplicate)
	}
	if n, m := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`), storetest.One[int](t, p.SQL(), `SELECT count(*) FROM admission`); n != 11 || m != 11 {
		t.Errorf("%d events are in the log and %d in admission, want 11", n, m)
	}
	found, err := eventlog.EntryByID(t.Context(), p.DB, a.ID)
	storetest.Must(t, err)
	if string(found.Body) != string(a.Body) || found.Seq == 0 || found.EventID != a.ID || found.Type != a.Type {
		t.Errorf("the log has %+v", found)
	}
	_, err = eventlog.EntryByID(t.Context(), p.DB, uuid.New())
	storetest.IsError(t, err, store.ErrNotFound)
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log e JOIN admission a USING (event_id, seq, body_sha256) WHERE a.body_sha256 = sha256(convert_to(body, 'UTF8'))`); n != 11 {
		t.Errorf("%d of 11 hashes are right", n)
	}
}

func TestAdmissionKeepsTheOrderOfArrivalAndEveryByte(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	events := storetest.Sales(200) // ids are random, and so not in order
	awkward := storetest.Sale("awkward")
	awkward.Body = []byte(`{ "a":"\"\\ {},'NULL' \u0000 ☃ 😀",` + "\n\t" + `"b":  1.50}  `)
	awkward.AggregateID, awkward.TenantID = `{"a,b"}`, `NULL`
	events = append(events, awkward)
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, events, true))(t)
	appended := storetest.Sales(100)
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error { return eventlog.Append(t.Context(), tx, appended) }))
	if got := query(p, `SELECT event_id FROM event_log ORDER BY seq`); !slices.Equal(got, storetest.IDs(slices.Concat(events, appended))) {
		t.Error("the log has another order than the batch")
	}
	found, err := eventlog.EntryByID(t.Context(), p.DB, awkward.ID)
	storetest.Must(t, err)
	if string(found.Body) != string(awkward.Body) {
		t.Errorf("the log has %q of %q", found.Body, awkward.Body)
	}
	var tenant, aggregate string
	var at time.Time
	storetest.Must(t, p.SQL().QueryRow(`SELECT tenant_id, aggregate_id, occurred_at FROM event_log WHERE event_id = $1`, awkward.ID).Scan(&tenant, &aggregate, &at))
	if tenant != awkward.TenantID || aggregate != awkward.AggregateID || !at.Equal(awkward.Timestamp) {
		t.Errorf("the log has %q %q %v", tenant, aggregate, at)
	}
}

// Many admit the same events at once, in different orders: without a deadlock, each event is admitted by one of them.
func TestConcurrentAdmissionsOfTheSameEvents(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 10)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const clients, rounds = 6, 15
	events := storetest.Sales(120)
	admitted := make([]map[uuid.UUID]int, clients)
	var run []func(context.Context) error
	for i := range clients {
		admitted[i] = map[uuid.UUID]int{}
		run = append(run, func(ctx context.Context) error {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range rounds {
				batch := make([]event.Any, 0, 40)
				for _, k := range rnd.Perm(len(events))[:40] {
					batch = append(batch, events[k])
				}
				tx, err := p.Begin(ctx)
				if err != nil {
					return err
				}
				verdicts, err := eventlog.Admit(ctx, tx, batch, true)
				if err != nil {
					tx.Rollback()
					return err // a deadlock would be ErrRetryable
				}
				if rnd.IntN(4) == 0 {
					if err := tx.Rollback(); err != nil {
						return err
					}
					continue
				}
				if err := tx.Commit(); err != nil {
					return err
				}
				for k, v := range verdicts {
					if v == eventlog.Admitted {
						admitted[i][batch[k].ID]++
					} else if v != eventlog.Duplicate {
						t.Errorf("the same event is in %v", v)
					}
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, run...)
	sum := map[uuid.UUID]int{}
	for _, m := range admitted {
		for id, n := range m {
			sum[id] += n
		}
	}
	for id, n := range sum {
		if n != 1 {
			t.Errorf("event %s was admitted %d times", id, n)
		}
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != len(sum) {
		t.Errorf("%d events are in the log, %d were admitted", n, len(sum))
	}
}

// The guard of the test above: without the sorted insert, two batches in
// opposite orders do deadlock.
func TestUnsortedAdmissionsDeadlock(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	const insert = `INSERT INTO admission (event_id, body_sha256, seq) VALUES ($1, '', 1) ON CONFLICT DO NOTHING`
	a, b := uuid.New(), uuid.New()
	one, two := p.OpenTx(), p.OpenTx()
	storetest.MustGet(pg.RawTx(one).Exec(insert, a))(t)
	storetest.MustGet(pg.RawTx(two).Exec(insert, b))(t)
	other := make(chan error, 1)
	go func() { _, err := pg.RawTx(one).Exec(insert, b); other <- err }()
	p.AwaitLockWaiters(1)
	_, err := pg.RawTx(two).Exec(insert, a)
	if err == nil {
		two.Commit()
		err = <-other
	}
	storetest.IsError(t, pg.MapError(err), store.ErrRetryable)
}

func TestAdmissionAfterARollback(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	a := storetest.Sale("a")
	first := p.OpenTx()
	verdicts, err := eventlog.Admit(t.Context(), first, []event.Any{a}, true)
	storetest.Must(t, err)
	if verdicts[0] != eventlog.Admitted {
		t.Fatalf("verdict is %v", verdicts[0])
	}
	// A second one waits for the first, and is admitted when that is rolled back.
	second := make(chan []eventlog.Admission, 1)
	go func() {
		verdicts, err := eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{storetest.SaleWith(a.ID, "a", 9)}, true)
		if err != nil {
			t.Error(err)
		}
		second <- verdicts
	}()
	p.AwaitLockWaiters(1)
	storetest.Must(t, first.Rollback())
	if got := <-second; !slices.Equal(got, []eventlog.Admission{eventlog.Admitted}) {
		t.Errorf("verdicts are %v", got)
	}
	admits(p, []event.Any{a}, eventlog.Conflict)
}

func TestPublishOrNot(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	admitted, appended := storetest.Sale("admitted"), storetest.Sale("appended")
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{admitted}, false))(t)
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{appended}, true))(t)
	ticker.Tick()
	if got := reader.ReadAll(10); !slices.Equal(got, []uuid.UUID{appended.ID}) {
		t.Errorf("%v are to be published, want %s alone", got, appended.ID)
	}
	// A body is known at its own position alone.
	found, err := eventlog.EntryByID(t.Context(), p.DB, appended.ID)
	storetest.Must(t, err)
	has, err := eventlog.Contains(t.Context(), p.DB, []eventlog.Claim{
		{Seq: found.Seq, Body: admitted.Body}, {Seq: found.Seq, Body: appended.Body}, {Seq: found.Seq - 1, Body: appended.Body}, {Seq: found.Seq + 9, Body: appended.Body},
	})
	storetest.Must(t, err)
	if !slices.Equal(has, []bool{false, true, false, false}) {
		t.Errorf("the log is said to hold the claims %v", has)
	}
}
