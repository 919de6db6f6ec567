package demo

import (
	"fmt"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// State is where a world stands, for whoever watches.
type State struct {
	Date         event.Date
	Day, Days    int // Days is 0 where nobody knows how many there will be
	First        event.Date
	Today, Total Tally
	Fresh        int64 // events the log did not know yet
	Repeated     int   // delivery notes that came twice
	Calls        Calls
	Notes        []string // the last of them, oldest first
	NoteCount    int      // of all
	Running      time.Duration
	FirstSeq     int64 // the log's end before the first day
	Finished     bool
}

// board is where a game writes down how it stands.
type progress struct {
	mu    sync.Mutex
	state State
	began time.Time
	ended time.Time
}

// remembered is how many happenings are kept.
const keptNotes = 64

func (b *progress) setSpan(first, last event.Date, seq int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.First, b.state.FirstSeq = first, seq
	if last != "" {
		b.state.Days = max(0, int(last.Time().Sub(first.Time()).Hours()/24)+1)
	}
}

func (b *progress) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.began = time.Now()
}

func (b *progress) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.state.Finished = time.Now(), true
}

func (b *progress) startDay(date event.Date) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Date, b.state.Today = date, Tally{}
	b.state.Day++
}

func (b *progress) count(said Activity, fresh int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Today.add(said)
	b.state.Total.add(said)
	b.state.Fresh += int64(fresh + len(said.Direct))
	b.append(said.Notes)
}

func (b *progress) repeated(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Repeated += n
}

func (b *progress) setCalls(calls Calls, word []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Calls = calls
	b.append(word)
}

func (b *progress) notef(format string, args ...any) { b.note([]string{fmt.Sprintf(format, args...)}) }

func (b *progress) note(lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.append(lines)
}

func (b *progress) append(lines []string) {
	for _, l := range lines {
		if b.state.Date != "" {
			l = string(b.state.Date[5:]) + "  " + l
		}
		b.state.Notes = append(b.state.Notes, l)
	}
	b.state.NoteCount += len(lines)
	if n := len(b.state.Notes); n > 2*keptNotes {
		b.state.Notes = append([]string(nil), b.state.Notes[n-keptNotes:]...)
	}
}

// State gives a copy of how the world stands.
func (g *Simulation) State() State {
	b := &g.progress
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Notes = append([]string(nil), s.Notes...)
	switch {
	case s.Finished:
		s.Running = b.ended.Sub(b.began)
	case !b.began.IsZero():
		s.Running = time.Since(b.began)
	}
	return s
}

// Tell lets somebody else put a line among what has happened.
func (g *Simulation) Note(line string) { g.progress.notef("%s", line) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
