package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers"
)

const (
	// Limit is how long a recovery may take before it is a finding.
	Limit = 15 * time.Second
	// recoveryTimeout is how long a recovery is waited for, to measure it.
	recoveryTimeout = 40 * time.Second
	recoveryPoll    = 50 * time.Millisecond
)

// trackingWorkers are the workers that track the events of a type in the inbox, by type.
func trackingWorkers() map[event.Type][]string {
	tracking := map[event.Type][]string{}
	for _, w := range workers.Fleet(workers.Config{}) {
		for _, t := range w.Types() {
			if w.TracksInbox() {
				tracking[t] = append(tracking[t], w.Name())
			}
		}
	}
	return tracking
}

// recovery waits until the fleet has recovered and gives how long that took.
func (env *environment) recovery(ctx context.Context, name string) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, env.cfg.allow(recoveryTimeout))
	defer cancel()
	probe, err := env.extra(name)
	if err != nil {
		return 0, err
	}
	var missing string
	for {
		missing = env.unrecovered(ctx, probe)
		if missing == "" {
			return time.Since(began), nil
		}
		if !clock.Sleep(ctx, recoveryPoll) {
			return time.Since(began), fmt.Errorf("not recovered after %s: %s", time.Since(began).Round(time.Second), missing)
		}
	}
}

// unrecovered says what has not recovered, "" when everything has.
func (env *environment) unrecovered(ctx context.Context, probe event.Any) string {
	ctx, cancel := context.WithTimeout(ctx, env.cfg.allow(attemptTimeout))
	defer cancel()
	if _, err := eventlog.AdmitOnce(ctx, env.direct, []event.Any{probe}, true); err != nil {
		return "an event is not admitted: " + err.Error()
	}
	pending, err := env.pendingConsumer(ctx, probe.ID)
	switch {
	case err != nil:
		return "the inboxes cannot be read: " + err.Error()
	case pending != "":
		return pending + " has not handled it"
	}
	for _, m := range env.fleet {
		if !m.up() {
			return m.name + " is not up"
		}
	}
	if env.switching(ctx) {
		return "the lanes of " + ordered + " are still switched"
	}
	if missing := env.missing(ctx); missing != "" {
		return missing
	}
	return env.missingConsumers(ctx)
}

// missing says what the broker lacks of the topology, "" when it is complete.
func (env *environment) missing(ctx context.Context) string {
	have, err := env.management.Topology(ctx, env.vhost)
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

// pendingConsumer names a worker that has not handled the probe or the ledger's event that follows from it.
func (env *environment) pendingConsumer(ctx context.Context, probe uuid.UUID) (string, error) {
	tracking := trackingWorkers()
	var ids, names []string
	expect := func(id uuid.UUID, t event.Type) {
		for _, name := range tracking[t] {
			ids, names = append(ids, id.String()), append(names, name)
		}
	}
	expect(probe, event.TypeSaleCompleted)
	expect(event.DeriveID("ledger", probe, 0), event.TypeInventoryUpdated)
	var name string
	err := env.super.QueryRowContext(ctx, inboxHas, pq.StringArray(ids), pq.StringArray(names)).Scan(&name)
	if err == sql.ErrNoRows {
		return "", nil
	}
	return name, err
}

// missingConsumers names a queue that lacks consumers, "" when each has one of every process.
func (env *environment) missingConsumers(ctx context.Context) string {
	session, err := rabbitmq.Open(ctx, env.broker)
	if err != nil {
		return "the broker does not answer: " + err.Error()
	}
	defer session.Close()
	for _, w := range workers.Fleet(workers.Config{}) {
		_, consumers, err := session.Depth(w.Queue())
		switch {
		case err != nil:
			return err.Error()
		case consumers < len(env.fleet):
			return fmt.Sprintf("%s has %d consumers of %d", w.Queue(), consumers, len(env.fleet))
		}
	}
	return ""
}

// callers are the workers that may retry here: the supplier answers busy.
var callers = []string{"procurement"}

// checkRetryQueues finds messages in retry queues although nothing has failed for them: a fault of the infrastructure
// must not cost a message an attempt.
func (env *environment) checkRetryQueues(ctx context.Context, after string) error {
	ctx, cancel := context.WithTimeout(ctx, env.cfg.allow(attemptTimeout))
	defer cancel()
	session, err := rabbitmq.Open(ctx, env.broker)
	if err != nil {
		return err
	}
	defer session.Close()
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() != topology.QueueName(w.Name()) || slices.Contains(callers, w.Name()) {
			continue
		}
		for _, delay := range w.Subscription().RetryDelays {
			ready, _, err := session.Depth(topology.RetryQueueName(w.Name(), delay))
			if err != nil {
				return err
			}
			if ready > 0 {
				env.addFinding(fmt.Sprintf("after %s, %d messages wait in %s without a failure of their own", after, ready, topology.RetryQueueName(w.Name(), delay)))
			}
		}
	}
	return nil
}
