package process

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Key identifies an instance: Correlation is the id of what it is about, such as an order.
type Key struct {
	Tenant      string `db:"tenant_id" json:"tenantId"`
	Process     string `db:"process" json:"process"`
	Correlation string `db:"correlation" json:"correlation"`
}

// Compare orders keys as rows are locked.
func Compare(a, b Key) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Process, b.Process), strings.Compare(a.Correlation, b.Correlation))
}

// Input is what moves an instance: an event, a timer or a command.
type Input struct {
	On   string    `db:"input"` // the event's type, "timer " and its name, or the command
	ID   uuid.UUID `db:"input_id"`
	At   time.Time `db:"occurred_at"` // business time
	By   string    `db:"by"`
	Note string    `db:"note"`
}

// Instance is an instance that this transaction has locked.
type Instance struct {
	Key
	State   string
	Version int64
	Final   bool
	// Seen are the inputs that it has had, of those asked for; Early those that it could not take yet, the oldest first.
	Seen  map[uuid.UUID]bool
	Early []Input
	// Timers are those that are set, and when they are due.
	Timers map[string]time.Time
}

// The conflict waits for a transaction that is beginning the same instance.
var begin = pg.SQL(`
INSERT INTO process_instance (tenant_id, process, correlation)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, process, correlation) ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING`)

const keysSQL = `unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, process, correlation)`

var (
	lockInstances = pg.SQL(`
SELECT i.tenant_id, i.process, i.correlation, i.state, i.version, i.final
FROM ` + keysSQL + ` JOIN process_instance i USING (tenant_id, process, correlation)
ORDER BY 1, 2, 3 FOR UPDATE OF i`)
	seenInputs = pg.SQL(`
SELECT k.tenant_id, k.process, k.correlation, s.input_id FROM ` + keysSQL + `
JOIN process_step s USING (tenant_id, process, correlation) WHERE s.input_id = ANY ($4::uuid[])
UNION ALL
SELECT k.tenant_id, k.process, k.correlation, e.input_id FROM ` + keysSQL + `
JOIN process_early e USING (tenant_id, process, correlation) WHERE e.input_id = ANY ($4::uuid[])`)
	earlyInputs = pg.SQL(`
SELECT k.tenant_id, k.process, k.correlation, e.input, e.input_id, e.occurred_at, e.by, e.note
FROM ` + keysSQL + ` JOIN process_early e USING (tenant_id, process, correlation) ORDER BY e.ordinal`)
	setTimers = pg.SQL(`
SELECT k.tenant_id, k.process, k.correlation, t.name, t.due_at
FROM ` + keysSQL + ` JOIN process_timer t USING (tenant_id, process, correlation)`)
)

func columnsOf(keys []Key) pg.Columns {
	c := pg.NewColumns(3, len(keys))
	for _, k := range keys {
		c.Add(k.Tenant, k.Process, k.Correlation)
	}
	return c
}

// Lock locks instances, and says which of the inputs they have had. Those of begins are made where they are missing; of
// the others, the missing ones are left out.
func Lock(ctx context.Context, tx store.Tx, keys, begins []Key, inputs []uuid.UUID) (map[Key]*Instance, error) {
	keys, begins = distinct(keys), distinct(begins)
	if len(begins) > 0 {
		if err := pg.Write(ctx, tx, fmt.Sprintf("beginning %d processes", len(begins)), begin, columnsOf(begins)...); err != nil {
			return nil, err
		}
	}
	of := columnsOf(keys)
	found := make(map[Key]*Instance, len(keys))
	doing := fmt.Sprintf("locking %d processes", len(keys))
	err := pg.Each(ctx, tx, doing, lockInstances, func(row *sql.Rows) error {
		i := Instance{Seen: map[uuid.UUID]bool{}, Timers: map[string]time.Time{}}
		err := row.Scan(&i.Tenant, &i.Process, &i.Correlation, &i.State, &i.Version, &i.Final)
		found[i.Key] = &i
		return err
	}, of...)
	if err != nil || len(found) == 0 {
		return found, err
	}
	err = pg.Each(ctx, tx, doing, seenInputs, func(row *sql.Rows) error {
		var k Key
		var id uuid.UUID
		err := row.Scan(&k.Tenant, &k.Process, &k.Correlation, &id)
		if i := found[k]; err == nil && i != nil {
			i.Seen[id] = true
		}
		return err
	}, append(slices.Clip(of), pg.UUIDs(inputs))...)
	if err != nil {
		return nil, err
	}
	err = pg.Each(ctx, tx, doing, earlyInputs, func(row *sql.Rows) error {
		var k Key
		var in Input
		err := row.Scan(&k.Tenant, &k.Process, &k.Correlation, &in.On, &in.ID, &in.At, &in.By, &in.Note)
		if i := found[k]; err == nil && i != nil {
			i.Early = append(i.Early, in)
		}
		return err
	}, of...)
	if err != nil {
		return nil, err
	}
	err = pg.Each(ctx, tx, doing, setTimers, func(row *sql.Rows) error {
		var k Key
		var name string
		var due time.Time
		err := row.Scan(&k.Tenant, &k.Process, &k.Correlation, &name, &due)
		if i := found[k]; err == nil && i != nil {
			i.Timers[name] = due
		}
		return err
	}, of...)
	return found, err
}

