package process_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	kept "github.com/composerp/composerp/store/process"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/process"
)

// parcel is the process of the tests: sent, perhaps reminded of by a timer, received or lost, and paid.
func parcel(do func(tx store.Tx, s *process.Step) error) *process.Process {
	act := func(_ context.Context, tx store.Tx, s *process.Step) error {
		if s.To == "sent" {
			s.In("remind", time.Hour)
			s.In("lose", 2*time.Hour)
		}
		if do != nil {
			return do(tx, s)
		}
		return nil
	}
	return process.New(process.Definition{Name: "parcel", What: "parcel", Transitions: []process.Transition{
		{On: "SENT", To: "sent", Do: act},
		{From: []string{"sent"}, On: process.Timer("remind"), To: "reminded", Do: act},
		{From: []string{"sent", "reminded"}, On: process.Timer("lose"), To: "lost", Do: act},
		{From: []string{"sent", "reminded"}, On: "RECEIVED", To: "received", Do: act},
		{From: []string{"received"}, On: "PAID", To: "paid", Do: act},
	}})
}

type env struct {
	*storetest.Env
	p *process.Process
}

func newEnv(t testing.TB, do func(tx store.Tx, s *process.Step) error) *env {
	return &env{storetest.NewEnv(t, 4), parcel(do)}
}

func input(correlation, on string, id uuid.UUID) process.Input {
	return process.Input{Tenant: "acme", Correlation: correlation, Input: kept.Input{On: on, ID: id, At: time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC), By: "till"}}
}

// give gives inputs in one transaction.
func (e *env) give(inputs ...process.Input) (outcomes []process.Outcome) {
	e.Helper()
	storetest.Must(e, e.DB.InTx(e.Context(), func(tx store.Tx) (err error) {
		outcomes, err = e.p.Advance(e.Context(), tx, inputs)
		return err
	}))
	return outcomes
}

// fire fires all timers that are due, each in a transaction of its own.
func (e *env) fire() {
	e.Helper()
	for more := true; more; {
		storetest.Must(e, e.DB.InTx(e.Context(), func(tx store.Tx) (err error) {
			more, err = e.p.Fire(e.Context(), tx)
			return err
		}))
	}
}

// pass lets hours pass: the timers of a parcel are due so much sooner.
func (e *env) pass(hours int) {
	e.Helper()
	e.Exec(fmt.Sprintf(`UPDATE process_timer SET due_at = due_at - interval '%d hours'`, hours))
}

func (e *env) state(correlation string) string {
	e.Helper()
	return storetest.One[string](e, e.SQL(), `SELECT coalesce((SELECT state FROM process_instance WHERE correlation = $1), 'none')`, correlation)
}

func (e *env) timers(correlation string) string {
	e.Helper()
	return storetest.One[string](e, e.SQL(), `SELECT coalesce(string_agg(name, ' ' ORDER BY name), '') FROM process_timer WHERE correlation = $1`, correlation)
}

func (e *env) is(correlation, state, timers string) {
	e.Helper()
	if s, t := e.state(correlation), e.timers(correlation); s != state || t != timers {
		e.Errorf("%s is %q with the timers %q, want %q with %q", correlation, s, t, state, timers)
	}
}

func TestAParcelIsMovedByEventsAndTimers(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	if got := e.give(input("a", "SENT", uuid.New()), input("b", "SENT", uuid.New())); !slices.Equal(got, []process.Outcome{process.Moved, process.Moved}) {
		t.Fatalf("sent: %v", got)
	}
	e.is("a", "sent", "lose remind")
	e.pass(1)
	e.fire()
	e.is("a", "reminded", "lose")
	e.give(input("b", "RECEIVED", uuid.New()))
	e.is("b", "received", "")
	e.pass(1)
	e.fire()
	e.is("a", "lost", "")
	e.is("b", "received", "")
	received := input("a", "RECEIVED", uuid.New())
	if got := e.give(received, received); !slices.Equal(got, []process.Outcome{process.Late, process.Duplicate}) {
		t.Errorf("received when it was lost: %v", got)
	}
	if got := e.give(received); got[0] != process.Duplicate {
		t.Errorf("the late one again: %v", got)
	}
	steps := storetest.One[string](t, e.SQL(), `SELECT string_agg(kind || ' ' || input || ' ' || to_state, ', ' ORDER BY ordinal) FROM process_step WHERE correlation = 'a'`)
	if want := "moved SENT sent, moved timer remind reminded, moved timer lose lost, late RECEIVED lost"; steps != want {
		t.Errorf("the steps are %q, want %q", steps, want)
	}
}

