package demo

import (
	"fmt"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// State is where a world stands, for whoever watches.
type State struct {
	Date          event.Date
	Day, Days     int // Days is 0 where nobody knows how many there will be
	First         event.Date
	Today, Total  Tally
	Fresh         int64 // events the log did not know yet
	Repeated      int   // delivery notes that came twice
	Calls         Calls
	Happened      []string // the last of them, oldest first
	HappenedCount int      // of all
	Running       time.Duration
	FirstSeq      int64 // the log's end before the first day
	Finished      bool
}

// board is where a game writes down how it stands.
type board struct {
	mu    sync.Mutex
	state State
	began time.Time
	ended time.Time
}

// remembered is how many happenings are kept.
const remembered = 64

func (b *board) begin(first, last event.Date, seq int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.First, b.state.FirstSeq = first, seq
	if last != "" {
		b.state.Days = max(0, int(last.Time().Sub(first.Time()).Hours()/24)+1)
	}
}

func (b *board) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.began = time.Now()
}

func (b *board) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.state.Finished = time.Now(), true
}

func (b *board) open(date event.Date) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Date, b.state.Today = date, Tally{}
	b.state.Day++
}

func (b *board) said(said Said, fresh int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Today.add(said)
	b.state.Total.add(said)
	b.state.Fresh += int64(fresh + len(said.Direct))
	b.keep(said.Happened)
}

func (b *board) repeated(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Repeated += n
}

func (b *board) called(calls Calls, word []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Calls = calls
	b.keep(word)
}

func (b *board) tell(format string, args ...any) { b.tellAll([]string{fmt.Sprintf(format, args...)}) }

func (b *board) tellAll(lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(lines)
}

func (b *board) keep(lines []string) {
	for _, l := range lines {
		if b.state.Date != "" {
			l = string(b.state.Date[5:]) + "  " + l
		}
		b.state.Happened = append(b.state.Happened, l)
	}
	b.state.HappenedCount += len(lines)
	if n := len(b.state.Happened); n > 2*remembered {
		b.state.Happened = append([]string(nil), b.state.Happened[n-remembered:]...)
	}
}

// State gives a copy of how the world stands.
func (g *Game) State() State {
	b := &g.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Happened = append([]string(nil), s.Happened...)
	switch {
	case s.Finished:
		s.Running = b.ended.Sub(b.began)
	case !b.began.IsZero():
		s.Running = time.Since(b.began)
	}
	return s
}

// Tell lets somebody else put a line among what has happened.
func (g *Game) Tell(line string) { g.board.tell("%s", line) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
