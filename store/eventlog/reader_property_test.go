package eventlog_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// interleaving is a log with several transactions and readers. Steps are drawn and run one after the other: any order
// of begins, numbers drawn, ends, ticks and reads may come up, and rapid reproduces and shrinks a failing one.
type interleaving struct {
	*rapid.T
	concurrentWriters *concurrentWriters
	ticker            *storetest.Ticker
	open              [4]*store.Transaction
	appended          [4][]event.Any
	readers           []*storetest.Reader
	passed            [][]eventlog.Entry
}

// Any interleaving of real transactions, ticks and readers: every committed event
// is read exactly once, and in its aggregate's order.
func TestAnyInterleavingIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWriters(t)
	for i := range 4 {
		w.Exec(`INSERT INTO aggregate VALUES ($1, 0)`, fmt.Sprintf("r%d", i))
	}
	ticker := w.NewTicker()
	readers := []*storetest.Reader{w.NewReader("one"), w.NewReader("two")}
	rapid.Check(t, func(rt *rapid.T) {
		w.committed = map[uuid.UUID]numbered{}
		v := &interleaving{T: rt, concurrentWriters: w, ticker: ticker, readers: readers, passed: make([][]eventlog.Entry, len(readers))}
		defer v.end()
		rt.Repeat(map[string]func(*rapid.T){
			"begin": v.begin, "appendNumbered": v.appendNumbered, "commit": v.commit, "roll back": v.rollBack, "tick": v.tick, "read": v.read,
		})
		v.settle()
	})
}

// slot draws one of the transactions.
func (v *interleaving) slot(t *rapid.T, open bool) int {
	var some []int
	for i, tx := range v.open {
		if (tx != nil) == open {
			some = append(some, i)
		}
	}
	if len(some) == 0 {
		t.Skip("there is none")
	}
	return rapid.SampledFrom(some).Draw(t, "transaction")
}

func (v *interleaving) done(err error) {
	if err != nil {
		v.Fatal(err)
	}
}

func (v *interleaving) begin(t *rapid.T) {
	i := v.slot(t, false)
	tx, err := v.concurrentWriters.Begin(context.Background())
	v.done(err)
	v.open[i] = tx
	if rapid.Bool().Draw(t, "has its id before it says anything") {
		_, err := pg.RawTx(tx).Exec(`SELECT pg_current_xact_id()`)
		v.done(err)
	}
}

// appendNumbered appends to the transaction's own aggregates, so that no transaction waits for another.
func (v *interleaving) appendNumbered(t *rapid.T) {
	i := v.slot(t, true)
	events, err := v.concurrentWriters.appendNumbered(context.Background(), v.open[i], fmt.Sprintf("r%d", i), rapid.IntRange(1, 3).Draw(t, "events"))
	v.done(err)
	v.appended[i] = append(v.appended[i], events...)
}

func (v *interleaving) commit(t *rapid.T) { v.commitOne(v.slot(t, true)) }

func (v *interleaving) commitOne(i int) {
	v.done(v.open[i].Commit())
	v.concurrentWriters.recordCommitted(v.appended[i])
	v.open[i], v.appended[i] = nil, nil
}

func (v *interleaving) rollBack(t *rapid.T) {
	i := v.slot(t, true)
	v.done(v.open[i].Rollback())
	v.open[i], v.appended[i] = nil, nil
}

func (v *interleaving) tick(*rapid.T) {
	_, err := v.ticker.Step(context.Background(), v.ticker.Lease)
	v.done(err)
}

// read reads a page, and passes it or crashes before that.
func (v *interleaving) read(t *rapid.T) {
	k := rapid.IntRange(0, len(v.readers)-1).Draw(t, "reader")
	v.readPage(k, rapid.IntRange(1, 6).Draw(t, "limit"), rapid.IntRange(0, 3).Draw(t, "crashes at 0") == 0)
}

func (v *interleaving) readPage(k, limit int, crashes bool) (more bool) {
	r := v.readers[k]
	page, err := eventlog.ReadPage(context.Background(), v.concurrentWriters.Env.DB, r.At, limit)
	v.done(err)
	if crashes || page.Next == r.At {
		return crashes
	}
	v.done(eventlog.MoveCursor(context.Background(), v.concurrentWriters.Env.DB, r.At, page.Next))
	r.At = page.Next
	v.passed[k] = append(v.passed[k], page.Events...)
	return true
}

// settle ends open transactions, ticks until nothing is due and reads to the end.
func (v *interleaving) settle() {
	for i, tx := range v.open {
		if tx != nil {
			v.commitOne(i)
		}
	}
	for !v.concurrentWriters.everythingTicked(context.Background()) {
		v.tick(nil)
	}
	for k := range v.readers {
		for v.readPage(k, 50, false) {
		}
		v.check(k)
	}
}

func (v *interleaving) check(k int) {
	last := map[string]int{}
	var seen []uuid.UUID
	for _, e := range v.passed[k] {
		n, known := v.concurrentWriters.committed[e.EventID]
		switch {
		case !known:
			v.Fatalf("reader %d: event %d was never committed", k, e.Seq)
		case slices.Contains(seen, e.EventID):
			v.Fatalf("reader %d: event %d was read twice", k, e.Seq)
		case n.N <= last[n.Aggregate]:
			v.Fatalf("reader %d: event %d of %s came after %d", k, n.N, n.Aggregate, last[n.Aggregate])
		}
		seen, last[n.Aggregate] = append(seen, e.EventID), n.N
	}
	if len(seen) != len(v.concurrentWriters.committed) {
		v.Fatalf("reader %d: %d of %d committed events were read", k, len(seen), len(v.concurrentWriters.committed))
	}
}

// end leaves nothing open for the next run, also after a failure.
func (v *interleaving) end() {
	for _, tx := range v.open {
		if tx != nil {
			tx.Rollback()
		}
	}
	for range 5 {
		v.ticker.Step(context.Background(), v.ticker.Lease)
	}
	for k, r := range v.readers { // left unread by a failed run
		for page, err := eventlog.ReadPage(context.Background(), v.concurrentWriters.Env.DB, r.At, 100); err == nil && page.Next != r.At; page, err = eventlog.ReadPage(context.Background(), v.concurrentWriters.Env.DB, r.At, 100) {
			if eventlog.MoveCursor(context.Background(), v.concurrentWriters.Env.DB, r.At, page.Next) != nil {
				return
			}
			v.readers[k].At = page.Next
		}
	}
}