func distinct(keys []Key) []Key {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, Compare)
	return slices.Compact(keys)
}

// Step is one that an instance has taken, or an input that came too late.
type Step struct {
	Key
	Input
	From, To string
	Late     bool
}

// Kept is an input that came too early.
type Kept struct {
	Key
	Input
}

// Timer is one to be set, In from now by the database's clock.
type Timer struct {
	Key
	Name string
	In   time.Duration
}

// Changes are what a transaction has decided about instances that it has locked.
type Changes struct {
	Moved []*Instance
	Steps []Step
	Early []Kept // to be kept
	Taken []Kept // early inputs that were taken
	Set   []Timer
	Ended []Key // whose timers are removed
	Unset []Timer
}

var (
	moveInstances = pg.SQL(`
UPDATE process_instance i SET state = n.state, version = n.version, final = n.final, trouble = '', changed_at = clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::boolean[]) AS n(tenant_id, process, correlation, state, version, final)
WHERE i.tenant_id = n.tenant_id AND i.process = n.process AND i.correlation = n.correlation`)
	insertSteps = pg.SQL(`
INSERT INTO process_step (tenant_id, process, correlation, kind, input, input_id, from_state, to_state, occurred_at, by, note)
SELECT n.tenant_id, n.process, n.correlation, n.kind, n.input, n.input_id, n.from_state, n.to_state, n.occurred_at, n.by, n.note
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::timestamptz[], $10::text[], $11::text[])
     WITH ORDINALITY AS n(tenant_id, process, correlation, kind, input, input_id, from_state, to_state, occurred_at, by, note, ord)
ORDER BY n.ord`)
	keepEarly = pg.SQL(`
INSERT INTO process_early (tenant_id, process, correlation, input, input_id, occurred_at, by, note)
SELECT n.tenant_id, n.process, n.correlation, n.input, n.input_id, n.occurred_at, n.by, n.note
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::text[], $8::text[])
     WITH ORDINALITY AS n(tenant_id, process, correlation, input, input_id, occurred_at, by, note, ord)
ORDER BY n.ord`)
	takeEarly = pg.SQL(`
DELETE FROM process_early e USING unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) AS n(tenant_id, process, correlation, input_id)
WHERE e.tenant_id = n.tenant_id AND e.process = n.process AND e.correlation = n.correlation AND e.input_id = n.input_id`)
	setTimer = pg.SQL(`
INSERT INTO process_timer (tenant_id, process, correlation, name, due_at)
SELECT n.tenant_id, n.process, n.correlation, n.name, clock_timestamp() + n.micros * interval '1 microsecond'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS n(tenant_id, process, correlation, name, micros)
ON CONFLICT (tenant_id, process, correlation, name) DO UPDATE SET due_at = excluded.due_at, failures = 0`)
	unsetTimers = pg.SQL(`
DELETE FROM process_timer t USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n(tenant_id, process, correlation, name)
WHERE t.tenant_id = n.tenant_id AND t.process = n.process AND t.correlation = n.correlation AND t.name = n.name`)
	endTimers = pg.SQL(`
DELETE FROM process_timer t USING ` + keysSQL + `
WHERE t.tenant_id = k.tenant_id AND t.process = k.process AND t.correlation = k.correlation`)
)

// Save writes what was decided, a statement for each kind of change.
func Save(ctx context.Context, tx store.Tx, c Changes) error {
	moved, steps, early, taken := pg.NewColumns(6, len(c.Moved)), pg.NewColumns(11, len(c.Steps)), pg.NewColumns(8, len(c.Early)), pg.NewColumns(4, len(c.Taken))
	set, unset := pg.NewColumns(5, len(c.Set)), pg.NewColumns(4, len(c.Unset))
	for _, i := range c.Moved {
		moved.Add(i.Tenant, i.Process, i.Correlation, i.State, i.Version, i.Final)
	}
	for _, s := range c.Steps {
		kind := "moved"
		if s.Late {
			kind = "late"
		}
		steps.Add(s.Tenant, s.Process, s.Correlation, kind, s.On, s.ID, s.From, s.To, s.At, s.By, s.Note)
	}
	for _, k := range c.Early {
		early.Add(k.Tenant, k.Process, k.Correlation, k.On, k.ID, k.At, k.By, k.Note)
	}
	for _, k := range c.Taken {
		taken.Add(k.Tenant, k.Process, k.Correlation, k.ID)
	}
	for _, t := range c.Unset {
		unset.Add(t.Tenant, t.Process, t.Correlation, t.Name)
	}
	for _, t := range c.Set {
		set.Add(t.Tenant, t.Process, t.Correlation, t.Name, t.In.Microseconds())
	}
	for _, write := range []struct {
		doing string
		q     pg.Statement
		c     pg.Columns
	}{
		{"moving processes", moveInstances, moved},
		{"writing steps of processes", insertSteps, steps},
		{"keeping early inputs of processes", keepEarly, early},
		{"taking early inputs of processes", takeEarly, taken},
		{"ending timers of processes", endTimers, columnsOf(c.Ended)},
		{"ending timers of processes", unsetTimers, unset},
		{"setting timers of processes", setTimer, set},
	} {
		if write.c.Rows() == 0 {
			continue
		}
		if err := pg.Write(ctx, tx, write.doing, write.q, write.c...); err != nil {
			return err
		}
	}
	return nil
}
