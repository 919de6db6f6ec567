package audit_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

// audited is a log, its relay, and a worker subscribed to every event. The ledger's tables are audited with the real
// fleet: see the package workers.
type audited struct {
	*storetest.Env
	ticker *storetest.Ticker
	relay  *storetest.Reader
	worker inbox.ConsumerID
}

func newAudited(t *testing.T) *audited {
	t.Helper()
	p := storetest.NewEnv(t, 8)
	a := &audited{Env: p, ticker: p.NewTicker(), relay: p.NewReader("relay")}
	a.worker = storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "one", []string{string(event.TypeInventoryLowStock)}))(t)
	return a
}

func fresh(n int) []event.Any {
	list := storetest.Sales(n)
	for i := range list {
		list[i].Type = event.TypeInventoryLowStock
	}
	return list
}

// appendEvents appends events and lets the relay pass them.
func (a *audited) appendEvents(n int) []uuid.UUID {
	a.Helper()
	events := fresh(n)
	storetest.Must(a, a.InTx(a.Context(), func(tx store.Tx) error { return eventlog.Append(a.Context(), tx, events) }))
	a.pass()
	return storetest.IDs(events)
}

func (a *audited) pass() {
	a.Helper()
	a.ticker.Tick()
	a.relay.ReadAll(100)
}

func (a *audited) handle(ids ...uuid.UUID) {
	a.Helper()
	storetest.Must(a, a.InTx(a.Context(), func(tx store.Tx) error {
		_, err := inbox.Claim(a.Context(), tx, a.worker, ids)
		return err
	}))
}

// audit expects failures of the named checks, and a checkpoint when there are none.
func (a *audited) audit(scope audit.Scope, failures string) audit.Proof {
	a.Helper()
	p, err := audit.Run(a.Context(), a.Env.DB, scope, nil)
	storetest.Must(a, err)
	var failed []string
	for _, c := range p.Checks {
		if !c.OK {
			failed = append(failed, c.Name)
		}
	}
	if got := strings.Join(failed, " "); got != failures || p.Made != (failures == "" && !scope.Forget) {
		a.Fatalf("checks %q failed, want %q; a checkpoint was made: %t, %v\n%+v", got, failures, p.Made, p.Unmade, p.Checks)
	}
	return p
}

func checkOf(p audit.Proof, name string) audit.Check {
	for _, c := range p.Checks {
		if c.Name == name {
			return c
		}
	}
	return audit.Check{}
}

// inFlight is how many events are in flight, by consumer.
func inFlight(p audit.Proof) map[string]int64 {
	in := map[string]int64{}
	for _, f := range p.Flights {
		in[f.Consumer] = f.Events
	}
	return in
}

// besideLoad is the scope of an audit beside the load with these numbers.
func besideLoad(fewest map[string]int64) audit.Scope { return audit.Scope{Fewest: fewest} }

func TestAnAuditGoesOnFromTheLastCheckpoint(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.handle(a.appendEvents(3)...)
	if p := a.audit(audit.Scope{}, ""); p.Since != nil || p.Fresh != 3 || p.Counts.Events != 3 {
		t.Errorf("the first audit goes on from %+v and looks at %d of %d events", p.Since, p.Fresh, p.Counts.Events)
	}
	if p := a.audit(audit.Scope{}, ""); p.Since == nil || p.Since.Events != 3 || p.Fresh != 0 || p.Counts.Events != 3 {
		t.Errorf("the second goes on from %+v and looks at %d of %d events", p.Since, p.Fresh, p.Counts.Events)
	}
	a.handle(a.appendEvents(2)...)
	p, full := a.audit(audit.Scope{Forget: true}, ""), a.audit(audit.Scope{Full: true, Forget: true}, "")
	if p.Fresh != 2 || full.Fresh != 5 || full.Since != nil {
		t.Errorf("%d events are new, and %d are looked at in all", p.Fresh, full.Fresh)
	}
	for _, name := range []string{"log", "published", "handled"} {
		if got, want := checkOf(p, name).Count, checkOf(full, name).Count; got != want || want != 5 {
			t.Errorf("check %s counts %d from a checkpoint on and %d in all", name, got, want)
		}
	}
	if got := p.Counts.Consumers[0]; got.Handled != 5 || full.Counts.Consumers[0].Handled != 5 {
		t.Errorf("handled are %+v, and %+v in all", got, full.Counts.Consumers[0])
	}
	a.appendEvents(1)
	a.audit(audit.Scope{}, "handled")
	last := storetest.MustGet(audit.ReadProven(t.Context(), a.DB))(t)
	if last == nil || last.Events != 3 || last.Open != 0 || len(last.Handled) != 1 || storetest.One[int64](t, a.SQL(), `SELECT max(id) FROM audit_checkpoint`) != last.ID {
		t.Errorf("the newest checkpoint covers %+v", last)
	}
}

