package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// What a message says of itself is believed of the relay, and of others when the log has it.
func TestWhatIsBelievedOfAMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(d *rabbitmq.Delivery, seq int64) // seq is the event's log position
		event  func(t *testing.T) event.Any          // nil: a sale
		logSeq bool                                  // the handler gets the log position
		wrong  string                                // of the rejection
	}{
		"an external publisher's":       {change: func(*rabbitmq.Delivery, int64) {}},
		"the relay's":                   {change: func(d *rabbitmq.Delivery, seq int64) { relayed(d, seq); d.OwnUser = true }, logSeq: true},
		"of a relay with another user":  {change: relayed, logSeq: true},
		"x-relayed, and no position":    {change: func(d *rabbitmq.Delivery, _ int64) { relayed(d, 0) }, wrong: "x-relayed"},
		"x-relayed, and a position":     {change: func(d *rabbitmq.Delivery, seq int64) { relayed(d, seq+1) }, wrong: "x-relayed"},
		"x-relayed, and a changed body": {change: func(d *rabbitmq.Delivery, seq int64) { relayed(d, seq); d.Body = append(d.Body, ' ') }, wrong: "x-relayed"},
		"a copy of another user's": {change: func(d *rabbitmq.Delivery, seq int64) {
			relayed(d, seq+1)
			d.OwnUser, d.UserID = true, "till"
		}, wrong: "x-relayed"},
		"a forged position alone": {change: func(d *rabbitmq.Delivery, seq int64) {
			d.Headers = map[string]any{rabbitmq.HeaderLogSeq: seq + 1}
		}},
		"an internal type":              {event: internalEvent, change: func(d *rabbitmq.Delivery, _ int64) { d.OwnUser, d.Headers = false, nil }, wrong: "external publishers may not send"},
		"an internal type, and a place": {event: internalEvent, change: func(d *rabbitmq.Delivery, _ int64) { d.OwnUser = false }, wrong: "external publishers may not send"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, storetest.URL(t), 2)
			e := workertest.Sale(t, "cup", "shop", "1")
			if c.event != nil {
				e = c.event(t)
			}
			if _, err := eventlog.AdmitOnce(t.Context(), db, []event.Any{workertest.Sale(t, "cup", "shop", "1"), e}, true); err != nil {
				t.Fatal(err)
			}
			entry, err := eventlog.EntryByID(t.Context(), db, e.ID)
			if err != nil {
				t.Fatal(err)
			}
			d := workertest.Delivery(e)
			c.change(&d, entry.Seq)
			var got []int64
			handle := func(_ context.Context, _ *worker.Tx, events []event.Any) error {
				for _, e := range events {
					got = append(got, e.LogSeq)
				}
				return nil
			}
			_, err = workertest.Deliver(t, db, worker.New("reader", worker.OnBatch(handle, e.Type)), d)
			if c.wrong != "" {
				if !errors.Is(err, worker.ErrRejected) || !strings.Contains(err.Error(), c.wrong) || len(got) > 0 {
					t.Errorf("want a rejection that says %q, got %v, and %v handled", c.wrong, err, got)
				}
				return
			}
			want := int64(0)
			if c.logSeq {
				want = entry.Seq
			}
			if err != nil || len(got) != 1 || got[0] != want {
				t.Errorf("want it handled with the log position %d, got %v and %v", want, got, err)
			}
		})
	}
}

// relayed makes the delivery look as the relay's.
func relayed(d *rabbitmq.Delivery, seq int64) {
	d.Headers = map[string]any{rabbitmq.HeaderLogSeq: seq, topology.HeaderRelayed: true}
}

func internalEvent(t *testing.T) event.Any {
	return workertest.Event(t, lowStock("cup", "shop"))
}

