package parking

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Aggregate is what events are ordered by.
type Aggregate struct {
	Tenant string `db:"tenant_id" json:"tenantId"`
	ID     string `db:"aggregate_id" json:"aggregateId"`
}

// Event is an event that is parked.
type Event struct {
	Aggregate
	EventID uuid.UUID `db:"event_id"`
	Message []byte    `db:"message"` // the message's properties, JSON
	Body    []byte    `db:"body"`
}

var lockHeld = pg.SQL(`
SELECT h.tenant_id, h.aggregate_id, h.head FROM held_aggregate h
WHERE h.consumer = $1 AND (h.tenant_id, h.aggregate_id) IN (SELECT * FROM unnest($2::text[], $3::text[]))
ORDER BY h.tenant_id, h.aggregate_id FOR UPDATE`)

// Held returns the heads of those of the aggregates that are held, and locks these.
func Held(ctx context.Context, tx store.Tx, consumer string, aggregates []Aggregate) (map[Aggregate]uuid.UUID, error) {
	keys := slices.Clone(aggregates)
	slices.SortFunc(keys, func(a, b Aggregate) int { return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID)) })
	columns := pg.NewColumns(2, len(keys))
	for _, k := range slices.Compact(keys) {
		columns.Add(k.Tenant, k.ID)
	}
	rows, err := pg.List[struct {
		Aggregate
		Head uuid.UUID
	}](ctx, tx, fmt.Sprintf("reading which of %d aggregates are held", len(keys)), lockHeld, append([]any{consumer}, columns...)...)
	held := make(map[Aggregate]uuid.UUID, len(rows))
	for _, r := range rows {
		held[r.Aggregate] = r.Head
	}
	return held, err
}

var park = pg.SQL(`
INSERT INTO parked_event (consumer, event_id, tenant_id, aggregate_id, message, body)
SELECT $1, e.event_id, e.tenant_id, e.aggregate_id, e.message, e.body
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::bytea[]) WITH ORDINALITY e(event_id, tenant_id, aggregate_id, message, body, ord)
ORDER BY e.ord
ON CONFLICT DO NOTHING`)

// Park keeps events of aggregates that Held has locked in this transaction, in their order. One that is parked already
// stays where it is.
func Park(ctx context.Context, tx store.Tx, consumer string, events []Event) error {
	columns := pg.NewColumns(5, len(events))
	for _, e := range events {
		columns.Add(e.EventID, e.Tenant, e.ID, string(e.Message), e.Body)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("parking %d events", len(events)), park, append([]any{consumer}, columns...)...)
}

var hold = pg.SQL(`
INSERT INTO held_aggregate (consumer, tenant_id, aggregate_id, head, value) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`)

// Hold holds an aggregate behind an event of it that failed, and returns its head: another event when it was held
// already. value is its lane value.
func Hold(ctx context.Context, tx store.Tx, consumer string, a Aggregate, value int, event uuid.UUID) (head uuid.UUID, err error) {
	if err := pg.Write(ctx, tx, "holding "+a.ID, hold, consumer, a.Tenant, a.ID, event, value); err != nil {
		return head, err
	}
	held, err := Held(ctx, tx, consumer, []Aggregate{a})
	return held[a], err
}

var (
	headHandled = pg.SQL(`DELETE FROM parked_event WHERE consumer = $1 AND event_id = ANY ($2::uuid[])`)
	lockHeads   = pg.SQL(`
SELECT tenant_id, aggregate_id FROM held_aggregate WHERE consumer = $1 AND head = ANY ($2::uuid[]) ORDER BY tenant_id, aggregate_id FOR UPDATE`)
	nextHead = pg.SQL(`
UPDATE held_aggregate h SET head = n.event_id, since = clock_timestamp()
FROM (SELECT DISTINCT ON (p.tenant_id, p.aggregate_id) p.tenant_id, p.aggregate_id, p.event_id FROM parked_event p
      JOIN held_aggregate g USING (consumer, tenant_id, aggregate_id)
      WHERE p.consumer = $1 AND g.head = ANY ($2::uuid[]) ORDER BY p.tenant_id, p.aggregate_id, p.ord) n
WHERE h.consumer = $1 AND h.tenant_id = n.tenant_id AND h.aggregate_id = n.aggregate_id AND h.head = ANY ($2::uuid[])`)
	letGo = pg.SQL(`DELETE FROM held_aggregate WHERE consumer = $1 AND head = ANY ($2::uuid[])`)
)

