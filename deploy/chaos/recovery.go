package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers"
)

const (
	// Limit is how long a recovery may take before it is a finding.
	Limit = 15 * time.Second
	// recoveryPatience is how long it is waited for a recovery, to see how long it takes.
	recoveryPatience = 40 * time.Second
	recoveryLook     = 50 * time.Millisecond
)

// duties says, for each type of event, who owes a row in the inbox for it.
func duties() map[event.Type][]string {
	owes := map[event.Type][]string{}
	for _, w := range workers.Fleet(workers.Config{}) {
		for _, t := range w.Types() {
			if w.Owes() {
				owes[t] = append(owes[t], w.Name())
			}
		}
	}
	return owes
}

// recovery waits, from a heal on, until the fleet is whole again, and gives how long that took.
func (h *house) recovery(ctx context.Context, name string) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.allow(recoveryPatience))
	defer cancel()
	probe, err := h.extra(name)
	if err != nil {
		return 0, err
	}
	var waits string
	for {
		waits = h.lacks(ctx, probe)
		if waits == "" {
			return time.Since(began), nil
		}
		if !sleep(ctx, recoveryLook) {
			return time.Since(began), fmt.Errorf("not recovered after %s: %s", time.Since(began).Round(time.Second), waits)
		}
	}
}

// lacks says what is not as it should be, "" when the fleet is whole.
func (h *house) lacks(ctx context.Context, probe event.Any) string {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.allow(hearing))
	defer cancel()
	if _, err := h.direct.Admit(ctx, []event.Any{probe}, true); err != nil {
		return "an event is not admitted: " + err.Error()
	}
	owing, err := h.owing(ctx, probe.ID)
	switch {
	case err != nil:
		return "the inboxes cannot be read: " + err.Error()
	case owing != "":
		return owing + " has not handled it"
	}
	for _, m := range h.fleet {
		if !m.up() {
			return m.name + " is not up"
		}
	}
	if missing := h.missing(ctx); missing != "" {
		return missing
	}
	return h.absent(ctx)
}

// missing says what the broker lacks of the topology.
func (h *house) missing(ctx context.Context) string {
	have, err := h.management.Topology(ctx, h.vhost)
	if err != nil {
		return "the management API does not answer: " + err.Error()
	}
	if missing := workers.Topology().Missing(have); !missing.Empty() {
		return fmt.Sprintf("the broker lacks %d exchanges, %d queues and %d bindings", len(missing.Exchanges), len(missing.Queues), len(missing.Bindings))
	}
	return ""
}

const inboxHas = `
SELECT d.name FROM unnest($1::uuid[], $2::text[]) AS d(event_id, name)
WHERE NOT EXISTS (SELECT FROM consumer c JOIN inbox i ON i.consumer = c.id WHERE c.name = d.name AND i.event_id = d.event_id) LIMIT 1`

// owing names a worker that has not handled the probe, or what the ledger says of it.
func (h *house) owing(ctx context.Context, probe uuid.UUID) (string, error) {
	owes := duties()
	var ids, names []string
	owed := func(id uuid.UUID, t event.Type) {
		for _, name := range owes[t] {
			ids, names = append(ids, id.String()), append(names, name)
		}
	}
	owed(probe, event.TypeSaleCompleted)
	owed(event.DeriveID("ledger", probe, 0), event.TypeInventoryUpdated)
	var name string
	err := h.super.QueryRowContext(ctx, inboxHas, pq.StringArray(ids), pq.StringArray(names)).Scan(&name)
	if err == sql.ErrNoRows {
		return "", nil
	}
	return name, err
}

// absent names a queue that lacks consumers, "" when each has those of all processes.
func (h *house) absent(ctx context.Context) string {
	session, err := exchange.Open(ctx, h.broker)
	if err != nil {
		return "the broker does not answer: " + err.Error()
	}
	defer session.Close()
	for _, w := range workers.Fleet(workers.Config{}) {
		_, consumers, err := session.Depth(w.Queue())
		switch {
		case err != nil:
			return err.Error()
		case consumers < len(h.fleet):
			return fmt.Sprintf("%s has %d consumers of %d", w.Queue(), consumers, len(h.fleet))
		}
	}
	return ""
}

// callers are the workers that may put a message on their ladder here: the supplier sends them away.
var callers = []string{"procurement"}

// ladders finds messages that wait for another try although nothing of theirs has failed: a fault around them has cost them an attempt.
func (h *house) ladders(ctx context.Context, after string) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.allow(hearing))
	defer cancel()
	session, err := exchange.Open(ctx, h.broker)
	if err != nil {
		return err
	}
	defer session.Close()
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() != exchange.QueueName(w.Name()) || slices.Contains(callers, w.Name()) {
			continue
		}
		for _, rung := range w.Subscription().Ladder {
			ready, _, err := session.Depth(exchange.RungName(w.Name(), rung))
			if err != nil {
				return err
			}
			if ready > 0 {
				h.find(fmt.Sprintf("after %s, %d good messages wait for another try in %s", after, ready, exchange.RungName(w.Name(), rung)))
			}
		}
	}
	return nil
}
