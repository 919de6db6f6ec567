package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

// audited is a log, its relay, and a worker that owes every event of it. What
// the ledger keeps is audited with the real fleet: see the package workers.
type audited struct {
	*place
	ticker *ticker
	relay  *reader
	worker store.ConsumerID
}

func newAudited(t *testing.T) *audited {
	t.Helper()
	p := newPlace(t, 8)
	a := &audited{place: p, ticker: p.newTicker(), relay: p.newReader("relay")}
	a.worker = found(p.Subscribe(t.Context(), "one", []string{string(event.TypeInventoryLowStock)}))(t)
	return a
}

func news(n int) []event.Any {
	list := anySales(n)
	for i := range list {
		list[i].Type = event.TypeInventoryLowStock
	}
	return list
}

// say appends events and lets the relay pass them.
func (a *audited) say(n int) []uuid.UUID {
	a.Helper()
	events := news(n)
	must(a, a.InTx(a.Context(), func(tx *store.Tx) error { return tx.Append(a.Context(), events) }))
	a.pass()
	return idsOf(events)
}

func (a *audited) pass() {
	a.Helper()
	a.ticker.tick()
	a.relay.readAll(100)
}

func (a *audited) handle(ids ...uuid.UUID) {
	a.Helper()
	must(a, a.InTx(a.Context(), func(tx *store.Tx) error {
		_, err := tx.Claim(a.Context(), a.worker, ids)
		return err
	}))
}

// audit expects failures of the named checks, and a checkpoint when there are none.
func (a *audited) audit(scope store.AuditScope, failures string) store.Proof {
	a.Helper()
	p, err := a.Audit(a.Context(), scope, nil)
	must(a, err)
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

func checkOf(p store.Proof, name string) store.AuditCheck {
	for _, c := range p.Checks {
		if c.Name == name {
			return c
		}
	}
	return store.AuditCheck{}
}

// flying is how many events are in flight for whom.
func flying(p store.Proof) map[string]int64 {
	in := map[string]int64{}
	for _, f := range p.Flights {
		in[f.Consumer] = f.Events
	}
	return in
}

// beside is the scope of an audit beside the load that knows so much.
func beside(fewest map[string]int64) store.AuditScope { return store.AuditScope{Fewest: fewest} }

func TestAnAuditGoesOnFromTheLastCheckpoint(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.handle(a.say(3)...)
	if p := a.audit(store.AuditScope{}, ""); p.Since != nil || p.Fresh != 3 || p.Counts.Events != 3 {
		t.Errorf("the first audit goes on from %+v and looks at %d of %d events", p.Since, p.Fresh, p.Counts.Events)
	}
	if p := a.audit(store.AuditScope{}, ""); p.Since == nil || p.Since.Events != 3 || p.Fresh != 0 || p.Counts.Events != 3 {
		t.Errorf("the second goes on from %+v and looks at %d of %d events", p.Since, p.Fresh, p.Counts.Events)
	}
	a.handle(a.say(2)...)
	p, full := a.audit(store.AuditScope{Forget: true}, ""), a.audit(store.AuditScope{Full: true, Forget: true}, "")
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
	a.say(1)
	a.audit(store.AuditScope{}, "handled")
}

// An event whose number was drawn before the checkpoint, and whose transaction ends after it.
func TestALateCommitIsFresh(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} { // to the tick before: whether its transaction had begun
		a := newAudited(t)
		a.handle(a.say(1)...)
		late := a.begin()
		if known {
			must2(late.SQL().Exec(`SELECT pg_current_xact_id()`))(t)
			a.handle(a.say(1)...)
		}
		must(t, late.Append(t.Context(), news(1)))
		for range 3 {
			a.handle(a.say(2)...)
			a.audit(store.AuditScope{}, "")
		}
		must(t, late.Commit())
		a.pass()
		if p := a.audit(store.AuditScope{}, "handled"); p.Fresh != 1 {
			t.Errorf("%d events are new, want the late one", p.Fresh)
		}
	}
}

