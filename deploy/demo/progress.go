package demo

import (
	"fmt"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// State is how far a simulation is, for display.
type State struct {
	Date         event.Date
	Day, Days    int // Days is 0 where the simulation has no last day
	First        event.Date
	Today, Total Tally
	Fresh        int64 // events that were new to the log
	Repeated     int   // delivery notes that were sent twice
	Calls        Calls
	Notes        []string // the latest, oldest first
	Running      time.Duration
	FirstSeq     int64 // the log's end before the first day
	Finished     bool
}

// progress holds the state of a simulation.
type progress struct {
	mu    sync.Mutex
	state State
	began time.Time
	ended time.Time
}

// keptNotes is how many notes are kept.
const keptNotes = 64

func (p *progress) setSpan(first, last event.Date, seq int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.First, p.state.FirstSeq = first, seq
	if last != "" {
		p.state.Days = max(0, int(last.Time().Sub(first.Time()).Hours()/24)+1)
	}
}

func (p *progress) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
}

func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.state.Finished = time.Now(), true
}

func (p *progress) startDay(date event.Date) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Date, p.state.Today = date, Tally{}
	p.state.Day++
}

func (p *progress) count(activity Activity, fresh int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Today.add(activity)
	p.state.Total.add(activity)
	p.state.Fresh += int64(fresh + len(activity.Direct))
	p.append(activity.Notes)
}

func (p *progress) repeated(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Repeated += n
}

func (p *progress) setCalls(calls Calls, notes []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Calls = calls
	p.append(notes)
}

func (p *progress) notef(format string, args ...any) { p.note([]string{fmt.Sprintf(format, args...)}) }

func (p *progress) note(lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.append(lines)
}

func (p *progress) append(lines []string) {
	for _, l := range lines {
		if p.state.Date != "" {
			l = string(p.state.Date[5:]) + "  " + l
		}
		p.state.Notes = append(p.state.Notes, l)
	}
	if n := len(p.state.Notes); n > 2*keptNotes {
		p.state.Notes = append([]string(nil), p.state.Notes[n-keptNotes:]...)
	}
}

// State is a copy of how far the simulation is.
func (s *Simulation) State() State {
	p := &s.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	state := p.state
	state.Notes = append([]string(nil), state.Notes...)
	switch {
	case state.Finished:
		state.Running = p.ended.Sub(p.began)
	case !p.began.IsZero():
		state.Running = time.Since(p.began)
	}
	return state
}

// Note adds a line to the notes of the state.
func (s *Simulation) Note(line string) { s.progress.notef("%s", line) }