// MassTransit 374: an event that comes before its process is kept, and taken when the process has begun, with what came
// after it.
func TestAnEventBeforeItsProcess(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	paid, received, sent := input("a", "PAID", uuid.New()), input("a", "RECEIVED", uuid.New()), input("a", "SENT", uuid.New())
	if got := e.give(paid); got[0] != process.Early {
		t.Fatalf("paid before it is sent: %v", got)
	}
	if got := e.give(paid, received); !slices.Equal(got, []process.Outcome{process.Duplicate, process.Early}) {
		t.Fatalf("paid again, and received, before it is sent: %v", got)
	}
	e.is("a", "", "")
	e.give(sent)
	e.is("a", "paid", "")
	if n := storetest.One[int](t, e.SQL(), `SELECT count(*) FROM process_early`); n != 0 {
		t.Errorf("%d inputs are still kept", n)
	}
	if got := e.give(paid, received, sent); !slices.Equal(got, []process.Outcome{process.Duplicate, process.Duplicate, process.Duplicate}) {
		t.Errorf("all again: %v", got)
	}
}

// MassTransit 1005: a timer cannot fire before the state is stored that takes it. While the transaction that begins the
// process is open, there is no timer to fire; one that moves the process meanwhile is waited for, and has ended it.
func TestATimerBesideATransaction(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	held := func(in process.Input, beside func()) {
		t.Helper()
		storetest.Must(t, e.DB.InTx(t.Context(), func(tx store.Tx) error {
			if _, err := e.p.Advance(t.Context(), tx, []process.Input{in}); err != nil {
				return err
			}
			beside()
			return nil
		}))
	}
	held(input("a", "SENT", uuid.New()), func() {
		e.pass(9)
		e.fire()
		e.is("a", "none", "")
	})
	e.pass(9) // both timers are due
	held(input("a", "RECEIVED", uuid.New()), e.fire)
	e.fire()
	e.is("a", "received", "")
}

// MassTransit 4990: what an action emits cannot be lost between the state and the outbox, also when the transaction
// fails and many run at once: each parcel that is received has its event, and no other.
func TestWhatIsEmittedIsWithTheState(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(tx store.Tx, s *process.Step) error {
		if s.To != "received" {
			return nil
		}
		sale, err := event.Encode(event.Envelope{ID: s.ID, AggregateID: s.Correlation, TenantID: s.Tenant, Timestamp: s.At}, event.RuleChanged{
			RuleID: s.Correlation, ItemID: "A", LocationID: "shop",
		})
		if err != nil {
			return err
		}
		return eventlog.Append(context.Background(), tx, []event.Any{sale})
	})
	fails := errors.New("the transaction fails")
	var wait sync.WaitGroup
	for w := range 4 {
		wait.Go(func() {
			for n := range 30 {
				name := fmt.Sprintf("%d-%d", w, n)
				sent, received := input(name, "SENT", uuid.New()), input(name, "RECEIVED", uuid.New())
				for range 3 { // each input comes three times, and the first of the second fails
					e.give(sent)
				}
				for try := range 3 {
					err := e.DB.InTx(t.Context(), func(tx store.Tx) error {
						_, err := e.p.Advance(t.Context(), tx, []process.Input{received})
						if try == 0 && err == nil {
							err = fails
						}
						return err
					})
					if try > 0 && err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	const lacking = `
SELECT count(*) FROM process_instance i FULL JOIN event_log e ON e.aggregate_id = i.correlation
WHERE i.state IS DISTINCT FROM 'received' OR e.event_id IS NULL`
	if n, all := storetest.One[int](t, e.SQL(), lacking), storetest.One[int](t, e.SQL(), `SELECT count(*) FROM event_log`); n != 0 || all != 120 {
		t.Errorf("%d of %d parcels lack their event", n, all)
	}
}

// A timer whose action fails delays no other instance; it is tried again, and Retry makes it due at once.
func TestATimerThatFails(t *testing.T) {
	t.Parallel()
	broken := true
	e := newEnv(t, func(_ store.Tx, s *process.Step) error {
		if broken && s.Correlation == "a" && s.To == "reminded" {
			return errors.New("no paper is left")
		}
		return nil
	})
	e.give(input("a", "SENT", uuid.New()), input("b", "SENT", uuid.New()))
	e.pass(1)
	e.fire()
	e.is("a", "sent", "lose remind")
	e.is("b", "reminded", "lose")
	trouble := func() string {
		return storetest.One[string](t, e.SQL(), `SELECT trouble FROM process_instance WHERE correlation = 'a'`)
	}
	if !strings.Contains(trouble(), "no paper is left") {
		t.Errorf("its trouble is %q", trouble())
	}
	broken = false
	e.fire()
	e.is("a", "sent", "lose remind") // it waits for its next try
	storetest.Must(t, e.DB.InTx(t.Context(), func(tx store.Tx) error {
		n, err := kept.Retry(t.Context(), tx, kept.Key{Tenant: "acme", Process: "parcel", Correlation: "a"})
		if n != 1 {
			t.Errorf("%d timers are due again", n)
		}
		return err
	}))
	e.fire()
	e.is("a", "reminded", "lose")
	if trouble() != "" {
		t.Errorf("it is still in trouble: %s", trouble())
	}
}

// A timer that the state does not take, which only a person can have set, ends.
func TestATimerThatNoStateTakes(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	e.give(input("a", "SENT", uuid.New()), input("a", "RECEIVED", uuid.New()))
	e.Exec(`INSERT INTO process_timer (tenant_id, process, correlation, name, due_at) VALUES ('acme', 'parcel', 'a', 'lose', now() - interval '1 hour')`)
	e.fire()
	e.is("a", "received", "")
}

func TestDeclarationsAreChecked(t *testing.T) {
	t.Parallel()
	for what, transitions := range map[string][]process.Transition{
		`no transition leads to the state "b"`:       {{On: "X", To: "a"}, {From: []string{"b"}, On: "Y", To: "a"}},
		`two transitions lead from "a" on "timer x"`: {{On: "X", To: "a"}, {From: []string{"a"}, On: "timer x", To: "b"}, {From: []string{"a"}, On: "timer x", To: "c"}},
	} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), what) {
					t.Errorf("%s: %v", what, p)
				}
			}()
			process.New(process.Definition{Name: "p", Transitions: transitions})
		}()
	}
}

