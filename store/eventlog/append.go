package eventlog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
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
	// Tenant and Aggregate are known of events that ReadPage has read.
	Tenant    string `db:"tenant_id"`
	Aggregate string `db:"aggregate_id"`
	// LoggedAt is when the statement that appended the event began; zero for an event of the version before. Known of
	// events that ReadPage has read.
	LoggedAt time.Time `db:"-"`
	// Direct: it came straight over AMQP, so that the relay need not publish it. Known of events that ReadWholePage
	// has read.
	Direct bool `db:"-"`
}

// columns are events as one array a column, for unnest.
type columns struct {
	occurred, ids, tenants, types, versions, aggregate *pg.Column
	bodies                                             bodies
}

func columnsOf(events []event.Any) columns {
	n := len(events)
	c := columns{
		occurred: pg.NewColumn(n, 28), ids: pg.NewColumn(n, 36), tenants: pg.NewColumn(n, 18), types: pg.NewColumn(n, 22), versions: pg.NewColumn(n, 6),
		aggregate: pg.NewColumn(n, 38), bodies: make(bodies, n),
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
FROM unnest($2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], string_to_array($8, ` + splitBodies + `))
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
	pg.NoteAppended(tx, announce)
	return nil
}

var containedEvents = pg.SQL(`
SELECT m.ord
FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS m(seq, sha256, ord)
JOIN event_log e ON e.seq = m.seq AND e.body_sha256 = m.sha256`)

// Claim is what the publisher of a message says of it: the log has this body at the log position Seq.
type Claim struct {
	Seq  int64
	Body []byte
}

// Contains returns which of the claims hold.
func Contains(ctx context.Context, db *store.DB, claims []Claim) ([]bool, error) {
	columns := pg.NewColumns(2, len(claims))
	for _, c := range claims {
		digest := sha256.Sum256(c.Body)
		columns.Add(c.Seq, digest[:])
	}
	held := make([]bool, len(claims))
	err := pg.Each(ctx, db, fmt.Sprintf("looking up %d events in the log", len(claims)), containedEvents, func(row *sql.Rows) error {
		var ord int
		if err := row.Scan(&ord); err != nil {
			return err
		}
		held[ord-1] = true
		return nil
	}, columns...)
	if err != nil || !slices.Contains(held, false) {
		return held, err
	}
	return held, containOtherwise(ctx, db, claims, held)
}

var claimedBodies = pg.SQL(`
SELECT m.ord, e.body FROM unnest($1::bigint[]) WITH ORDINALITY AS m(seq, ord) JOIN event_log e ON e.seq = m.seq`)

// containOtherwise finds those of the claims whose body is the log's in another version of its type: the relay
// publishes it so while the type is migrated.
func containOtherwise(ctx context.Context, db *store.DB, claims []Claim, held []bool) error {
	columns := pg.NewColumns(1, len(claims))
	var asked []int
	for i, c := range claims {
		if !held[i] && event.VersionOf(c.Body) != "" {
			columns.Add(c.Seq)
			asked = append(asked, i)
		}
	}
	return pg.Each(ctx, db, "comparing events with the log's", claimedBodies, func(row *sql.Rows) error {
		var ord int
		var body []byte
		if err := row.Scan(&ord, &body); err != nil {
			return err
		}
		held[asked[ord-1]] = event.Same(body, claims[asked[ord-1]].Body)
		return nil
	}, columns...)
}
