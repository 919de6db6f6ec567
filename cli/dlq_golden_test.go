package cli_test

import (
	"context"
	"strings"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
)

// letterGoldens are those of dead letters: one that its worker would handle
// today, one that no worker ever will, and one that is thrown away. They are the
// last, for a dead letter is a finding of the doctor's.
func letterGoldens(h *environment) []goldenLine {
	sale := `{"eventId":"0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a91","eventType":"SALE_COMPLETED","aggregateType":"SALE","aggregateId":"S91","tenantId":"t9",` +
		`"timestamp":"2026-02-09T12:00:00Z","version":"1.0","payload":{"saleId":"S91","itemId":"cup","locationId":"LON","quantity":1,"amount":4,` +
		`"timestamp":"2026-02-09T12:00:00Z"},"metadata":{"source":"pos"}}`
	export := h.dir + "/discarded.ndjson"
	return []goldenLine{
		{command: "dlq list", only: "ledger", mask: []string{"inQueue"}, noTable: true, before: func() {
			h.bury("ledger", "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a91", sale, "no position of item \"cup\" at LON", "12:00:01Z")
			h.bury("ledger", "0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a92", strings.NewReplacer(`"quantity":1,`, "", "1b2a91", "1b2a92", "S91", "S92").Replace(sale), "payload.quantity is missing", "12:00:02Z")
			h.bury("intake", "", "garbage", "line 1, column 1: no JSON", "12:00:03Z")
			h.soon("the dead-letter log has them", func() bool {
				return storetest.Value[int](h, h.database, `SELECT count(*) FROM dead_letter WHERE consumer IN ('ledger', 'intake')`) == 3
			})
			storetest.Exec(h, h.database, `UPDATE dead_letter SET policy = 'policy brief: message-ttl 5000 ms' WHERE aggregate_id = 'S91'`)
		}},
		{command: "dlq list", as: "dlq_list_each", only: "cup", args: []string{"--queue", "ledger", "--each"}},
		{command: "dlq list", as: "dlq_list_none", args: []string{"--queue", "intake", "--tenant", "unknown"}},
		{command: "dlq show", args: []string{"0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a91"}},
		{command: "dlq redrive", as: "dlq_redrive_dry_run", args: []string{"--queue", "ledger", "--dry-run"}, code: 2, mask: []string{"elapsedMs"}},
		{command: "dlq redrive", args: []string{"--queue", "ledger", "--tenant", "t9", "--error", "position"}, mask: []string{"elapsedMs"}, noTable: true},
		{command: "dlq discard", args: []string{"--queue", "intake", "--confirm", "composerp.intake.dead", "--export", export},
			mask: []string{"elapsedMs", "export"}, noTable: true},
		{command: "dlq list", as: "dlq_list_unrouted_none", args: []string{"--queue", "unrouted"}},
		{command: "dlq list", as: "dlq_list_unrouted", args: []string{"--queue", "unrouted"}, before: func() { h.misroute("S93", "S94") }},
		{command: "dlq list", as: "dlq_list_unrouted_each", args: []string{"--queue", "unrouted", "--each"}},
	}
}

// misroute publishes events by keys that no queue is bound for.
func (h *environment) misroute(ids ...string) {
	h.Helper()
	session, publisher := h.publisher()
	for _, id := range ids {
		m := rabbitmq.Message{Exchange: topology.Events, RoutingKey: "integration.sale_complete", ID: id, Type: "SALE_COMPLETED", Body: []byte(`{"tenantId":"t9"}`)}
		confirmation, err := publisher.Publish(h.Context(), m)
		if err == nil {
			err = confirmation.Wait(h.Context())
		}
		if err != nil {
			h.Fatal(err)
		}
	}
	h.soon("the queue has them", func() bool {
		depth, _, err := session.Depth(topology.Unrouted)
		return err == nil && depth == len(ids)
	})
}

// bury puts a message among a worker's dead letters.
func (h *environment) bury(worker, id, body, cause, died string) {
	h.Helper()
	_, publisher := h.publisher()
	h.buryBy(publisher, worker, id, body, cause, died)
}

func (h *environment) publisher() (*rabbitmq.Session, *rabbitmq.Publisher) {
	h.Helper()
	session, err := rabbitmq.Open(h.Context(), h.broker)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { session.Close() })
	publisher, err := session.Publisher(1)
	if err != nil {
		h.Fatal(err)
	}
	return session, publisher
}

func (h *environment) buryBy(publisher *rabbitmq.Publisher, worker, id, body, cause, died string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), localtest.Deadline(time.Minute))
	defer cancel()
	died = "2026-02-09T" + died
	d := rabbitmq.Delivery{Message: rabbitmq.Message{ID: id, Body: []byte(body), Exchange: topology.Events, RoutingKey: "integration.sale_completed"}}
	if id != "" {
		d.Type = "SALE_COMPLETED"
	}
	m := rabbitmq.DeadMessage(d, worker, nil)
	m.Headers[rabbitmq.HeaderError], m.Headers[rabbitmq.HeaderFirstError] = cause, cause
	m.Headers[rabbitmq.HeaderFirstFailedAt], m.Headers[rabbitmq.HeaderLastFailedAt] = died, died
	confirmation, err := publisher.Publish(ctx, m)
	if err == nil {
		err = confirmation.Wait(ctx)
	}
	if err != nil {
		h.Fatal(err)
	}
}

func (h *environment) soon(what string, holds func() bool) {
	h.Helper()
	localtest.Eventually(h, time.Minute, what, holds)
}