// An event whose number was drawn before the checkpoint, and whose transaction ends after it.
func TestALateCommitIsFresh(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} { // to the tick before: whether its transaction had begun
		a := newAudited(t)
		a.handle(a.appendEvents(1)...)
		late := a.OpenTx()
		if known {
			storetest.MustGet(pg.RawTx(late).Exec(`SELECT pg_current_xact_id()`))(t)
			a.handle(a.appendEvents(1)...)
		}
		storetest.Must(t, eventlog.Append(t.Context(), late, fresh(1)))
		for range 3 {
			a.handle(a.appendEvents(2)...)
			a.audit(audit.Scope{}, "")
		}
		storetest.Must(t, late.Commit())
		a.pass()
		if p := a.audit(audit.Scope{}, "handled"); p.Fresh != 1 {
			t.Errorf("%d events are new, want the late one", p.Fresh)
		}
	}
}

func TestOpenDeliveriesAreCarriedOver(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	ids := a.appendEvents(2)
	p := a.audit(besideLoad(map[string]int64{}), "")
	if got := inFlight(p); got["one"] != 2 || len(got) != 1 || p.Flights[0].EventID != ids[0] || p.Flights[0].LoggedAt.IsZero() {
		t.Errorf("in flight are %+v", p.Flights)
	}
	if !p.UpTo.Before(p.Flights[0].LoggedAt) {
		t.Errorf("all is proven up to %v, and open since %v", p.UpTo, p.Flights[0].LoggedAt)
	}
	a.handle(ids[0])
	if p = a.audit(besideLoad(map[string]int64{"one": 1}), ""); inFlight(p)["one"] != 1 || p.Counts.Consumers[0].Handled != 1 || checkOf(p, "handled").Count != 1 {
		t.Errorf("in flight are %+v, handled %+v", p.Flights, p.Counts.Consumers)
	}
	// When it can be nowhere it is lost; the dead are not.
	if p = a.audit(besideLoad(map[string]int64{"one": 0}), "handled"); checkOf(p, "handled").Findings[0].EventID != ids[1].String() {
		t.Errorf("lost are %+v", checkOf(p, "handled").Findings)
	}
	a.audit(audit.Scope{}, "handled")
	a.Exec(`INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at)
		VALUES ($1, 'one', $2, '', '', '', '', 1, '{}', '', now())`, uuid.New(), ids[1])
	for range 2 {
		if p = a.audit(audit.Scope{}, ""); checkOf(p, "handled").Count != 2 || p.Counts.Consumers[0].Handled != 1 {
			t.Errorf("with a dead one %d deliveries are handled, %+v", checkOf(p, "handled").Count, p.Counts.Consumers)
		}
	}
	// It is redriven, which ends its death, and is handled later.
	a.Exec(`DELETE FROM dead_letter`)
	a.audit(audit.Scope{}, "handled")
	a.handle(ids[1])
	if p = a.audit(audit.Scope{}, ""); checkOf(p, "handled").Count != 2 || p.Counts.Consumers[0].Handled != 2 {
		t.Errorf("when all is done %d deliveries are handled, %+v", checkOf(p, "handled").Count, p.Counts.Consumers)
	}
	// An open event that is not in the log any more is reported.
	gone := a.appendEvents(1)
	a.audit(besideLoad(map[string]int64{}), "")
	a.Exec(`DELETE FROM event_log WHERE event_id = $1`, gone[0])
	a.audit(besideLoad(map[string]int64{}), "log")
}

// Much may be open: a backlog is read once, and not once for each delivery.
func TestAnAuditOfALongBacklog(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	// The planner expects a checkpoint to leave a few hundred open, and none of the next one yet.
	a.appendEvents(800)
	a.audit(besideLoad(map[string]int64{"one": 800}), "")
	a.Exec(`ANALYZE audit_open`)
	const backlog = 30_000
	for range backlog/1000 - 1 {
		a.appendEvents(1000)
	}
	a.appendEvents(200)
	state := storetest.MustGet(eventlog.ReadState(t.Context(), a.Env.DB, ""))(t)
	scope := audit.Scope{Settled: state.Passed, SettledEpoch: state.PassedEpoch, Fewest: map[string]int64{"one": backlog - 10}}
	began := time.Now()
	if c := checkOf(a.audit(scope, "handled"), "handled"); c.Wrong != 10 {
		t.Errorf("%d are lost, want 10", c.Wrong)
	}
	if took := time.Since(began); took > localtest.Deadline(30*time.Second) { // once for each of them takes minutes
		t.Errorf("an audit of %d pending deliveries takes %s", backlog, took)
	}
}

