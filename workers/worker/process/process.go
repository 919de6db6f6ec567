package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/process"
)

// Definition declares a process as a table.
type Definition struct {
	Name        string
	What        string // what it is about, for people: "order"
	Transitions []Transition
}

// Transition is a line of the table.
type Transition struct {
	From []string // states; none: the instance has not begun
	// On is what moves it: the type of an event, Timer(name), or a command's word.
	On string
	To string
	// Do, if set, is what the instance does meanwhile, in the same transaction.
	Do func(ctx context.Context, tx store.Tx, s *Step) error
}

// Timer is the On of a timer.
func Timer(name string) string { return timerPrefix + name }

const timerPrefix = "timer "

// Step is a transition at work.
type Step struct {
	process.Key
	process.Input
	From, To string

	timers []process.Timer
}

// In sets a timer of the instance: it fires after a time of the clock, by the database. Set again, it moves.
func (s *Step) In(name string, after time.Duration) {
	s.timers = append(s.timers, process.Timer{Key: s.Key, Name: name, In: after})
}

// Input moves the instance of a correlation.
type Input struct {
	Tenant, Correlation string
	process.Input
}

// Outcome is what became of an input.
type Outcome string

// The outcomes.
const (
	Moved     Outcome = "moved"
	Duplicate Outcome = "duplicate" // it had come before
	Early     Outcome = "early"     // it is kept until the instance can take it
	Late      Outcome = "late"      // no state that the instance can come to takes it
)

// New checks a definition: each state can be reached, and an input moves a state to one place. It panics when the
// declaration is wrong.
func New(d Definition) *Process {
	p := &Process{Definition: d, takes: map[string]map[string]*Transition{}, leads: map[string][]string{}}
	for i := range d.Transitions {
		t := &d.Transitions[i]
		from := t.From
		if len(from) == 0 {
			from = []string{""}
		}
		for _, state := range from {
			if p.takes[state] == nil {
				p.takes[state] = map[string]*Transition{}
			}
			if p.takes[state][t.On] != nil {
				panic(fmt.Sprintf("process %s: two transitions lead from %q on %q", d.Name, state, t.On))
			}
			p.takes[state][t.On] = t
			p.leads[state] = append(p.leads[state], t.To)
		}
	}
	reached := p.from("")
	for state := range p.takes {
		if state != "" && !slices.Contains(reached, state) {
			panic(fmt.Sprintf("process %s: no transition leads to the state %q", d.Name, state))
		}
	}
	return p
}

// Process is a checked definition.
type Process struct {
	Definition
	takes map[string]map[string]*Transition // by state and input
	leads map[string][]string
}

// from are the states that can be reached from one.
func (p *Process) from(state string) (reached []string) {
	open := slices.Clone(p.leads[state])
	for len(open) > 0 {
		next := open[0]
		open = open[1:]
		if !slices.Contains(reached, next) {
			reached = append(reached, next)
			open = append(open, p.leads[next]...)
		}
	}
	return reached
}

// Final reports whether nothing moves an instance out of the state.
func (p *Process) Final(state string) bool { return state != "" && len(p.takes[state]) == 0 }

// Remaining are the states that an instance can still come to.
func (p *Process) Remaining(state string) []string {
	states := p.from(state)
	slices.Sort(states)
	return states
}

// later reports whether a state that can be reached takes the input.
func (p *Process) later(state, on string) bool {
	return slices.ContainsFunc(p.from(state), func(next string) bool { return p.takes[next][on] != nil })
}

// Advance gives inputs to their instances, in order, and returns what became of each.
func (p *Process) Advance(ctx context.Context, tx store.Tx, inputs []Input) ([]Outcome, error) {
	w := work{Process: p, tx: tx}
	keys, begins, ids := make([]process.Key, len(inputs)), []process.Key{}, make([]uuid.UUID, len(inputs))
	for i, in := range inputs {
		keys[i], ids[i] = p.key(in.Tenant, in.Correlation), in.ID
		if p.takes[""][in.On] != nil || p.later("", in.On) && !strings.HasPrefix(in.On, timerPrefix) {
			begins = append(begins, keys[i])
		}
	}
	locked, err := process.Lock(ctx, tx, keys, begins, ids)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(inputs))
	for i, in := range inputs {
		instance := locked[keys[i]]
		if instance == nil {
			outcomes[i] = Late // nothing takes such an input, now or later
			continue
		}
		if outcomes[i], err = w.give(ctx, instance, in.Input); err != nil {
			return nil, fmt.Errorf("process %s of %s %s, on %s: %w", p.Name, p.What, in.Correlation, in.On, err)
		}
	}
	if err := process.Save(ctx, tx, w.changes); err != nil {
		return nil, err
	}
	return outcomes, nil
}

func (p *Process) key(tenant, correlation string) process.Key {
	return process.Key{Tenant: tenant, Process: p.Name, Correlation: correlation}
}

// work is a call of Advance.
type work struct {
	*Process
	tx      store.Tx
	changes process.Changes
}

