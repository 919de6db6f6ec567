package deadletterlog_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/deadletterlog"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// record hands messages to the worker and gives all that is in it, newest first.
func record(t *testing.T, db *store.DB, messages ...rabbitmq.Delivery) []failures.DeadLetter {
	t.Helper()
	if said, err := workertest.Deliver(t, db, deadletterlog.New(), messages...); err != nil || len(said) != 0 {
		t.Fatalf("want an entry and no word, got %d events and %v", len(said), err)
	}
	return storetest.DeadLetters(t, db)
}

// died is a sale as a worker that could not handle it leaves it.
func died(t *testing.T, cause error) rabbitmq.Delivery {
	t.Helper()
	d := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1"))
	return rabbitmq.Delivery{Message: rabbitmq.DeadMessage(d, "ledger", cause)}
}

func TestOurOwnDeadLetter(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	d := died(t, errors.New("no cup is left"))
	letters := record(t, db, d)
	if len(letters) != 1 {
		t.Fatalf("want one entry, got %d", len(letters))
	}
	l := letters[0]
	if l.Consumer != "ledger" || l.Error != "no cup is left" || l.Attempt != 1 || l.Type != "SALE_COMPLETED" ||
		l.RoutingKey != "integration.sale_completed" || l.MessageID != d.ID || l.EventID.UUID.String() != d.ID || string(l.Body) != string(d.Body) {
		t.Errorf("want who, why and what, got %+v", l)
	}
	if time.Since(l.DiedAt) > time.Minute || !strings.Contains(string(l.Headers), `"x-failed-worker": "ledger"`) {
		t.Errorf("want when, and the headers, got %s, %s", l.DiedAt, l.Headers)
	}
	if again := record(t, db, d, d); len(again) != 1 {
		t.Errorf("want a second delivery to be the same entry, got %d", len(again))
	}
	later := d
	later.Message = rabbitmq.DeadMessage(d, "ledger", errors.New("still none"))
	if again := record(t, db, later); len(again) != 2 {
		t.Errorf("want the same message, dead again later, to be another entry, got %d", len(again))
	}
}

// The broker dead-letters by itself what was delivered too often.
func TestTheBrokersOwnDeadLetter(t *testing.T) {
	t.Parallel()
	db, broker := storetest.DB(t), rabbitmqtest.Vhost(t)
	want := topology.Compute(nil)
	queue := topology.QueueName("ledger")
	want.Queues = append(want.Queues, topology.QueueSpec{Name: queue, Arguments: map[string]any{
		"x-queue-type": "quorum", "x-delivery-limit": int64(1), "x-dead-letter-exchange": topology.Dead, "x-dead-letter-routing-key": queue,
	}})
	want.Bindings = append(want.Bindings, topology.BindingSpec{Exchange: topology.Events, Queue: queue, RoutingKey: "#"})
	must(t, rabbitmq.Apply(t.Context(), want, broker))
	open := func() *rabbitmq.Session {
		session, err := rabbitmq.Open(t.Context(), broker)
		must(t, err)
		t.Cleanup(func() { _ = session.Close() })
		return session
	}
	session := open()
	publisher, err := session.Publisher(1)
	must(t, err)
	sale := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1")).Message
	confirmation, err := publisher.Publish(t.Context(), sale)
	must(t, err)
	must(t, confirmation.Wait(t.Context()))
	for range 2 { // A lost session counts a delivery with every version; from 4.3 on a nack does not.
		lost := open()
		consumer, err := lost.Consume(queue, "vain", 1)
		must(t, err)
		take(t, consumer)
		must(t, lost.Close())
	}
	dead, err := session.Consume(topology.DeadLetterLog, "deadletterlog", 1)
	must(t, err)
	d := take(t, dead)

	letters := record(t, db, d, d)
	if len(letters) != 1 {
		t.Fatalf("want one entry, got %d", len(letters))
	}
	l := letters[0]
	if l.Consumer != "ledger" || !strings.Contains(l.Error, "the broker dead-lettered it from composerp.ledger: delivery_limit") ||
		l.RoutingKey != "integration.sale_completed" || l.EventID.UUID.String() != sale.ID || l.DiedAt.IsZero() {
		t.Errorf("want what the broker said of it, got %+v", l)
	}
}

func take(t *testing.T, c *rabbitmq.Consumer) rabbitmq.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline(time.Minute))
	defer cancel()
	taken, err := c.Take(ctx, 1)
	must(t, err)
	return taken[0]
}

// The worker has no retry queues: it must take every dead letter.
func TestWhateverHasDiedIsRecorded(t *testing.T) {
	t.Parallel()
	with := func(change func(d *rabbitmq.Delivery)) rabbitmq.Delivery {
		d := died(t, errors.New("no"))
		change(&d)
		return d
	}
	header := func(name string, value any) rabbitmq.Delivery {
		return with(func(d *rabbitmq.Delivery) { d.Headers[name] = value })
	}
	for name, d := range map[string]rabbitmq.Delivery{
		"nothing at all":               {},
		"a body that is no event":      with(func(d *rabbitmq.Delivery) { d.Body = []byte("\x00\xff garbage") }),
		"a body that is JSON":          with(func(d *rabbitmq.Delivery) { d.Body = []byte(`[1]`) }),
		"an id that is no UUID":        with(func(d *rabbitmq.Delivery) { d.ID, d.Body = "no \x00 uuid \xff", nil }),
		"a type with a zero byte":      with(func(d *rabbitmq.Delivery) { d.Type = "\x00" }),
		"an error with a zero byte":    header(rabbitmq.HeaderError, "\x00\xff"),
		"a number that is none":        header("x", math.NaN()),
		"an infinite one, deep inside": header("x", []any{map[string]any{"y": math.Inf(1)}}),
		"bytes":                        header("x\x00", []byte{0, 255}),
		"an attempt beyond an int":     header(rabbitmq.HeaderAttempt, int64(1)<<40),
		"an attempt below zero":        header(rabbitmq.HeaderAttempt, int64(-7)),
		"x-death that is no list":      header("x-death", "nonsense"),
		"x-death of nonsense":          header("x-death", []any{"nonsense"}),
		"no time, or one far off": with(func(d *rabbitmq.Delivery) {
			delete(d.Headers, rabbitmq.HeaderLastFailedAt)
			d.Timestamp = time.Unix(math.MaxInt64/2, 0)
		}),
		"a header with a year of five digits": header("x", time.Date(12024, 1, 1, 0, 0, 0, 0, time.UTC)),
		"a large body":                        with(func(d *rabbitmq.Delivery) { d.Body = make([]byte, 2<<20) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.DB(t)
			if letters := record(t, db, d, died(t, errors.New("its neighbour"))); len(letters) != 2 {
				t.Errorf("want it and its neighbour recorded, got %d", len(letters))
			}
			if letters := record(t, db, d); len(letters) != 2 {
				t.Errorf("want a second delivery to be the same entry, got %d", len(letters))
			}
			for _, l := range record(t, db) {
				if l.Error != "its neighbour" && string(l.Body) != string(d.Body) {
					t.Errorf("want the body byte for byte, got %q", l.Body)
				}
				if name == "a number that is none" && l.Error == "no" && !strings.Contains(string(l.Headers), `"x": "NaN"`) {
					t.Errorf("want the header as it can be written, got %s", l.Headers)
				}
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
