package deadletters_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// A publish to a queue of dead letters and to the log's: the broker died and kept only the first.
func (p *env) dieUnheard(messages ...rabbitmq.Message) {
	p.Helper()
	session, err := rabbitmq.Open(p.Context(), p.Broker)
	p.Must(err)
	defer session.Close()
	publisher, err := session.Publisher(len(messages))
	p.Must(err)
	for _, m := range messages {
		m.Exchange, m.RoutingKey = "", deadQueue
		c, err := publisher.Publish(p.Context(), m)
		p.Must(err)
		p.Must(c.Wait(p.Context()))
	}
}

func TestStockIsTaken(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	known := p.die(3, errors.New("no cup is left"))
	unheard := dead(p.sale("acme", "unheard"), ledger, errors.New("no jug is left"))
	p.dieUnheard(unheard, unheard)
	p.Exec(`UPDATE dead_letter SET redriven_at = clock_timestamp() WHERE aggregate_id = '1'`) // a crash before the ack
	p.Exec(`
INSERT INTO dead_letter (id, consumer, message_id, type, routing_key, error, attempt, headers, body, died_at, recorded_at)
SELECT gen_random_uuid(), consumer, 'moved by hand', type, routing_key, error, attempt, headers, body, died_at, '2020-01-01' FROM dead_letter LIMIT 1`)
	before := p.ids(deadQueue)

	stock, err := p.cfg.Reconcile(t.Context(), queue)
	storetest.Must(t, err)
	if want := (deadletters.Reconciliation{Seen: 4, Entered: 2, Missed: 1}); stock != want {
		t.Errorf("the stock is %+v, want %+v", stock, want)
	}
	if n := p.count(`SELECT count(*) FROM dead_letter WHERE lies`); n != len(known)+1 {
		t.Errorf("the log has %d pending, want %d", n, len(known)+1)
	}
	if n := p.count(`SELECT count(*) FROM dead_letter WHERE lies AND message_id = $1`, unheard.ID); n != 1 {
		t.Errorf("the letter that was not in the log is there %d times, want once", n)
	}
	if after := p.ids(deadQueue); len(before) != 5 || !slices.Equal(after, before) {
		t.Errorf("the queue was %v, and is %v", before, after)
	}
	if stock, err = p.cfg.Reconcile(t.Context(), queue); err != nil || stock != (deadletters.Reconciliation{Seen: 4}) {
		t.Errorf("once more it is %+v (%v), want nothing new", stock, err)
	}
}

func TestNoStockIsTakenBesideAnother(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.die(1, errors.New("no cup is left"))
	c, err := p.Session().Consume(deadQueue, uuid.NewString(), 1)
	storetest.Must(t, err)
	defer c.Close()
	if _, err := p.cfg.Reconcile(t.Context(), queue); !errors.Is(err, deadletters.ErrBusy) {
		t.Errorf("want %v, got %v", deadletters.ErrBusy, err)
	}
}
