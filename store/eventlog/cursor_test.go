package eventlog_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

func TestACursorMovesByCompareAndSet(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ctx := t.Context()
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	if reader.At != (eventlog.Cursor{Consumer: "relay", Term: reader.Lease.Term}) {
		t.Errorf("a new cursor stands at %+v", reader.At)
	}
	events := storetest.Sales(5)
	for _, e := range events {
		p.Append(e)
	}
	ticker.Tick()
	page, err := eventlog.ReadPage(ctx, p.DB, reader.At, 2)
	storetest.Must(t, err)
	storetest.Must(t, eventlog.MoveCursor(ctx, p.DB, reader.At, page.Next))
	// The driver may repeat the move. From where the cursor stands no more it cannot go elsewhere.
	storetest.Must(t, eventlog.MoveCursor(ctx, p.DB, reader.At, page.Next))
	elsewhere := page.Next
	elsewhere.Seq++
	storetest.IsError(t, eventlog.MoveCursor(ctx, p.DB, reader.At, elsewhere), store.ErrNotLeader)

	// The next term finds it where it was left, within the interval, and fences the earlier one.
	p.Expire("relay")
	next := p.NewReader("relay")
	if want := page.Next; next.At.Tick != want.Tick || next.At.Upto != want.Upto || next.At.Seq != want.Seq || next.At.Term != want.Term+1 {
		t.Errorf("the next term's cursor stands at %+v, it was left at %+v", next.At, want)
	}
	more, err := eventlog.ReadPage(ctx, p.DB, page.Next, 2)
	storetest.Must(t, err)
	storetest.IsError(t, eventlog.MoveCursor(ctx, p.DB, page.Next, more.Next), store.ErrNotLeader)
	storetest.MustGet(eventlog.ReadPage(ctx, p.DB, page.Next, 2))(t) // reading needs no lease
	_, err = eventlog.OpenCursor(ctx, p.DB, reader.Lease)
	storetest.IsError(t, err, store.ErrNotLeader)
	if got := next.ReadAll(2); !slices.Equal(got, storetest.IDs(events[2:])) {
		t.Errorf("the next term read %v", got)
	}
	// A lease recreated from the first term on cannot take the cursor back.
	p.Exec(`DELETE FROM lease`)
	lease, err := store.AcquireLease(ctx, p.DB, "relay", "third")
	storetest.Must(t, err)
	_, err = eventlog.OpenCursor(ctx, p.DB, lease)
	storetest.IsError(t, err, store.ErrNotLeader)
}

func TestReadingWhatIsNotThere(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker, reader := p.NewTicker(), p.NewReader("relay")
	for range 2 {
		page, err := eventlog.ReadPage(t.Context(), p.DB, reader.At, 10)
		storetest.Must(t, err)
		if page.Next != reader.At || len(page.Events) != 0 {
			t.Errorf("an empty log gives %+v", page)
		}
	}
	// A tick without events is passed.
	rolledBack := p.OpenTx()
	storetest.Must(t, eventlog.Append(t.Context(), rolledBack, storetest.Sales(3)))
	storetest.Must(t, rolledBack.Rollback())
	newest := ticker.Tick()
	if got := reader.ReadAll(10); len(got) != 0 || reader.At.Tick != newest {
		t.Errorf("read %v, up to %+v", got, reader.At)
	}
}

// Pages that end exactly where an interval does, intervals larger than many
// pages, late events among the others, many ticks at once.
func TestPagesOfEverySizeGiveTheSame(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ticker := p.NewTicker()
	late := p.OpenTx()
	var appended, lateSaid []uuid.UUID
	for i := range 24 {
		e := storetest.Sales(1)
		if i%4 == 0 {
			storetest.Must(t, eventlog.Append(t.Context(), late, e))
			lateSaid = append(lateSaid, e[0].ID)
		} else {
			p.Append(e[0])
			appended = append(appended, e[0].ID)
		}
		if i%5 == 4 {
			ticker.Tick()
		}
	}
	ticker.Tick()
	var before [][]uuid.UUID
	readers := make([]*storetest.Reader, 0, 26)
	for limit := 1; limit <= 26; limit++ {
		readers = append(readers, p.NewReader(string(rune('a'+limit))))
		before = append(before, readers[limit-1].ReadAll(limit))
	}
	storetest.Must(t, late.Commit())
	ticker.Tick()
	for i, r := range readers {
		if !slices.Equal(before[i], appended) {
			t.Errorf("by pages of %d, %d of %d events were read", i+1, len(before[i]), len(appended))
		}
		if got := r.ReadAll(i + 1); !slices.Equal(got, lateSaid) {
			t.Errorf("by pages of %d, %d of %d late events were read", i+1, len(got), len(lateSaid))
		}
	}
	// Over all ticks at once, the late ones stand in the order of their numbers.
	for _, limit := range []int{1, 3, 7, 100} {
		at := eventlog.Cursor{Consumer: "leap", Upto: readers[0].At.Tick}
		var all []int64
		for at.Tick != at.Upto {
			page, err := eventlog.ReadPage(t.Context(), p.DB, at, limit)
			storetest.Must(t, err)
			for _, e := range page.Events {
				all = append(all, e.Seq)
			}
			at = page.Next
		}
		if len(all) != 24 || !slices.IsSorted(all) {
			t.Errorf("by pages of %d, the whole log gives %v", limit, all)
		}
	}
}

func TestLagAndUnpublishable(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ticker := p.NewTicker()
	lag := func() int64 {
		n, err := eventlog.Lag(t.Context(), p.DB, "relay")
		storetest.Must(t, err)
		return n
	}
	if n := lag(); n != 0 {
		t.Errorf("on an empty log the lag is %d", n)
	}
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error { return eventlog.Append(t.Context(), tx, storetest.Sales(7)) }))
	ticker.Tick()
	if n := lag(); n != 7 {
		t.Errorf("before its first reading the lag is %d, want 7", n)
	}
	reader := p.NewReader("relay")
	page, err := eventlog.ReadPage(t.Context(), p.DB, reader.At, 3)
	storetest.Must(t, err)
	storetest.Must(t, eventlog.MoveCursor(t.Context(), p.DB, reader.At, page.Next))
	if n := lag(); n != 4 {
		t.Errorf("within an interval the lag is %d, want 4", n)
	}
	for range 2 { // repeated after a crash
		storetest.Must(t, eventlog.MarkUnpublishable(t.Context(), p.DB, page.Events[0], "no broker takes it"))
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM unpublishable WHERE seq = 1`); n != 1 {
		t.Errorf("it was marked unpublishable %d times", n)
	}
	reader.At = page.Next
	reader.ReadAll(3)
	if n := lag(); n != 0 {
		t.Errorf("at the end the lag is %d", n)
	}
}