// Advance makes the next parked event the head of each aggregate whose head is among the events, which are done, and
// holds an aggregate no more that has none. It reports whether one of the events was a head.
func Advance(ctx context.Context, tx store.Tx, consumer string, events []uuid.UUID) (was bool, err error) {
	ids := pg.UUIDs(events)
	heads, err := pg.List[Aggregate](ctx, tx, "reading whose heads are done", lockHeads, consumer, ids)
	if err != nil || len(heads) == 0 {
		return false, err
	}
	for _, q := range []pg.Statement{headHandled, nextHead, letGo} {
		if err := pg.Write(ctx, tx, fmt.Sprintf("letting %d aggregates go on", len(heads)), q, consumer, ids); err != nil {
			return false, err
		}
	}
	return true, nil
}

var nextParked = pg.SQL(`
SELECT p.event_id, p.tenant_id, p.aggregate_id, p.message, p.body
FROM held_aggregate h JOIN parked_event p ON p.consumer = h.consumer AND p.event_id = h.head
WHERE h.consumer = $1 AND h.value % $3 = $2 ORDER BY p.ord LIMIT 1`)

// Next returns the oldest parked event whose turn has come, of the aggregates of one lane; lanes is how many lanes
// there are. nil when no event's turn has come.
func Next(ctx context.Context, db *store.DB, consumer string, lane, lanes int) (*Event, error) {
	due, err := pg.List[Event](ctx, db, "reading the parked events of "+consumer, nextParked, consumer, lane, lanes)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	return &due[0], nil
}

// Moved removes a parked event that was handled, or whose copy waits elsewhere now.
func Moved(ctx context.Context, db *store.DB, consumer string, event uuid.UUID) error {
	return pg.WriteAlone(ctx, db, "removing a parked event", headHandled, consumer, pg.UUIDs([]uuid.UUID{event}))
}

// HeldAggregate is an aggregate that waits for its head.
type HeldAggregate struct {
	Consumer string `db:"consumer" json:"queue"`
	Aggregate
	Head   uuid.UUID `db:"head" json:"head"`
	Since  time.Time `db:"since" json:"since"`
	Parked int64     `db:"parked" json:"parked"` // events behind it
	// Dead tells that the head is among the dead letters; else it is retried.
	Dead bool `db:"dead" json:"dead"`
}

var listHeld = pg.SQL(`
SELECT h.consumer, h.tenant_id, h.aggregate_id, h.head, h.since,
       (SELECT count(*) FROM parked_event p WHERE p.consumer = h.consumer AND p.tenant_id = h.tenant_id AND p.aggregate_id = h.aggregate_id AND p.event_id <> h.head) AS parked,
       EXISTS (SELECT FROM dead_letter d WHERE d.event_id = h.head AND d.consumer = h.consumer AND d.lies) AS dead
FROM held_aggregate h ORDER BY h.since`)

var countHeld = pg.SQL(`SELECT count(*) FROM held_aggregate`)

// Count is how many aggregates are held.
func Count(ctx context.Context, db *store.DB) (int64, error) {
	return pg.One[int64](ctx, db, "counting held aggregates", countHeld)
}

// List reads the aggregates that are held, the oldest first.
func List(ctx context.Context, db *store.DB) ([]HeldAggregate, error) {
	return pg.List[HeldAggregate](ctx, db, "reading which aggregates are held", listHeld)
}
