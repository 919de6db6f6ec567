package eventlog_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
)

// pendingEnv is a log with a ticker, a relay with a given cursor, and two consumers of sales.
type pendingEnv struct {
	*storetest.Env
	ledger inbox.ConsumerID
}

func newPendingEnv(t *testing.T) *pendingEnv {
	t.Helper()
	d := &pendingEnv{Env: storetest.NewEnv(t, 4)}
	d.ledger = storetest.MustGet(inbox.Subscribe(t.Context(), d.Env.DB, "ledger", []string{"SALE_COMPLETED"}))(t)
	storetest.MustGet(inbox.Subscribe(t.Context(), d.Env.DB, "view", []string{"SALE_COMPLETED", "INVENTORY_UPDATED"}))(t)
	return d
}

// tick makes a tick as the ticker does, and lets the relay pass it.
func (d *pendingEnv) tick() {
	d.Helper()
	d.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
		SELECT max(id) + 1, 1, pg_current_snapshot(), coalesce(pg_sequence_last_value('event_log_seq'), 0), coalesce(pg_sequence_last_value('event_log_seq'), 0) FROM tick`)
	d.Exec(`INSERT INTO log_cursor (consumer, tick, upto, seq, term) SELECT 'relay', max(id), max(id), 0, 1 FROM tick
		ON CONFLICT (consumer) DO UPDATE SET tick = excluded.tick, upto = excluded.upto`)
}

// pending is what is pending for both after a Position, a letter an event: "ledger a, view a".
func (d *pendingEnv) pending(after eventlog.Position) string {
	d.Helper()
	var texts []string
	end := storetest.MustGet(eventlog.End(context.Background(), d.Env.DB))(d)
	for _, delivery := range storetest.MustGet(eventlog.PendingDeliveries(context.Background(), d.Env.DB, []string{"ledger", "view"}, 0, end, after, false))(d) {
		_, name, _ := strings.Cut(string(delivery.Body), `"aggregateId":"`)
		texts = append(texts, delivery.Consumer+" "+name[:1])
	}
	return strings.Join(texts, ", ")
}

func (d *pendingEnv) claim(consumer inbox.ConsumerID, e event.Any) {
	d.Helper()
	storetest.Must(d, d.InTx(context.Background(), func(tx store.Tx) error {
		_, err := inbox.Claim(context.Background(), tx, consumer, []uuid.UUID{e.ID})
		return err
	}))
}

// A delivery is pending when the event is subscribed to and neither handled, nor dead, nor unpublishable, nor still
// the relay's to publish.
func TestPendingDeliveries(t *testing.T) {
	t.Parallel()
	d := newPendingEnv(t)
	a, b, c := storetest.Sale("a"), storetest.Sale("b"), storetest.Sale("c")
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{a, b}, true))(t)
	if got := d.pending(eventlog.Position{}); got != "" {
		t.Errorf("before the relay has passed anything %q is pending", got)
	}
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{c}, false))(t)
	if got := d.pending(eventlog.Position{}); got != "ledger c, view c" {
		t.Errorf("of what came straight over AMQP %q is pending", got)
	}
	d.tick()
	if got := d.pending(eventlog.Position{}); got != "ledger a, view a, ledger b, view b, ledger c, view c" {
		t.Errorf("of all that is published %q is pending", got)
	}
	if got := storetest.MustGet(eventlog.PendingDeliveries(t.Context(), d.Env.DB, []string{"ledger"}, 0, 3, eventlog.Position{}, true))(t); len(got) != 1 || got[0].EventID != c.ID {
		t.Errorf("of what came straight over AMQP %+v is pending", got)
	}
	d.claim(d.ledger, a)
	d.Exec(`INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at)
		VALUES ($1, 'view', $2, '', '', '', '', 1, '{}', '', now())`, uuid.New(), a.ID)
	d.Exec(`INSERT INTO unpublishable (seq, event_id, reason) SELECT seq, event_id, 'too large' FROM event_log WHERE event_id = $1`, b.ID)
	if got := d.pending(eventlog.Position{}); got != "ledger c, view c" {
		t.Errorf("of what is neither handled nor dead nor unpublishable %q is pending", got)
	}
	for _, gone := range []string{"redriven_at", "missed_at"} {
		d.Exec(`UPDATE dead_letter SET redriven_at = NULL, missed_at = NULL`)
		d.Exec(`UPDATE dead_letter SET ` + gone + ` = now()`)
		if got := d.pending(eventlog.Position{}); got != "view a, ledger c, view c" {
			t.Errorf("when a dead letter is no more by %s, %q is pending", gone, got)
		}
	}
	storetest.MustGet(inbox.Subscribe(t.Context(), d.Env.DB, "view", []string{"INVENTORY_UPDATED"}))(t)
	storetest.MustGet(inbox.Subscribe(t.Context(), d.Env.DB, "view", []string{"INVENTORY_UPDATED", "SALE_COMPLETED"}))(t)
	if got := d.pending(eventlog.Position{}); got != "ledger c" {
		t.Errorf("of events from before the subscriptions %q is pending", got)
	}
}

