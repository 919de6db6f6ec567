package store_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

func (p *place) admits(events []event.Any, want ...store.Admission) {
	p.Helper()
	got, err := p.Admit(context.Background(), events, true)
	must(p, err)
	if !slices.Equal(got, want) {
		p.Errorf("verdicts are %v, want %v", got, want)
	}
}

func TestAdmissionVerdicts(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	a, b, c := sale("a"), sale("b"), sale("c")
	other := saleWith(a.ID, "a", 2)
	p.admits(nil)
	p.admits([]event.Any{a, b}, store.Admitted, store.Admitted)
	p.admits([]event.Any{a, b}, store.Duplicate, store.Duplicate)
	p.admits([]event.Any{b, other, c, a}, store.Duplicate, store.Conflict, store.Admitted, store.Duplicate)
	// Twice in one batch: the first to arrive is admitted, whatever its body.
	for range 8 {
		d := sale("d")
		p.admits([]event.Any{saleWith(d.ID, "d", 7), d, saleWith(d.ID, "d", 7)}, store.Admitted, store.Conflict, store.Duplicate)
	}
	if n, m := value[int](t, p.SQL(), `SELECT count(*) FROM event_log`), value[int](t, p.SQL(), `SELECT count(*) FROM admission`); n != 11 || m != 11 {
		t.Errorf("%d events are in the log and %d in admission, want 11", n, m)
	}
	found, err := p.Event(t.Context(), a.ID)
	must(t, err)
	if string(found.Body) != string(a.Body) || found.Seq == 0 || found.EventID != a.ID || found.Type != a.Type {
		t.Errorf("the log has %+v", found)
	}
	_, err = p.Event(t.Context(), uuid.New())
	isError(t, err, store.ErrNotFound)
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM event_log e JOIN admission a USING (event_id, seq, body_sha256) WHERE a.body_sha256 = sha256(convert_to(body, 'UTF8'))`); n != 11 {
		t.Errorf("%d of 11 hashes are right", n)
	}
}

func TestAdmissionKeepsTheOrderOfArrivalAndEveryByte(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	events := anySales(200) // ids are random, and so not in order
	awkward := sale("awkward")
	awkward.Body = []byte(`{ "a":"\"\\ {},'NULL' \u0000 ☃ 😀",` + "\n\t" + `"b":  1.50}  `)
	awkward.AggregateID, awkward.TenantID = `{"a,b"}`, `NULL`
	events = append(events, awkward)
	must2(p.Admit(t.Context(), events, true))(t)
	appended := anySales(100)
	must(t, p.InTx(t.Context(), func(tx store.Tx) error { return tx.Append(t.Context(), appended) }))
	if got := p.read(`SELECT event_id FROM event_log ORDER BY seq`); !slices.Equal(got, idsOf(slices.Concat(events, appended))) {
		t.Error("the log has another order than the batch")
	}
	found, err := p.Event(t.Context(), awkward.ID)
	must(t, err)
	if string(found.Body) != string(awkward.Body) {
		t.Errorf("the log has %q of %q", found.Body, awkward.Body)
	}
	var tenant, aggregate string
	var at time.Time
	must(t, p.SQL().QueryRow(`SELECT tenant_id, aggregate_id, occurred_at FROM event_log WHERE event_id = $1`, awkward.ID).Scan(&tenant, &aggregate, &at))
	if tenant != awkward.TenantID || aggregate != awkward.AggregateID || !at.Equal(awkward.Timestamp) {
		t.Errorf("the log has %q %q %v", tenant, aggregate, at)
	}
}

// Many admit the same events at once, in orders of their own: nobody deadlocks,
// and each event is admitted by one of them.
func TestConcurrentAdmissionsOfTheSameEvents(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 10)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const clients, rounds = 6, 15
	events := anySales(120)
	admitted := make([]map[eventID]int, clients)
	var run []func(context.Context) error
	for i := range clients {
		admitted[i] = map[eventID]int{}
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
				verdicts, err := tx.Admit(ctx, batch, true)
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
					if v == store.Admitted {
						admitted[i][batch[k].ID]++
					} else if v != store.Duplicate {
						t.Errorf("the same event is in %v", v)
					}
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, run...)
	sum := map[eventID]int{}
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
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != len(sum) {
		t.Errorf("%d events are in the log, %d were admitted", n, len(sum))
	}
}

// The guard of the test above: without the sorted insert, two batches in
// opposite orders do deadlock.
func TestUnsortedAdmissionsDeadlock(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	const insert = `INSERT INTO admission (event_id, body_sha256, seq) VALUES ($1, '', 1) ON CONFLICT DO NOTHING`
	a, b := uuid.New(), uuid.New()
	one, two := p.begin(), p.begin()
	must2(store.RawTx(one).Exec(insert, a))(t)
	must2(store.RawTx(two).Exec(insert, b))(t)
	other := make(chan error, 1)
	go func() { _, err := store.RawTx(one).Exec(insert, b); other <- err }()
	p.waitsForLock(1)
	_, err := store.RawTx(two).Exec(insert, a)
	if err == nil {
		two.Commit()
		err = <-other
	}
	isError(t, store.MapError(err), store.ErrRetryable)
}

func TestAdmissionAfterARollback(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	a := sale("a")
	first := p.begin()
	verdicts, err := first.Admit(t.Context(), []event.Any{a}, true)
	must(t, err)
	if verdicts[0] != store.Admitted {
		t.Fatalf("verdict is %v", verdicts[0])
	}
	// A second one waits for the first, and takes its place when it is rolled back.
	second := make(chan []store.Admission, 1)
	go func() {
		verdicts, err := p.Admit(t.Context(), []event.Any{saleWith(a.ID, "a", 9)}, true)
		if err != nil {
			t.Error(err)
		}
		second <- verdicts
	}()
	p.waitsForLock(1)
	must(t, first.Rollback())
	if got := <-second; !slices.Equal(got, []store.Admission{store.Admitted}) {
		t.Errorf("verdicts are %v", got)
	}
	p.admits([]event.Any{a}, store.Conflict)
}

func TestPublishOrNot(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ticker, reader := p.newTicker(), p.newReader("relay")
	heard, said := sale("heard"), sale("said")
	must2(p.Admit(t.Context(), []event.Any{heard}, false))(t)
	must2(p.Admit(t.Context(), []event.Any{said}, true))(t)
	ticker.tick()
	if got := reader.readAll(10); !slices.Equal(got, []eventID{said.ID}) {
		t.Errorf("%v are to be published, want %s alone", got, said.ID)
	}
	// What the log has is told by place and id together.
	at := func(e event.Any) event.Any {
		found, err := p.Event(t.Context(), e.ID)
		must(t, err)
		e.LogSeq = found.Seq
		return e
	}
	stranger, elsewhere, unplaced := sale("stranger"), at(heard), said
	stranger.LogSeq = at(said).LogSeq
	elsewhere.LogSeq++
	has, err := p.begin().LogHas(t.Context(), []event.Any{at(said), stranger, elsewhere, unplaced})
	must(t, err)
	if len(has) != 1 || !has[said.ID] {
		t.Errorf("the log is said to have %v", has)
	}
}