func TestWhatIsOpenIsPassedOn(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	ids := a.say(2)
	p := a.audit(beside(map[string]int64{}), "")
	if got := flying(p); got["one"] != 2 || len(got) != 1 || p.Flights[0].EventID != ids[0] || p.Flights[0].LoggedAt.IsZero() {
		t.Errorf("in flight are %+v", p.Flights)
	}
	if !p.UpTo.Before(p.Flights[0].LoggedAt) {
		t.Errorf("all is proven up to %v, and open since %v", p.UpTo, p.Flights[0].LoggedAt)
	}
	a.handle(ids[0])
	if p = a.audit(beside(map[string]int64{"one": 1}), ""); flying(p)["one"] != 1 || p.Counts.Consumers[0].Handled != 1 || checkOf(p, "handled").Count != 1 {
		t.Errorf("in flight are %+v, handled %+v", p.Flights, p.Counts.Consumers)
	}
	// Where it can be nowhere it is lost; the dead are not.
	if p = a.audit(beside(map[string]int64{"one": 0}), "handled"); checkOf(p, "handled").Findings[0].EventID != ids[1].String() {
		t.Errorf("lost are %+v", checkOf(p, "handled").Findings)
	}
	a.audit(store.AuditScope{}, "handled")
	a.exec(`INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at)
		VALUES ($1, 'one', $2, '', '', '', '', 1, '{}', '', now())`, uuid.New(), ids[1])
	for range 2 {
		if p = a.audit(store.AuditScope{}, ""); checkOf(p, "handled").Count != 2 || p.Counts.Consumers[0].Handled != 1 {
			t.Errorf("with a dead one %d debts are paid, %+v", checkOf(p, "handled").Count, p.Counts.Consumers)
		}
	}
	// It is put back, which takes its death away, and is handled later.
	a.exec(`DELETE FROM dead_letter`)
	a.audit(store.AuditScope{}, "handled")
	a.handle(ids[1])
	if p = a.audit(store.AuditScope{}, ""); checkOf(p, "handled").Count != 2 || p.Counts.Consumers[0].Handled != 2 {
		t.Errorf("when all is done %d debts are paid, %+v", checkOf(p, "handled").Count, p.Counts.Consumers)
	}
	// What was open and is not in the log any more is missed.
	gone := a.say(1)
	a.audit(beside(map[string]int64{}), "")
	a.exec(`DELETE FROM event_log WHERE event_id = $1`, gone[0])
	a.audit(beside(map[string]int64{}), "log")
}

// What is open may be much: a backlog is gone through once, and not once for each of it.
func TestAnAuditOfALongBacklog(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	// The planner believes that a checkpoint leaves a few hundred open, and that there is none of the next one yet.
	a.say(800)
	a.audit(beside(map[string]int64{"one": 800}), "")
	a.exec(`ANALYZE audit_open`)
	const backlog = 30_000
	for range backlog/1000 - 1 {
		a.say(1000)
	}
	a.say(200)
	state := found(a.LogState(t.Context(), ""))(t)
	scope := store.AuditScope{Settled: state.Passed, SettledEpoch: state.PassedEpoch, Fewest: map[string]int64{"one": backlog - 10}}
	began := time.Now()
	if c := checkOf(a.audit(scope, "handled"), "handled"); c.Wrong != 10 {
		t.Errorf("%d are lost, want 10", c.Wrong)
	}
	if took := time.Since(began); took > localtest.Deadline(30*time.Second) { // one is enough; once for each, and it takes minutes
		t.Errorf("an audit of %d open debts takes %s", backlog, took)
	}
}