// Events of a transaction that was open at a Position lie after it, however low its numbers are.
func TestAPositionSeparatesEndedFromOpenTransactions(t *testing.T) {
	t.Parallel()
	d := newPendingEnv(t)
	d.tick()
	late := d.OpenTx()
	storetest.MustGet(eventlog.Admit(t.Context(), late, []event.Any{storetest.Sale("a")}, true))(t)
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{storetest.Sale("b")}, true))(t)
	d.tick()
	d.tick()
	point := storetest.MustGet(eventlog.ReadHealth(t.Context(), d.Env.DB))(t).Confirmed
	byTime := storetest.MustGet(eventlog.PositionAt(t.Context(), d.Env.DB, storetest.One[time.Time](t, d.SQL(), `SELECT clock_timestamp()`)))(t)
	storetest.Must(t, late.Commit())
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{storetest.Sale("c")}, true))(t)
	d.tick()
	const want = "ledger a, view a, ledger c, view c"
	if got := d.pending(point); got != want {
		t.Errorf("after the relay's point %+v %q is pending, want %q", point, got, want)
	}
	if got := d.pending(byTime); got != want {
		t.Errorf("after the point of that time %+v %q is pending, want %q", byTime, got, want)
	}
	if p := storetest.MustGet(eventlog.PositionAt(t.Context(), d.Env.DB, time.Unix(0, 0)))(t); p != (eventlog.Position{}) {
		t.Errorf("before all time the point is %+v", p)
	}
}

// Where the inbox's proofs are dropped, nothing is delivered again.
func TestPendingDeliveriesEndAtTheInboxHorizon(t *testing.T) {
	t.Parallel()
	d := newPendingEnv(t)
	a, b := storetest.Sale("a"), storetest.Sale("b")
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{a}, true))(t)
	d.claim(d.ledger, a)
	d.tick()
	storetest.MustGet(inbox.Rotate(t.Context(), d.Env.DB, 0))(t)
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{b}, true))(t)
	d.tick()
	if got := d.pending(eventlog.Position{}); got != "view a, ledger b, view b" {
		t.Errorf("with all generations %q is pending", got)
	}
	d.Exec(`INSERT INTO inbox_dropped (generation, epoch, snapshot)
		SELECT 1, epoch, snapshot FROM tick WHERE max_seq < (SELECT max(seq) FROM event_log) ORDER BY id DESC LIMIT 1`)
	d.Exec(`DELETE FROM inbox_generation WHERE generation = 1`)
	d.Exec(`DELETE FROM inbox WHERE generation = 1`)
	if got := d.pending(eventlog.Position{}); got != "ledger b, view b" {
		t.Errorf("when the first generation is gone %q is pending", got)
	}
}

