package top

import (
	"cmp"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/operatorlog"
)

// model is what the screen shows and what it asks.
type model struct {
	read          func() tea.Msg // makes a sampled
	act           func(deed) (said string, err error)
	interval      time.Duration
	by            operatorlog.By // who and why, as far as the command line says
	operatorGiven bool
	style         styles

	width, height int
	shown         pools.Sample // the last whole one; before there is one, what could be read
	away          []string     // what the newest reading lacks
	stale         bool         // so that it is not the one shown
	reading       bool
	again         bool // read once more when this reading has ended
	turn          int  // counts readings
	order         int  // of orders
	reversed      bool
	chosen        string // the queue that keys act on
	first         int    // the first queue in view
	help          bool
	ask           *ask
	said          string // what came of the last act
	saidAt        int    // the turn
	failed        bool
	err           error // ends the program
}

// saidFor is for how many readings the screen says what came of an act. That it failed stays until a key is pressed.
const saidFor = 5

// sampled is a reading that has ended; the error is a setting's.
type sampled struct {
	pools.Sample
	err error
}

// due is the turn of the next reading.
type due int

// acted is an act that has ended.
type acted struct {
	said string
	err  error
}

// Init begins the first reading.
func (m *model) Init() tea.Cmd { return m.begin() }

// Update takes keys, sizes, readings and the ends of acts.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case sampled:
		return m, m.took(msg)
	case due:
		if int(msg) == m.turn {
			return m, m.begin()
		}
	case acted:
		m.say(msg.said, false)
		if msg.err != nil {
			m.say("nothing was changed: "+exit.OneLine(msg.err), true)
		}
		return m, m.begin()
	case tea.PasteMsg:
		if m.ask != nil {
			m.ask.insert(wording.OneLine(msg.Content))
		}
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

func (m *model) say(text string, failed bool) { m.said, m.failed, m.saidAt = text, failed, m.turn }

// begin reads, or has the reading that is under way be followed by another.
func (m *model) begin() tea.Cmd {
	if m.reading {
		m.again = true
		return nil
	}
	m.reading = true
	return m.read
}

// took takes a reading. A fault that waiting does not repair ends the program, if it is there from the beginning.
func (m *model) took(s sampled) tea.Cmd {
	m.reading = false
	m.turn++
	fault := s.err
	if m.turn == 1 && fault == nil {
		for _, err := range []error{s.Database, s.Broker} {
			if err != nil && exit.CodeOf(err) == exit.WrongConfiguration {
				fault = cmp.Or(fault, err)
			}
		}
	}
	if fault != nil {
		m.err = fault
		return tea.Quit
	}
	if m.turn > m.saidAt+saidFor && !m.failed {
		m.said = ""
	}
	m.away, m.stale = s.Problems, !s.Whole() && m.shown.Whole() && !m.shown.At.IsZero()
	if !m.stale {
		m.shown = s.Sample
		m.sort()
	}
	if m.again {
		m.again = false
		return m.begin()
	}
	turn := due(m.turn)
	return tea.Tick(m.interval, func(time.Time) tea.Msg { return turn })
}

// press takes a key.
func (m *model) press(key tea.KeyPressMsg) tea.Cmd {
	name := key.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case m.ask != nil:
		return m.answer(key)
	case m.help:
		m.help = false
		return nil
	}
	m.said = ""
	switch name {
	case "q":
		return tea.Quit
	case "?", "h", "f1":
		m.help = true
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup":
		m.move(-10)
	case "pgdown":
		m.move(10)
	case "home", "g":
		m.move(-len(m.shown.Queues))
	case "end", "G":
		m.move(len(m.shown.Queues))
	case "o":
		m.order = (m.order + 1) % len(orders)
		m.sort()
	case "O":
		m.reversed = !m.reversed
		m.sort()
	case "space":
		return m.begin()
	case pauses, resumes, scales:
		if q := m.at(); q != nil {
			m.ask = m.asking(name, *q)
		}
	}
	return nil
}

// move chooses a queue that many lines below.
func (m *model) move(lines int) {
	if len(m.shown.Queues) > 0 {
		i := min(max(m.index()+lines, 0), len(m.shown.Queues)-1)
		m.chosen = m.shown.Queues[i].Worker
	}
}

// index is the chosen queue's line.
func (m *model) index() int {
	return max(0, slices.IndexFunc(m.shown.Queues, func(q pools.Queue) bool { return q.Worker == m.chosen }))
}

// at is the chosen queue; nil when there is none.
func (m *model) at() *pools.Queue {
	if len(m.shown.Queues) == 0 {
		return nil
	}
	return &m.shown.Queues[m.index()]
}

// orders are the columns by which queues are sorted, the most first; "" is the fleet's own order.
var orders = []string{"", "READY", "IN/s", "ACK/s", "OLDEST", "RETRY", "DEAD", "RUN", "QUEUE"}

// sort sorts the queues; those that are alike stay in the order of their names.
func (m *model) sort() {
	slices.SortStableFunc(m.shown.Queues, func(a, b pools.Queue) int { return strings.Compare(a.Worker, b.Worker) })
	i := slices.IndexFunc(pools.Columns, func(c pools.Column) bool { return c.Name == orders[m.order] })
	if i >= 0 && pools.Columns[i].Value != nil {
		value := pools.Columns[i].Value
		slices.SortStableFunc(m.shown.Queues, func(a, b pools.Queue) int { return cmp.Compare(value(&b), value(&a)) })
	}
	if m.reversed {
		slices.Reverse(m.shown.Queues)
	}
	m.move(0) // to the first, where none is chosen
}
