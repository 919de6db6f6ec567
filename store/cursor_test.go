package store_test

import (
	"slices"
	"testing"

	"github.com/composerp/composerp/store"
)

func TestACursorMovesByCompareAndSet(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ctx := t.Context()
	ticker, reader := p.newTicker(), p.newReader("relay")
	if reader.at != (store.Cursor{Consumer: "relay", Term: reader.lease.Term}) {
		t.Errorf("a new cursor stands at %+v", reader.at)
	}
	events := anySales(5)
	for _, e := range events {
		p.append(e)
	}
	ticker.tick()
	page, err := p.ReadPage(ctx, reader.at, 2)
	must(t, err)
	must(t, p.MoveCursor(ctx, reader.at, page.Next))
	isError(t, p.MoveCursor(ctx, reader.at, page.Next), store.ErrNotLeader) // it is not there any more

	// The next term finds it where it was left, within the interval, and shuts the earlier one out.
	p.expire("relay")
	next := p.newReader("relay")
	if want := page.Next; next.at.Tick != want.Tick || next.at.Upto != want.Upto || next.at.Seq != want.Seq || next.at.Term != want.Term+1 {
		t.Errorf("the next term's cursor stands at %+v, it was left at %+v", next.at, want)
	}
	more, err := p.ReadPage(ctx, page.Next, 2)
	must(t, err)
	isError(t, p.MoveCursor(ctx, page.Next, more.Next), store.ErrNotLeader)
	must2(p.ReadPage(ctx, page.Next, 2))(t) // to read is nobody's privilege
	_, err = p.OpenCursor(ctx, reader.lease)
	isError(t, err, store.ErrNotLeader)
	if got := next.readAll(2); !slices.Equal(got, idsOf(events[2:])) {
		t.Errorf("the next term read %v", got)
	}
	// A lease that was given anew from the first term on cannot take the cursor back.
	p.exec(`DELETE FROM lease`)
	lease, err := p.Acquire(ctx, "relay", "third")
	must(t, err)
	_, err = p.OpenCursor(ctx, lease)
	isError(t, err, store.ErrNotLeader)
}

func TestReadingWhatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ticker, reader := p.newTicker(), p.newReader("relay")
	for range 2 {
		page, err := p.ReadPage(t.Context(), reader.at, 10)
		must(t, err)
		if page.Next != reader.at || len(page.Events) != 0 {
			t.Errorf("an empty log gives %+v", page)
		}
	}
	// A tick that tells nothing is passed.
	rolledBack := p.begin()
	must(t, rolledBack.Append(t.Context(), anySales(3)))
	must(t, rolledBack.Rollback())
	newest := ticker.tick()
	if got := reader.readAll(10); len(got) != 0 || reader.at.Tick != newest {
		t.Errorf("read %v, up to %+v", got, reader.at)
	}
}

// Pages that end exactly where an interval does, intervals larger than many
// pages, late events among the others, many ticks at once.
func TestPagesOfEverySizeGiveTheSame(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	ticker := p.newTicker()
	late := p.begin()
	var said, lateSaid []eventID
	for i := range 24 {
		e := anySales(1)
		if i%4 == 0 {
			must(t, late.Append(t.Context(), e))
			lateSaid = append(lateSaid, e[0].ID)
		} else {
			p.append(e[0])
			said = append(said, e[0].ID)
		}
		if i%5 == 4 {
			ticker.tick()
		}
	}
	ticker.tick()
	var before [][]eventID
	readers := make([]*reader, 0, 26)
	for limit := 1; limit <= 26; limit++ {
		readers = append(readers, p.newReader(string(rune('a'+limit))))
		before = append(before, readers[limit-1].readAll(limit))
	}
	must(t, late.Commit())
	ticker.tick()
	for i, r := range readers {
		if !slices.Equal(before[i], said) {
			t.Errorf("by pages of %d, %d of %d events were read", i+1, len(before[i]), len(said))
		}
		if got := r.readAll(i + 1); !slices.Equal(got, lateSaid) {
			t.Errorf("by pages of %d, %d of %d late events were read", i+1, len(got), len(lateSaid))
		}
	}
	// Over all ticks at once, the late ones stand where they were said.
	for _, limit := range []int{1, 3, 7, 100} {
		at := store.Cursor{Consumer: "leap", Upto: readers[0].at.Tick}
		var all []int64
		for at.Tick != at.Upto {
			page, err := p.ReadPage(t.Context(), at, limit)
			must(t, err)
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

func TestLagAndSetAside(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ticker := p.newTicker()
	lag := func() int64 {
		n, err := p.Lag(t.Context(), "relay")
		must(t, err)
		return n
	}
	if n := lag(); n != 0 {
		t.Errorf("on an empty log the lag is %d", n)
	}
	must(t, p.InTx(t.Context(), func(tx store.Tx) error { return tx.Append(t.Context(), anySales(7)) }))
	ticker.tick()
	if n := lag(); n != 7 {
		t.Errorf("before its first reading the lag is %d, want 7", n)
	}
	reader := p.newReader("relay")
	page, err := p.ReadPage(t.Context(), reader.at, 3)
	must(t, err)
	must(t, p.MoveCursor(t.Context(), reader.at, page.Next))
	if n := lag(); n != 4 {
		t.Errorf("within an interval the lag is %d, want 4", n)
	}
	for range 2 { // said again after a crash
		must(t, p.SetAside(t.Context(), page.Events[0], "no broker takes it"))
	}
	if n := value[int](t, p.SQL(), `SELECT count(*) FROM set_aside WHERE seq = 1`); n != 1 {
		t.Errorf("it was set aside %d times", n)
	}
	reader.at = page.Next
	reader.readAll(3)
	if n := lag(); n != 0 {
		t.Errorf("at the end the lag is %d", n)
	}
}