// Before its subscription began a consumer has no pending deliveries.
func TestPendingSince(t *testing.T) {
	t.Parallel()
	d := newPendingEnv(t)
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{storetest.Sale("a")}, true))(t)
	d.tick()
	d.tick()
	storetest.MustGet(inbox.Subscribe(t.Context(), d.Env.DB, "late", []string{"SALE_COMPLETED"}))(t)
	for consumers, most := range map[string]int64{"ledger": 0, "ledger,late": 0, "late": 1, "unknown": 1} {
		if p := storetest.MustGet(eventlog.PendingSince(t.Context(), d.Env.DB, strings.Split(consumers, ",")))(t); p < 0 || p > most {
			t.Errorf("%s have pending deliveries since position %d, want %d at most", consumers, p, most)
		}
	}
}

// With a real ticker beside it, and many writers, every event is on exactly one side of a Position.
func TestPendingDeliveriesWithARealTicker(t *testing.T) {
	t.Parallel()
	d := newPendingEnv(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := eventlog.NewTicker(d.DB, slog.New(slog.DiscardHandler))
		store.Lead(ctx, d.Env.DB, "ticker", "test", ticker.Run, func(err error) { t.Log(err) })
	}()
	defer func() { cancel(); <-done }()
	var points []eventlog.Position
	for range 40 {
		storetest.MustGet(eventlog.AdmitOnce(t.Context(), d.Env.DB, []event.Any{storetest.Sale("x")}, false))(t)
		points = append(points, storetest.MustGet(eventlog.PositionAt(t.Context(), d.Env.DB, storetest.One[time.Time](t, d.SQL(), `SELECT clock_timestamp()`)))(t))
	}
	end := storetest.MustGet(eventlog.End(t.Context(), d.Env.DB))(t)
	for n, p := range points {
		after := len(storetest.MustGet(eventlog.PendingDeliveries(t.Context(), d.Env.DB, []string{"ledger"}, 0, end, p, true))(t))
		before := storetest.One[int](t, d.SQL(), `SELECT count(*) FROM event_log WHERE seq <= $1 OR $2 <> '' AND pg_visible_in_snapshot(tx, $2::pg_snapshot)`, p.Seq, p.Snapshot)
		if after+before != len(points) || before > n+1 {
			t.Errorf("point %d %+v has %d events before it and %d after it", n, p, before, after)
		}
	}
}

func TestGaps(t *testing.T) {
	t.Parallel()
	d := newPendingEnv(t)
	gaps := func() []eventlog.Gap { t.Helper(); return storetest.MustGet(eventlog.Gaps(t.Context(), d.Env.DB))(t) }
	early, late := eventlog.Position{Epoch: 1, Seq: 10, Snapshot: "100:100:"}, eventlog.Position{Epoch: 1, Seq: 20, Snapshot: "200:200:"}
	storetest.Must(t, eventlog.RecordGaps(t.Context(), d.Env.DB, []string{"ledger", "unknown"}, late))
	first := gaps()
	if len(first) != 1 || first[0].Consumer != "ledger" || first[0].After != late {
		t.Fatalf("noted are %+v", first)
	}
	for _, c := range []struct{ noted, want eventlog.Position }{
		{eventlog.Position{Epoch: 1, Seq: 30, Snapshot: "300:300:"}, late},
		{early, early},
		{late, early},
		{eventlog.Position{Epoch: 1, Seq: 10, Snapshot: "101:101:"}, eventlog.Position{Epoch: 1, Seq: 10}},
		{eventlog.Position{}, eventlog.Position{}},
		{early, eventlog.Position{}},
	} {
		storetest.Must(t, eventlog.RecordGaps(t.Context(), d.Env.DB, []string{"ledger"}, c.noted))
		if g := gaps(); g[0].After != c.want {
			t.Errorf("when %+v is noted too, the gap is after %+v, want %+v", c.noted, g[0].After, c.want)
		}
	}
	storetest.Must(t, eventlog.CloseGap(t.Context(), d.Env.DB, first[0]))
	if len(gaps()) != 1 {
		t.Error("a gap that was noted anew is closed with the old one")
	}
	storetest.Must(t, eventlog.CloseGap(t.Context(), d.Env.DB, gaps()[0]))
	if len(gaps()) != 0 {
		t.Error("a closed gap is still noted")
	}
}
