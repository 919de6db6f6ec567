package stream_test

import (
	"errors"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/store/stream"
)

// The cursor is there exactly while the stream is on, and no feeder makes one.
func TestSwitching(t *testing.T) {
	t.Parallel()
	h := storetest.NewEnv(t, 3)
	by := operatorlog.By{Operator: "ann", Reason: "a test"}
	kept := topology.Retention{MaxAge: 36 * time.Hour, SegmentBytes: 1 << 20, MaxBytes: 1 << 30}
	lease := storetest.MustGet(store.AcquireLease(t.Context(), h.DB, stream.Consumer, "a"))(t)
	if _, err := stream.Open(t.Context(), h.DB, lease); !errors.Is(err, stream.ErrOff) {
		t.Errorf("a feeder opens the cursor of a stream that was never on: %v", err)
	}
	if off := storetest.MustGet(stream.Disable(t.Context(), h.DB, by))(t); off {
		t.Error("a stream that was never on was switched off")
	}
	h.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT n, 1, pg_current_snapshot(), 0, 0 FROM generate_series(1001, 1005) n`)
	for range 2 {
		storetest.MustGet(stream.Enable(t.Context(), h.DB, by, kept, false))(t)
	}
	if s := storetest.MustGet(stream.Read(t.Context(), h.DB))(t); !s.On || s.Retention() != kept || s.UpdatedBy != "ann" {
		t.Errorf("the setting is %+v", s)
	}
	other := kept
	other.MaxBytes = 0
	if _, err := stream.Enable(t.Context(), h.DB, by, other, true); !errors.Is(err, stream.ErrOn) {
		t.Errorf("another retention: %v", err)
	}
	c := storetest.MustGet(stream.Open(t.Context(), h.DB, lease))(t)
	if c.Tick != 1005 || c.Upto != 1005 || c.Term != lease.Term {
		t.Errorf("the cursor stands at %+v, want the newest tick", c)
	}
	// The housekeeping has deleted the tick before it saw the cursor.
	h.Exec(`DELETE FROM tick WHERE id IN (1004, 1005)`)
	if c = storetest.MustGet(stream.Open(t.Context(), h.DB, lease))(t); c.Tick != 1003 || c.Upto != 1003 {
		t.Errorf("the cursor stands at %+v, want the tick before the one that is gone", c)
	}
	if s := storetest.MustGet(stream.ReadState(t.Context(), h.DB))(t); s.Holder != "a" || s.Waiting != 0 {
		t.Errorf("the state is %+v", s)
	}
	late := lease
	late.Term--
	if _, err := stream.Open(t.Context(), h.DB, late); err == nil || errors.Is(err, stream.ErrOff) {
		t.Errorf("an earlier term opens the cursor: %v", err)
	}
	if off := storetest.MustGet(stream.Disable(t.Context(), h.DB, by))(t); !off {
		t.Error("the stream was off")
	}
	if _, err := stream.Open(t.Context(), h.DB, lease); !errors.Is(err, stream.ErrOff) {
		t.Errorf("a feeder opens the cursor of a stream that is off: %v", err)
	}
	if n := len(storetest.MustGet(operatorlog.List(t.Context(), h.DB, operatorlog.Query{Limit: 10}))(t)); n != 2 {
		t.Errorf("the operator log has %d entries, want one for each change", n)
	}
}
