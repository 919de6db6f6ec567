package versions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// Stage is how far the migration of a type has come.
type Stage string

// The stages, in order; the package's doc has what each means.
const (
	Old    Stage = "old"
	Mirror Stage = "mirror"
	Both   Stage = "both"
	New    Stage = "new"
)

// State is the stage of a type.
type State struct {
	Type     event.Type `db:"type" json:"type"`
	Stage    Stage      `db:"stage" json:"stage"`
	Revision int64      `db:"revision" json:"revision"`
	// RelayRevision is the newest revision that a relay has taken over, in the term RelayTerm.
	RelayRevision int64     `db:"relay_revision" json:"relayRevision"`
	RelayTerm     int64     `db:"relay_term" json:"relayTerm"`
	UpdatedAt     time.Time `db:"updated_at" json:"-"`
	UpdatedBy     string    `db:"updated_by" json:"updatedBy,omitempty"`
	Reason        string    `db:"reason" json:"reason,omitempty"`
}

// Adopted reports whether a relay publishes as the stage says.
func (s State) Adopted() bool { return s.RelayRevision >= s.Revision }

// Emits is the version that is emitted and that composerp.events has: "" for the only one of a type.
func (s State) Emits() string {
	d, _ := event.Lookup(s.Type)
	if s.Stage == Both || s.Stage == New {
		return d.Version
	}
	return d.Older()
}

// Second is the version that composerp.events.v1 has; "" where the type is published on one exchange.
func (s State) Second() string {
	d, _ := event.Lookup(s.Type)
	if s.Stage == Mirror || s.Stage == Both {
		return d.Older()
	}
	return ""
}

// ErrMoved means that another operator has changed the stage meanwhile.
var ErrMoved = errors.New("the stage was changed meanwhile; ask for it by `composerp contracts migrate TYPE --status` and call again")

const stateColumns = `type, stage, revision, relay_revision, relay_term, updated_at, updated_by, reason`

var readStates = pg.SQL(`SELECT ` + stateColumns + ` FROM event_version ORDER BY type`)

// Read reads the stages of the types whose migration was ever started.
func Read(ctx context.Context, db *store.DB) ([]State, error) {
	return pg.List[State](ctx, db, "reading the stages of event types", readStates)
}

// Of finds a type's state; the stage old where there is none.
func Of(states []State, t event.Type) State {
	if i := slices.IndexFunc(states, func(s State) bool { return s.Type == t }); i >= 0 {
		return states[i]
	}
	return State{Type: t, Stage: Old}
}

// next are the stages that follow each.
var next = map[Stage][]Stage{Old: {Mirror}, Mirror: {Both, Old}, Both: {New, Mirror}}

var (
	insertStage = pg.SQL(`
INSERT INTO event_version (type, stage, updated_by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT (type) DO NOTHING`)
	moveStage = pg.SQL(`
UPDATE event_version SET stage = $2, revision = revision + 1, updated_by = $3, reason = $4, updated_at = clock_timestamp()
WHERE type = $1 AND revision = $5`)
)

// Move brings a type to a stage that follows its own. ErrMoved when the state is not the one in the database.
func Move(ctx context.Context, db *store.DB, by operatorlog.By, from State, to Stage) (State, error) {
	if !slices.Contains(next[from.Stage], to) {
		return from, fmt.Errorf("%s cannot go from the stage %s to %s", from.Type, from.Stage, to)
	}
	after := from
	err := db.InTx(ctx, func(tx store.Tx) error {
		var n int64
		var err error
		if from.Revision == 0 {
			n, err = pg.Exec(ctx, tx, insertStage, from.Type, to, by.Operator, by.Reason)
		} else {
			n, err = pg.Exec(ctx, tx, moveStage, from.Type, to, by.Operator, by.Reason, from.Revision)
		}
		if err == nil && n == 0 {
			err = ErrMoved
		}
		if err != nil {
			return err
		}
		after.Stage, after.Revision, after.UpdatedBy, after.Reason = to, from.Revision+1, by.Operator, by.Reason
		return operatorlog.Note(ctx, tx, by, "contracts migrate", string(from.Type), map[string]Stage{"stage": from.Stage}, map[string]Stage{"stage": to})
	})
	if err != nil {
		return from, fmt.Errorf("bringing %s to the stage %s: %w", from.Type, to, err)
	}
	return after, nil
}

var adopt = pg.SQL(`
UPDATE event_version SET relay_revision = revision, relay_term = $1 RETURNING ` + stateColumns)

// Adopt says that the relay of a lease publishes by the stages from here on, and returns them. Before it, all that the
// relay has published is confirmed. ErrNotLeader when the lease is lost.
func Adopt(ctx context.Context, db *store.DB, lease store.Lease) (states []State, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		states, err = pg.List[State](ctx, tx, "taking over", adopt, lease.Term)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("taking over the stages of event types: %w", err)
	}
	return states, nil
}

var readRevision = pg.SQL(`SELECT coalesce(sum(revision), 0)::bigint FROM event_version`)

// Revision is a number that grows with every change of a stage.
func Revision(ctx context.Context, db *store.DB) (int64, error) {
	return pg.One[int64](ctx, db, "reading the revision of the stages", readRevision)
}

// RevisionOf is what Revision was when the states were read.
func RevisionOf(states []State) (sum int64) {
	for _, s := range states {
		sum += s.Revision
	}
	return sum
}

// Bound adds to subscriptions which exchange each older key must come from in the stages. In mirror that is
// composerp.events.v1 alone: the other binding is there or comes from workers/runtime/migration, and nothing may
// declare it again while the stage both is prepared.
func Bound(states []State, subscriptions []topology.Subscription) []topology.Subscription {
	with := slices.Clone(subscriptions)
	for i, sub := range with {
		with[i].From = nil
		for key := range sub.Reads {
			from := []string{topology.Events}
			for _, s := range states {
				if s.Type.RoutingKey() == key && s.Second() != "" && event.SameMajor(sub.Reads[key], s.Second()) {
					from = []string{topology.EventsV1}
				}
			}
			if with[i].From == nil {
				with[i].From = map[string][]string{}
			}
			with[i].From[key] = from
		}
	}
	return with
}

// AddTo is a topology with composerp.events.v1, while a type is published on both exchanges.
func AddTo(states []State, t topology.Topology) topology.Topology {
	if !slices.ContainsFunc(states, func(s State) bool { return s.Second() != "" }) {
		return t
	}
	t.Exchanges = append(slices.Clone(t.Exchanges), topology.OlderEvents().Exchanges...)
	return t
}