// Of more open deliveries than there were messages the difference is lost, the oldest are named. What was published
// after the observation began is not counted.
func TestLossDiffersFromDelay(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	ids := a.appendEvents(3)
	state := storetest.MustGet(eventlog.ReadState(t.Context(), a.Env.DB, ""))(t)
	a.appendEvents(4)
	scope := audit.Scope{Settled: state.Passed, SettledEpoch: state.PassedEpoch, Fewest: map[string]int64{"one": 1}}
	p := a.audit(scope, "handled")
	c := checkOf(p, "handled")
	if c.Wrong != 2 || len(c.Findings) != 2 || c.Findings[0].EventID != ids[0].String() || c.Findings[1].EventID != ids[1].String() || inFlight(p)["one"] != 5 {
		t.Errorf("lost are %+v, in flight %+v", c.Findings, p.Flights)
	}
	if p.Moved != 4 {
		t.Errorf("%d events have come since, want 4", p.Moved)
	}
	scope.Fewest = map[string]int64{"one": 3}
	a.audit(scope, "")
	scope.Fewest = map[string]int64{"another": 0}
	a.audit(scope, "")
}

func TestWhatTheRelayHasNotPassedIsInFlight(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.handle(a.appendEvents(1)...)
	state := storetest.MustGet(eventlog.ReadState(t.Context(), a.Env.DB, ""))(t)
	late := fresh(1)
	storetest.Must(t, a.InTx(t.Context(), func(tx store.Tx) error { return eventlog.Append(t.Context(), tx, late) }))
	scope := audit.Scope{Settled: state.Passed, SettledEpoch: state.PassedEpoch, Fewest: map[string]int64{"one": 0}}
	for range 2 {
		if p := a.audit(scope, ""); inFlight(p)["relay"] != 1 || inFlight(p)["one"] != 1 || checkOf(p, "published").Count != 1 {
			t.Errorf("in flight are %+v, published %d", p.Flights, checkOf(p, "published").Count)
		}
	}
	a.pass()
	a.handle(late[0].ID)
	if p := a.audit(audit.Scope{}, ""); len(p.Flights) != 0 || checkOf(p, "published").Count != 2 {
		t.Errorf("in flight are %+v, published %d", p.Flights, checkOf(p, "published").Count)
	}
	// A cursor that was moved back is no delay.
	a.Exec(`UPDATE log_cursor SET tick = 0, upto = 0`)
	a.audit(audit.Scope{Full: true}, "published")
}

// Of two concurrent audits one leaves a checkpoint.
func TestTwoAuditsAtOnce(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	ids := a.appendEvents(2)
	other := false
	p, err := audit.Run(t.Context(), a.Env.DB, besideLoad(map[string]int64{}), func(check string) {
		if check == "log" && !other {
			other = true
			a.audit(besideLoad(map[string]int64{}), "")
		}
	})
	storetest.Must(t, err)
	if p.Wrong() != 0 || p.Made || p.Unmade == nil {
		t.Errorf("%d wrong; a checkpoint was made: %t, %v", p.Wrong(), p.Made, p.Unmade)
	}
	a.handle(ids...)
	if p := a.audit(audit.Scope{}, ""); p.Since == nil || p.Fresh != 0 {
		t.Errorf("it goes on from %+v, %d events are new", p.Since, p.Fresh)
	}
	if n := storetest.One[int](t, a.SQL(), `SELECT count(*) FROM audit_open WHERE checkpoint < (SELECT max(id) FROM audit_checkpoint)`); n != 0 {
		t.Errorf("%d rows of older audits stay", n)
	}
}

// A checkpoint is not continued from when its marks are void.
func TestAnAuditChecksEverythingAfterAnUselessCheckpoint(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a table was rewritten": `VACUUM FULL movement`,
		"another epoch began":   `UPDATE audit_checkpoint SET epoch = 0`,
	} {
		t.Run(name, func(t *testing.T) {
			a := newAudited(t)
			a.handle(a.appendEvents(2)...)
			a.audit(audit.Scope{}, "")
			a.Exec(change)
			if p := a.audit(audit.Scope{}, ""); p.Since != nil || p.Fresh != 2 || p.Counts.Events != 2 {
				t.Errorf("it goes on from %+v, and %d events are new", p.Since, p.Fresh)
			}
			if p := a.audit(audit.Scope{}, ""); p.Since == nil {
				t.Error("the next one begins anew, too")
			}
		})
	}
}

// A failed audit leaves nothing behind.
func TestAnAuditThatFindsSomethingLeavesNothing(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.appendEvents(1)
	a.audit(audit.Scope{}, "handled")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := audit.Run(ctx, a.Env.DB, besideLoad(map[string]int64{}), func(check string) {
		if check == "orders" {
			cancel()
		}
	}); err == nil {
		t.Error("a cancelled audit is no error")
	}
	for _, table := range []string{"audit_checkpoint", "audit_open", "audit_moved", "audit_position"} {
		if n := storetest.One[int](t, a.SQL(), `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
}
