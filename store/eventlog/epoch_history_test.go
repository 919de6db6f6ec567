package eventlog_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// history is a log that is written, ticked, read, thinned and restored into other servers in an order that rapid
// draws, with the expected outcome.
type history struct {
	*storetest.Env
	ticker  *storetest.Ticker
	open    []*openWriter
	readers map[string]*storetest.Reader
	// committed are the events in the log, by the number of their commit; passed what each reader's cursor has passed.
	committed map[uuid.UUID]int
	passed    map[string][]uuid.UUID
	// appended is the count of commits when point was taken.
	point    string
	appended int
	epochs   int
}

// openWriter is a transaction that has an id, and has appended.
type openWriter struct {
	tx   *store.Transaction
	says []uuid.UUID
}

var historyReaders = []string{"relay", "replay"}

// empty forgets all earlier histories.
func (h *history) empty() {
	for _, table := range []string{"event_log", "tick", "epoch", "log_cursor", "lease"} {
		h.Exec(`DELETE FROM ` + table)
	}
	h.Exec(`INSERT INTO epoch (epoch, system_identifier) SELECT 1, system_identifier FROM pg_control_system()`)
	h.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT 0, 1, pg_current_snapshot(), s, s FROM coalesce(pg_sequence_last_value('event_log_seq'), 0) s`)
	h.readers, h.committed, h.passed, h.epochs = map[string]*storetest.Reader{}, map[uuid.UUID]int{}, map[string][]uuid.UUID{}, 1
	h.open, h.point = nil, ""
	h.reopenAll()
}

// reopenAll opens everything anew, as after a start.
func (h *history) reopenAll() {
	releaseLeases(h.Env)
	h.ticker = h.NewTicker()
	for _, name := range historyReaders {
		h.readers[name] = h.NewReader(name)
	}
}

func (h *history) begin() {
	h.Helper()
	tx, err := h.Begin(context.Background())
	storetest.Must(h, err)
	storetest.MustGet(pg.RawTx(tx).Exec(`SELECT pg_current_xact_id()`))(h)
	h.open = append(h.open, &openWriter{tx: tx})
}

func (h *history) append(w *openWriter, n int) {
	h.Helper()
	events := storetest.Sales(n)
	storetest.Must(h, eventlog.Append(context.Background(), w.tx, events))
	w.says = append(w.says, storetest.IDs(events)...)
}

// end commits or rolls back.
func (h *history) end(i int, commit bool) {
	h.Helper()
	w := h.open[i]
	h.open = slices.Delete(h.open, i, i+1)
	if !commit {
		storetest.Must(h, w.tx.Rollback())
		return
	}
	storetest.Must(h, w.tx.Commit())
	for _, id := range w.says {
		h.committed[id] = len(h.committed)
	}
}

// read reads one page, and passes it unless the reader crashes before.
func (h *history) read(name string, limit int, crash bool) {
	h.Helper()
	r := h.readers[name]
	page, err := eventlog.ReadPage(context.Background(), h.Env.DB, r.At, limit)
	storetest.Must(h, err)
	if crash || page.Next == r.At {
		return
	}
	storetest.Must(h, eventlog.MoveCursor(context.Background(), h.Env.DB, r.At, page.Next))
	r.At = page.Next
	for _, e := range page.Events {
		h.passed[name] = append(h.passed[name], e.EventID)
	}
}

// restoreElsewhere moves to another server: open transactions are lost, some append there before the new epoch, and
// some are in the middle when it begins.
func (h *history) restoreElsewhere(ahead int64, strays int, across bool) {
	h.Helper()
	for len(h.open) > 0 {
		h.end(0, false)
	}
	restore(h.Env, ahead)
	for range strays {
		h.begin()
		h.append(h.open[len(h.open)-1], 2)
		h.end(len(h.open)-1, true)
	}
	if across {
		h.begin() // has an id of before the epoch, and appends in it
	}
	beginEpoch(h.Env)
	h.epochs++
	h.point = ""
	h.reopenAll()
}

// check compares the readers with what was committed.
func (h *history) check(t *rapid.T) {
	for name, passed := range h.passed {
		seen := map[uuid.UUID]bool{}
		for _, id := range passed {
			if _, is := h.committed[id]; !is || seen[id] {
				t.Fatalf("%s passed an event that was not committed, or twice", name)
			}
			seen[id] = true
		}
	}
}

// checkCounts compares the counts with what was committed.
func (h *history) checkCounts(t *rapid.T) {
	state, err := eventlog.ReadState(context.Background(), h.Env.DB, h.point)
	storetest.Must(h, err)
	if want := int64(len(h.committed) - len(h.passed["relay"])); state.Unpublished != want {
		t.Fatalf("%d events are to be published, want %d", state.Unpublished, want)
	}
	if want := int64(len(h.committed) - h.appended); h.point != "" && state.Moved != want {
		t.Fatalf("%d events have moved, want %d", state.Moved, want)
	}
	h.point, h.appended = state.Position, len(h.committed)
}

// finish ends open transactions, and reads to the end.
func (h *history) finish(t *rapid.T) {
	for len(h.open) > 0 {
		h.end(0, true)
	}
	if _, err := h.ticker.Step(context.Background(), h.ticker.Lease); err != nil {
		t.Fatal(err)
	}
	for _, name := range historyReaders {
		for before := (eventlog.Cursor{Seq: -1}); before != h.readers[name].At; {
			before = h.readers[name].At
			h.read(name, 100, false)
		}
		if len(h.passed[name]) != len(h.committed) {
			t.Fatalf("%s passed %d of %d events", name, len(h.passed[name]), len(h.committed))
		}
	}
	h.check(t)
	h.checkCounts(t)
}

// TestEveryHistoryIsReadOnceThroughRestores: whatever is open, unread or half read when the log moves to another
// server with lower, higher or nearly equal ids, each reader passes every committed event once, and the counts of
// unpublished and moved events are right.
func TestEveryHistoryIsReadOnceThroughRestores(t *testing.T) {
	t.Parallel()
	h := &history{Env: storetest.NewEnv(t, 16)}
	useIDs(h.Env)
	restores := 0
	rapid.Check(t, func(t *rapid.T) {
		h.empty()
		defer func() {
			for _, w := range h.open {
				w.tx.Rollback()
			}
		}()
		some := func(t *rapid.T) int { return rapid.IntRange(0, len(h.open)-1).Draw(t, "which") }
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				if len(h.open) == 4 {
					t.Skip()
				}
				h.begin()
			},
			"append": func(t *rapid.T) {
				if len(h.open) == 0 {
					h.begin()
				}
				h.append(h.open[some(t)], rapid.IntRange(1, 4).Draw(t, "events"))
			},
			"end": func(t *rapid.T) {
				if len(h.open) == 0 {
					t.Skip()
				}
				h.end(some(t), rapid.IntRange(0, 4).Draw(t, "end") > 0)
			},
			"tick": func(t *rapid.T) {
				storetest.MustGet(h.ticker.Step(context.Background(), h.ticker.Lease))(h)
			},
			"read": func(t *rapid.T) {
				name := rapid.SampledFrom(historyReaders).Draw(t, "reader")
				h.read(name, rapid.IntRange(1, 5).Draw(t, "limit"), rapid.IntRange(0, 5).Draw(t, "crash") == 0)
			},
			"thin": func(*rapid.T) { storetest.Must(h, eventlog.ThinTicks(context.Background(), h.Env.DB)) },
			"restore": func(t *rapid.T) {
				ahead := rapid.OneOf(rapid.Int64Range(1, 60), rapid.Int64Range(-60, -1), rapid.SampledFrom([]int64{-3000, 1_000_000_000})).Draw(t, "ahead")
				h.restoreElsewhere(ahead, rapid.IntRange(0, 2).Draw(t, "strays"), rapid.Bool().Draw(t, "across"))
				restores++
			},
			"checkCounts": h.checkCounts,
			"":            h.check,
		})
		h.finish(t)
	})
	if restores == 0 {
		t.Error("nothing was ever restored: the test would pass whatever happens")
	}
	t.Logf("%d restores", restores)
}
