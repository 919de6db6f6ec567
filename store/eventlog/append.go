package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Entry is one event as the log holds it. Body is the envelope, byte for byte as it was appended.
type Entry struct {
	Seq        int64      `db:"seq"`
	EventID    uuid.UUID  `db:"event_id"`
	Type       event.Type `db:"type"`
	OccurredAt time.Time  `db:"occurred_at"`
	Body       []byte     `db:"body"`
}

// columns are events as one array a column, for unnest.
type columns struct {
	occurred, ids, tenants, types, versions, aggregate *pg.Column
	bodies                                             pg.Bodies
}

func columnsOf(events []event.Any) columns {
	n := len(events)
	c := columns{
		occurred: pg.NewColumn(n, 28), ids: pg.NewColumn(n, 36), tenants: pg.NewColumn(n, 18), types: pg.NewColumn(n, 22), versions: pg.NewColumn(n, 6),
		aggregate: pg.NewColumn(n, 38), bodies: make(pg.Bodies, n),
	}
	for i := range events {
		e := &events[i]
		c.occurred.Time(e.Timestamp)
		c.ids.UUID(e.ID)
		c.tenants.Text(e.TenantID)
		c.types.Text(string(e.Type))
		c.versions.Text(e.Version)
		c.aggregate.Text(e.AggregateID)
		c.bodies[i] = e.Body
	}
	return c
}

var appendEvents = pg.SQL(`
INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
SELECT (SELECT max(epoch) FROM epoch), $1, e.occurred_at, e.event_id, e.tenant_id, e.type, e.version, e.aggregate_id,
       sha256(convert_to(e.body, 'UTF8')), e.body
FROM unnest($2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], string_to_array($8, ` + pg.SplitBodies + `))
     AS e(occurred_at, event_id, tenant_id, type, version, aggregate_id, body)`)

// Append adds derived events to the log, to be published, in the order given. They are unique by their ids and their
// cause's inbox row; events from outside go through Admit.
func Append(ctx context.Context, tx store.Tx, events []event.Any) error {
	if len(events) == 0 {
		return nil
	}
	c := columnsOf(events)
	if _, err := pg.Exec(ctx, tx, appendEvents, true, c.occurred, c.ids, c.tenants, c.types, c.versions, c.aggregate, c.bodies); err != nil {
		return fmt.Errorf("appending %d events to the log: %w", len(events), err)
	}
	pg.NoteAppended(tx)
	return nil
}

// It joins by seq, the log's key: event_id alone is not unique over partitions.
var containedEvents = pg.SQL(`
SELECT e.event_id
FROM unnest($1::bigint[], $2::uuid[]) AS m(seq, event_id)
JOIN event_log e ON e.seq = m.seq AND e.event_id = m.event_id`)

// Contains returns which of the events the log really holds at the position they claim (Any.LogSeq).
func Contains(ctx context.Context, tx store.Tx, events []event.Any) (map[uuid.UUID]bool, error) {
	claimed := pg.NewColumns(2, len(events))
	for i := range events {
		if events[i].LogSeq > 0 {
			claimed.Add(events[i].LogSeq, events[i].ID)
		}
	}
	if claimed.Rows() == 0 {
		return map[uuid.UUID]bool{}, nil
	}
	return pg.Set[uuid.UUID](ctx, tx, fmt.Sprintf("looking up %d events in the log", claimed.Rows()), containedEvents, claimed...)
}