// An external publisher's properties are the metadata that its body lacks, where they are ids.
func TestPropertiesAreMetadata(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.URL(t), 2)
	var got []event.Metadata
	w := worker.New("reader", worker.On(func(_ context.Context, _ *worker.Tx, e event.Of[event.SaleCompleted]) error {
		got = append(got, e.Metadata)
		return nil
	}))
	d := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1"))
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	d.UserID, d.AppID, d.CorrelationID = "till", "pos 4.2", "R-17"
	d.Headers = map[string]any{"traceparent": traceparent}
	d.Timestamp = time.Date(2024, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	odd := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1"))
	odd.Timestamp = time.Unix(1<<40, 0)
	odd.UserID, odd.CorrelationID = strings.Repeat("x", 65), "a\x00b"
	odd.Headers = map[string]any{"traceparent": "00-" + strings.Repeat("x", 32) + "-00f067aa0ba902b7-01"}
	if _, err := workertest.Deliver(t, db, w, d, odd); err != nil {
		t.Fatal(err)
	}
	want := []event.Metadata{
		{Source: "test", UserID: "till", CorrelationID: "R-17", Traceparent: traceparent, PublishedAt: time.Date(2024, 3, 1, 11, 0, 0, 0, time.UTC)},
		{Source: "test"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A sale in another currency than its location's is a dead letter of each worker.
func TestAForeignCurrency(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	storetest.Exec(t, url, `INSERT INTO tenant_setting (tenant_id, currency) VALUES ($1, 'EUR')`, workertest.Tenant)
	handled := 0
	w := worker.New("reader", worker.On(func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) error {
		handled++
		return nil
	}))
	for currency, want := range map[string]error{"EUR": nil, "": nil, "CHF": eventlog.ErrCurrency} {
		one := workertest.Decimal("1")
		sale := event.SaleCompleted{SaleID: "s", ItemID: "cup", LocationID: "shop", Quantity: one, Amount: one, Currency: currency, Timestamp: workertest.Day}
		_, err := workertest.Deliver(t, db, w, workertest.Delivery(workertest.Event(t, sale)))
		if !errors.Is(err, want) || errors.Is(err, worker.ErrRejected) != (want != nil) {
			t.Errorf("in %q: %v", currency, err)
		}
	}
	if handled != 2 {
		t.Errorf("%d sales were handled, want 2", handled)
	}
}

// A sale of a till whose clock is wrong is a dead letter of each worker, and its neighbours of the batch are handled.
func TestABusinessTimeOutOfBounds(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.URL(t), 2)
	var got []string
	w := worker.New("reader", worker.On(func(_ context.Context, _ *worker.Tx, e event.Of[event.SaleCompleted]) error {
		got = append(got, e.Payload.ItemID)
		return nil
	}))
	far := func(env *event.Envelope) { env.Timestamp = time.Now().Add(37 * time.Hour) }
	payload := event.SaleCompleted{SaleID: "s", ItemID: "far", LocationID: "shop", Quantity: workertest.Decimal("1"), Amount: workertest.Decimal("1"), Timestamp: time.Now().Add(37 * time.Hour)}
	odd := workertest.Delivery(workertest.Event(t, payload, far))
	if _, err := workertest.Deliver(t, db, w, odd); !errors.Is(err, worker.ErrRejected) || !errors.Is(err, eventlog.ErrBusinessTime) {
		t.Errorf("want it rejected, got %v", err)
	}
	if err := w.Rehearse(t.Context(), db, odd); !errors.Is(err, eventlog.ErrBusinessTime) {
		t.Errorf("want a rehearsal to say so, got %v", err)
	}
	odd.OwnUser, odd.Headers = true, map[string]any{rabbitmq.HeaderLogSeq: int64(7)}
	if _, err := workertest.Deliver(t, db, w, odd); !errors.Is(err, eventlog.ErrBusinessTime) || len(got) != 0 {
		t.Errorf("want what got into the log all the same rejected, got %v, %v", err, got)
	}
}

// Of two tenants' events with one id, all workers take the one that came first to any of them, and reject the other,
// also those that have not had the first yet.
func TestTwoTenantsWithOneID(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	var got []string
	take := func(name string, options ...worker.Option) worker.Worker {
		return worker.New(name, append(options, worker.On(func(_ context.Context, _ *worker.Tx, e event.Of[event.SaleCompleted]) error {
			got = append(got, name+" "+e.TenantID)
			return nil
		}))...)
	}
	one := workertest.Sale(t, "cup", "shop", "1")
	two := workertest.Event(t, one.Payload, workertest.WithID(one.ID.String()), func(env *event.Envelope) { env.TenantID = "other" })
	for _, step := range []struct {
		worker worker.Worker
		event  event.Any
		taken  bool
	}{{take("first"), one, true}, {take("second"), two, false}, {take("first"), two, false}, {take("second"), one, true}, {take("idle", worker.Idempotent()), two, false}, {take("idle", worker.Idempotent()), one, true}} {
		_, err := workertest.Handle(t, db, step.worker, step.event)
		if errors.Is(err, worker.ErrRejected) == step.taken || step.taken && err != nil {
			t.Errorf("%s takes the event of %s: %v", step.worker.Name(), step.event.TenantID, err)
		}
	}
	if !slices.Equal(got, []string{"first acme", "second acme", "idle acme"}) {
		t.Errorf("handled were %v", got)
	}
	if logged := storetest.Value[string](t, url, `SELECT string_agg(tenant_id, ' ') FROM event_log`); logged != "acme" {
		t.Errorf("the log has the events of %s", logged)
	}
}