// Of more debts than there were messages so many are lost, the oldest by guess.
// What was published after the watch began is not counted.
func TestLossIsToldFromDelay(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	ids := a.say(3)
	state := found(a.LogState(t.Context(), ""))(t)
	a.say(4)
	scope := store.AuditScope{Settled: state.Passed, SettledEpoch: state.PassedEpoch, Fewest: map[string]int64{"one": 1}}
	p := a.audit(scope, "handled")
	c := checkOf(p, "handled")
	if c.Wrong != 2 || len(c.Findings) != 2 || c.Findings[0].EventID != ids[0].String() || c.Findings[1].EventID != ids[1].String() || flying(p)["one"] != 5 {
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

func TestWhatTheRelayHasNotPassedIsOnItsWay(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.handle(a.say(1)...)
	state := found(a.LogState(t.Context(), ""))(t)
	late := news(1)
	must(t, a.InTx(t.Context(), func(tx *store.Tx) error { return tx.Append(t.Context(), late) }))
	scope := store.AuditScope{Settled: state.Passed, SettledEpoch: state.PassedEpoch, Fewest: map[string]int64{"one": 0}}
	for range 2 {
		if p := a.audit(scope, ""); flying(p)["relay"] != 1 || flying(p)["one"] != 1 || checkOf(p, "published").Count != 1 {
			t.Errorf("in flight are %+v, published %d", p.Flights, checkOf(p, "published").Count)
		}
	}
	a.pass()
	a.handle(late[0].ID)
	if p := a.audit(store.AuditScope{}, ""); len(p.Flights) != 0 || checkOf(p, "published").Count != 2 {
		t.Errorf("in flight are %+v, published %d", p.Flights, checkOf(p, "published").Count)
	}
	// A cursor that was moved back is no delay.
	a.exec(`UPDATE log_cursor SET tick = 0, upto = 0`)
	a.audit(store.AuditScope{Full: true}, "published")
}

// Of two audits at once one leaves a checkpoint.
func TestTwoAuditsAtOnce(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	ids := a.say(2)
	other := false
	p, err := a.Audit(t.Context(), beside(map[string]int64{}), func(check string) {
		if check == "log" && !other {
			other = true
			a.audit(beside(map[string]int64{}), "")
		}
	})
	must(t, err)
	if p.Wrong() != 0 || p.Made || p.Unmade == nil {
		t.Errorf("%d wrong; a checkpoint was made: %t, %v", p.Wrong(), p.Made, p.Unmade)
	}
	a.handle(ids...)
	if p := a.audit(store.AuditScope{}, ""); p.Since == nil || p.Fresh != 0 {
		t.Errorf("it goes on from %+v, %d events are new", p.Since, p.Fresh)
	}
	if n := value[int](t, a.SQL(), `SELECT count(*) FROM audit_open WHERE checkpoint < (SELECT max(id) FROM audit_checkpoint)`); n != 0 {
		t.Errorf("%d rows of older audits stay", n)
	}
}

// A checkpoint is not gone on from when its marks say nothing any more.
func TestAnAuditBeginsAnewWhereACheckpointTellsNothing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a table was rewritten": `VACUUM FULL movement`,
		"another epoch began":   `UPDATE audit_checkpoint SET epoch = 0`,
	} {
		t.Run(name, func(t *testing.T) {
			a := newAudited(t)
			a.handle(a.say(2)...)
			a.audit(store.AuditScope{}, "")
			a.exec(change)
			if p := a.audit(store.AuditScope{}, ""); p.Since != nil || p.Fresh != 2 || p.Counts.Events != 2 {
				t.Errorf("it goes on from %+v, and %d events are new", p.Since, p.Fresh)
			}
			if p := a.audit(store.AuditScope{}, ""); p.Since == nil {
				t.Error("the next one begins anew, too")
			}
		})
	}
}

// What fails leaves nothing behind.
func TestAnAuditThatFindsSomethingLeavesNothing(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.say(1)
	a.audit(store.AuditScope{}, "handled")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := a.Audit(ctx, beside(map[string]int64{}), func(check string) {
		if check == "orders" {
			cancel()
		}
	}); err == nil {
		t.Error("a cancelled audit is no error")
	}
	for _, table := range []string{"audit_checkpoint", "audit_open", "audit_moved", "audit_position"} {
		if n := value[int](t, a.SQL(), `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
}