// model is what an instance must be: a plain reading of the table.
type model struct {
	state string
	seen  map[uuid.UUID]bool
	early []process.Input
}

var table = map[string]map[string]string{
	"":         {"SENT": "sent"},
	"sent":     {"RECEIVED": "received", "timer remind": "reminded", "timer lose": "lost"},
	"reminded": {"RECEIVED": "received", "timer lose": "lost"},
	"received": {"PAID": "paid"},
}

// possible are the inputs that some state from here on takes.
var possible = map[string][]string{"": {"SENT", "RECEIVED", "PAID"}, "sent": {"RECEIVED", "PAID"}, "reminded": {"RECEIVED", "PAID"}, "received": {"PAID"}}

func (m *model) give(in process.Input) {
	if m.seen[in.ID] {
		return
	}
	m.seen[in.ID] = true
	m.early = append(m.early, in)
	m.settle()
}

// settle takes the early inputs that the state takes.
func (m *model) settle() {
	for moved := true; moved; {
		moved = false
		m.early = slices.DeleteFunc(m.early, func(e process.Input) bool { return !slices.Contains(possible[m.state], e.On) })
		for i, e := range m.early {
			if next, takes := table[m.state][e.On]; takes {
				m.state, moved = next, true
				m.early = slices.Delete(m.early, i, i+1)
				break
			}
		}
	}
}

// Random events, twice and in any order, timers that fire and transactions that fail: each instance is in the state
// that the table says, has its timers and no others, and no input is both kept and taken.
func TestRandomInputsAgainstTheModel(t *testing.T) {
	t.Parallel()
	e := newEnv(t, nil)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		models := map[string]*model{}
		var given []process.Input
		for step := range rapid.IntRange(1, 25).Draw(r, "steps") {
			name := fmt.Sprintf("%d-%s", run, rapid.SampledFrom([]string{"a", "b"}).Draw(r, "parcel"))
			if models[name] == nil {
				models[name] = &model{seen: map[uuid.UUID]bool{}}
			}
			switch rapid.SampledFrom([]string{"event", "event", "event", "again", "timer", "crash"}).Draw(r, fmt.Sprint(step)) {
			case "event":
				in := input(name, rapid.SampledFrom([]string{"SENT", "RECEIVED", "PAID"}).Draw(r, "on"), uuid.New())
				e.give(in)
				models[name].give(in)
				given = append(given, in)
			case "again":
				if len(given) > 0 {
					in := rapid.SampledFrom(given).Draw(r, "given")
					e.give(in)
				}
			case "timer":
				if set := e.timers(name); set != "" {
					timer := rapid.SampledFrom(strings.Fields(set)).Draw(r, "name")
					e.Exec(`UPDATE process_timer SET due_at = clock_timestamp() - interval '1 second' WHERE correlation = '` + name + `' AND name = '` + timer + `'`)
					e.fire()
					models[name].state = table[models[name].state][process.Timer(timer)]
					models[name].settle()
				}
			case "crash":
				in := input(name, "RECEIVED", uuid.New())
				err := e.DB.InTx(context.Background(), func(tx store.Tx) error {
					_, err := e.p.Advance(context.Background(), tx, []process.Input{in})
					return errors.Join(err, errors.New("crash"))
				})
				if err == nil || !strings.Contains(err.Error(), "crash") {
					r.Fatal(err)
				}
			}
			m := models[name]
			state := e.state(name)
			if state == "none" {
				state = ""
			}
			var want []string
			for on := range table[m.state] {
				if timer, is := strings.CutPrefix(on, "timer "); is {
					want = append(want, timer)
				}
			}
			slices.Sort(want)
			early := storetest.One[int](t, e.SQL(), `SELECT count(*) FROM process_early WHERE correlation = $1`, name)
			if state != m.state || e.timers(name) != strings.Join(want, " ") || early != len(m.early) {
				r.Fatalf("%s is %q with the timers %q and %d early inputs, want %q with %v and %d", name, state, e.timers(name), early, m.state, want, len(m.early))
			}
		}
	})
}