// give gives an instance one input, and then those that were early before.
func (w *work) give(ctx context.Context, i *process.Instance, in process.Input) (Outcome, error) {
	if i.Seen[in.ID] {
		return Duplicate, nil
	}
	i.Seen[in.ID] = true
	t := w.takes[i.State][in.On]
	switch {
	case t != nil:
		if err := w.move(ctx, i, in, t); err != nil {
			return "", err
		}
		return Moved, w.takeEarly(ctx, i)
	case w.later(i.State, in.On):
		i.Early = append(i.Early, in)
		w.changes.Early = append(w.changes.Early, process.Kept{Key: i.Key, Input: in})
		return Early, nil
	}
	w.changes.Steps = append(w.changes.Steps, process.Step{Key: i.Key, Input: in, From: i.State, To: i.State, Late: true})
	return Late, nil
}

func (w *work) move(ctx context.Context, i *process.Instance, in process.Input, t *Transition) error {
	s := Step{Key: i.Key, Input: in, From: i.State, To: t.To}
	if t.Do != nil {
		if err := t.Do(ctx, w.tx, &s); err != nil {
			return err
		}
	}
	i.State, i.Version, i.Final = t.To, i.Version+1, w.Final(t.To)
	if !slices.Contains(w.changes.Moved, i) {
		w.changes.Moved = append(w.changes.Moved, i)
	}
	w.changes.Steps = append(w.changes.Steps, process.Step{Key: i.Key, Input: s.Input, From: s.From, To: s.To})
	name, fired := strings.CutPrefix(in.On, timerPrefix)
	for set := range i.Timers {
		if w.takes[i.State][Timer(set)] == nil || fired && set == name {
			w.unset(i, set)
		}
	}
	for _, timer := range s.timers {
		if w.takes[i.State][Timer(timer.Name)] == nil {
			return fmt.Errorf("the state %q takes no timer %q", i.State, timer.Name)
		}
		w.drop(i, timer.Name)
		w.changes.Set = append(w.changes.Set, timer)
		i.Timers[timer.Name] = time.Time{}
	}
	return nil
}

// unset ends a timer, whether an earlier transaction has set it or this one.
func (w *work) unset(i *process.Instance, name string) {
	w.drop(i, name)
	delete(i.Timers, name)
	w.changes.Unset = append(w.changes.Unset, process.Timer{Key: i.Key, Name: name})
}

// drop takes back what this transaction has decided about a timer. Save sets timers after it has ended others.
func (w *work) drop(i *process.Instance, name string) {
	same := func(t process.Timer) bool { return t.Key == i.Key && t.Name == name }
	w.changes.Set = slices.DeleteFunc(w.changes.Set, same)
}

// takeEarly gives an instance the early inputs that its state takes, the oldest first, until none is left that it
// takes; those that no state can take any more are late.
func (w *work) takeEarly(ctx context.Context, i *process.Instance) error {
	for n := 0; n < len(i.Early); {
		in := i.Early[n]
		t := w.takes[i.State][in.On]
		if t == nil && w.later(i.State, in.On) {
			n++
			continue
		}
		i.Early = slices.Delete(i.Early, n, n+1)
		w.changes.Taken = append(w.changes.Taken, process.Kept{Key: i.Key, Input: in})
		if t == nil {
			w.changes.Steps = append(w.changes.Steps, process.Step{Key: i.Key, Input: in, From: i.State, To: i.State, Late: true})
			continue
		}
		if err := w.move(ctx, i, in, t); err != nil {
			return err
		}
		n = 0
	}
	return nil
}

const (
	firstRetry = 5 * time.Second
	lastRetry  = time.Hour
)

// Fire fires the timer that is due the longest, if one is; more: there may be others. It is the work of worker.Every.
func (p *Process) Fire(ctx context.Context, tx store.Tx) (more bool, err error) {
	due, err := process.NextDue(ctx, tx, p.Name)
	if err != nil || due == nil {
		return false, err
	}
	in := Input{Tenant: due.Tenant, Correlation: due.Correlation, Input: process.Input{
		On: Timer(due.Name), ID: event.TimerID("process "+p.Name, due.Tenant+"\x00"+due.Correlation+"\x00"+due.Name, due.DueAt.UTC().Format(time.RFC3339Nano)),
		At: due.DueAt, By: "timer",
	}}
	failed := process.Try(ctx, tx, func() error {
		outcomes, err := p.Advance(ctx, tx, []Input{in})
		if err == nil && outcomes[0] != Moved { // a person has set it by hand
			err = process.Save(ctx, tx, process.Changes{Unset: []process.Timer{{Key: due.Key, Name: due.Name}}})
		}
		return err
	})
	if failed == nil || errors.Is(failed, store.ErrRetryable) {
		return failed == nil, failed
	}
	return true, process.TryLater(ctx, tx, *due, min(firstRetry<<min(due.Failures, 10), lastRetry), failed.Error())
}
