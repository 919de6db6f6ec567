package audit

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Counts are how much there is of everything the audit proves, before and since the checkpoint.
type Counts struct {
	Events    int64            `json:"events"`    // in the log
	Published int64            `json:"published"` // of those, by the relay: the others came straight over AMQP
	ByType    map[string]int64 `json:"byType"`
	Consumers []ConsumerCounts `json:"consumers"`
	Movements int64            `json:"movements"`
	// Archived events were proven before they left the database. A full audit does not count them among Events.
	Archived  int64 `json:"archived,omitempty"`
	Positions int64 `json:"positions"`
	Items     int64 `json:"items"`
	// UnitsNet is the stock at all real locations together.
	UnitsNet event.Decimal `json:"unitsNet"`
}

// ConsumerCounts are what one consumer has done.
type ConsumerCounts struct {
	Consumer string `db:"consumer" json:"consumer"`
	Handled  int64  `db:"handled" json:"handled"` // of the log's events it is subscribed to
	Dead     int64  `db:"dead" json:"dead"`       // rows in the dead-letter log
	// Copies are dead letters of events that were handled as well, or died more than once: a crash between a confirm
	// and an ack makes them, and so does a redrive.
	Copies int64 `db:"copies" json:"copies"`
}

var auditCountTypes = twoVariants(func(w extent) string {
	return `SELECT e.type, count(*) AS events, count(*) FILTER (WHERE e.publish) AS published FROM event_log e WHERE ` + w.fresh + ` GROUP BY e.type ORDER BY e.type`
})

var auditCountConsumers = pg.SQL(`
WITH dead AS (
    SELECT d.consumer, count(*) AS n, count(*) FILTER (WHERE i.n > 0 OR d.nth > 1) AS copies
    FROM (SELECT consumer, event_id, row_number() OVER (PARTITION BY consumer, event_id, CASE WHEN event_id IS NULL THEN id END ORDER BY recorded_at, id) AS nth
          FROM dead_letter) d
    LEFT JOIN consumer c ON c.name = d.consumer
    CROSS JOIN LATERAL (SELECT count(*) AS n FROM inbox i WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = c.id AND i.event_id = d.event_id) i
    GROUP BY d.consumer
)
SELECT coalesce(c.name, d.consumer) AS consumer, coalesce(d.n, 0) AS dead, coalesce(d.copies, 0) AS copies
FROM consumer c FULL JOIN dead d ON d.consumer = c.name ORDER BY 1`)

var auditCountStock = pg.SQL(`
SELECT count(*) AS positions, count(DISTINCT (tenant_id, item_id)) AS items,
       coalesce(sum(on_hand) FILTER (WHERE location_id NOT LIKE '@%'), 0) AS units_net
FROM position WHERE sequence > 0`)

// tally is how much of everything was proven, as a checkpoint keeps it.
type tally struct {
	Checks    map[string]int64 `json:"checks"` // for the counting checks
	Events    map[string]int64 `json:"events"` // by type
	Published int64            `json:"published"`
	Handled   map[string]int64 `json:"handled"` // by consumer
}

func newTally() tally {
	return tally{Checks: map[string]int64{}, Events: map[string]int64{}, Handled: map[string]int64{}}
}

func (t tally) events() (n int64) {
	for _, m := range t.Events {
		n += m
	}
	return n
}

// tallyLog adds the new events by type, and the deliveries handled.
func (a *run) tallyLog(ctx context.Context) error {
	var types []struct {
		Type      string `db:"type"`
		Events    int64  `db:"events"`
		Published int64  `db:"published"`
	}
	if err := a.selectAll(ctx, &types, a.variant(auditCountTypes)); err != nil {
		return fmt.Errorf("counting the log's events: %w", err)
	}
	for _, t := range types {
		a.tally.Events[t.Type] += t.Events
		a.tally.Published += t.Published
		a.fresh += t.Events
	}
	var subscribed []struct {
		Consumer   string `db:"consumer"`
		Deliveries int64  `db:"deliveries"`
	}
	if err := a.selectAll(ctx, &subscribed, a.variant(auditSubscribed)); err != nil {
		return fmt.Errorf("counting the deliveries of consumers: %w", err)
	}
	for _, o := range subscribed {
		a.deliveries += o.Deliveries
		a.tally.Handled[o.Consumer] += o.Deliveries
	}
	for _, o := range a.open {
		if o.Consumer != eventlog.RelayConsumer && o.Consumer != auditedIntake {
			a.deliveries -= o.flying()
			a.tally.Handled[o.Consumer] -= o.Unhandled
		}
	}
	return nil
}

// counts returns the tally, and what is counted anew each time.
func (a *run) counts(ctx context.Context) (Counts, error) {
	counts := Counts{
		Events: a.tally.events(), Published: a.tally.Published, ByType: a.tally.Events, Movements: a.tally.Checks["movements"], Consumers: []ConsumerCounts{},
		Archived: a.began.ArchivedCount,
	}
	if err := pg.Select(ctx, a.tx, &counts.Consumers, auditCountConsumers); err != nil {
		return counts, fmt.Errorf("counting what consumers have handled: %w", err)
	}
	for i, c := range counts.Consumers {
		counts.Consumers[i].Handled = a.tally.Handled[c.Consumer]
	}
	var stock struct {
		Positions int64         `db:"positions"`
		Items     int64         `db:"items"`
		UnitsNet  event.Decimal `db:"units_net"`
	}
	if err := pg.Get(ctx, a.tx, &stock, auditCountStock); err != nil {
		return counts, fmt.Errorf("counting positions: %w", err)
	}
	counts.Positions, counts.Items, counts.UnitsNet = stock.Positions, stock.Items, stock.UnitsNet
	return counts, nil
}
