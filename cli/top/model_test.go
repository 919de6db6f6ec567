package top

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

var names = []string{"alert", "analytics", "billing", "deadletterlog", "forecasting", "intake", "ledger", "loyalty", "notification", "procurement", "replenishment", "stockview"}

var at = time.Date(2026, 3, 10, 14, 3, 7, 0, time.UTC)

// aSample is what a fleet might show; some of its texts are not what an operator would type.
func aSample() pools.Sample {
	s := pools.Sample{At: at, Problems: []string{}, Log: &pools.Log{Relay: "north-1#17", Unpublished: 12}}
	for i, name := range names {
		zero, one, rate := 0, 1, 0.0
		running, busy, ready := 1, 0, 0
		q := pools.Queue{Worker: name, Consumes: []string{"inventory.updated", "forecast.generated"}, Mode: "flags", Running: &running, Busy: &busy, Ready: &ready, Unacked: &zero, In: &rate, Acked: &rate, DrainETA: &rate, Retrying: &zero, Dead: &zero}
		if i == 6 {
			four, many, oldest, in, out := 4, 123456, 3725.0, 12345.6, 980.2
			q.Mode, q.Desired, q.Running, q.Busy, q.Ready, q.Unacked, q.In, q.Acked, q.DrainETA, q.Oldest, q.Retrying, q.Dead = "manual", &four, &four, &four, &many, &four, &in, &out, nil, &oldest, &four, &one
			q.Why = "set by ann; stock take \x1b[2J 在庫"
		}
		if i == 8 {
			q.Mode, q.Running, q.Why = "paused", &zero, "paused by bob; the mail server is down"
		}
		s.Queues = append(s.Queues, q)
	}
	s.Nodes = []pools.Node{
		{Node: "north-1#17", State: "up", Slots: 13, Capacity: 44, Labels: []string{"zone=north"}, Queues: names},
		{Node: "south-1#4711", State: "draining", Slots: 2, Capacity: 44, Queues: names, Silent: 1},
	}
	for i := range 30 {
		n := i % 5
		s.Changes = append(s.Changes, scaling.Event{At: at.Add(-time.Duration(i*i) * time.Minute), Queue: names[i%12], After: &n, By: "ann", Reason: "stock take"})
	}
	return s
}

// aModel has taken a sample on a screen of a size.
func aModel(width, height int) *model {
	m := &model{interval: time.Second, by: operatorlog.By{Operator: "ann@till"}, read: func() tea.Msg { return sampled{Sample: aSample()} }}
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	m.Init()
	m.Update(sampled{Sample: aSample()})
	return m
}

// press presses keys, each named as bubbletea names it, and returns what the last one has to be done.
func press(m *model, keys ...string) (cmd tea.Cmd) {
	codes := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "backspace": tea.KeyBackspace, "down": tea.KeyDown, "up": tea.KeyUp, "tab": tea.KeyTab}
	for _, k := range keys {
		msg := tea.KeyPressMsg{Text: k, Code: []rune(k)[0]}
		if code, named := codes[k]; named {
			msg = tea.KeyPressMsg{Code: code}
		}
		_, cmd = m.Update(msg)
	}
	return cmd
}

func down(n int) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat("down ", n), " "), " ")
}

// screens are what an operator may see.
var screens = map[string]func(width, height int) *model{
	"queues": aModel,
	"first": func(width, height int) *model {
		m := &model{}
		m.Update(tea.WindowSizeMsg{Width: width, Height: height})
		return m
	},
	"ordered": func(width, height int) *model {
		m := aModel(width, height)
		press(m, "o")
		press(m, down(11)...)
		return m
	},
	"scale": func(width, height int) *model {
		m := aModel(width, height)
		press(m, down(6)...)
		press(m, "s", "backspace", "8", "enter", "enter", "h", "o", "t")
		return m
	},
	"pause": func(width, height int) *model {
		m := aModel(width, height)
		press(m, "p", "enter", "enter")
		return m
	},
	"help": func(width, height int) *model {
		m := aModel(width, height)
		press(m, "?")
		return m
	},
	"away": func(width, height int) *model {
		m := aModel(width, height)
		s := aSample()
		s.At, s.Database = at.Add(time.Minute), store.ErrUnavailable
		s.Problems, s.Queues, s.Nodes = []string{"slots are not counted: dial tcp 127.0.0.1:5432: connection refused"}, s.Queues[:3], nil
		m.Update(sampled{Sample: s})
		return m
	},
}

func TestScreenGolden(t *testing.T) {
	t.Parallel()
	for name, screen := range screens {
		for size, of := range map[string][2]int{"80x24": {80, 24}, "140x40": {140, 40}} {
			got := ""
			for _, line := range screen(of[0], of[1]).lines() {
				got += strings.TrimRight(line, " ") + "\n"
			}
			golden.Compare(t, filepath.Join("testdata", name+"_"+size+".txt"), got)
		}
	}
}

// On a terminal of any size the screen fits, and what comes from the fleet's data moves no cursor.
func TestTheScreenFits(t *testing.T) {
	t.Parallel()
	for name, screen := range screens {
		for width := 1; width < 170; width += 9 {
			for height := 1; height < 45; height += 2 {
				m := screen(width, height)
				lines := m.lines()
				if len(lines) != height {
					t.Fatalf("%s: %d lines on a terminal of %d × %d:\n%s", name, len(lines), width, height, strings.Join(lines, "\n"))
				}
				for _, l := range lines {
					if n := lipgloss.Width(l); n > width || strings.ContainsAny(l, "\x1b\r\t") {
						t.Fatalf("%s: %d columns on a terminal of %d × %d: %q", name, n, width, height, l)
					}
				}
			}
		}
	}
}

// The chosen queue is in view on every screen that has a line for it, and stays chosen when the order changes.
func TestTheChosenQueueIsInView(t *testing.T) {
	t.Parallel()
	for height := 6; height < 30; height++ {
		m := aModel(80, height)
		for i, name := range names {
			if text := strings.Join(m.lines(), "\n"); !strings.Contains(text, "> "+name) {
				t.Fatalf("on %d lines the %d. queue is not in view:\n%s", height, i, text)
			}
			press(m, "down")
		}
		press(m, "o", "O", "o")
		if m.chosen != "stockview" || !strings.Contains(strings.Join(m.lines(), "\n"), "> stockview") {
			t.Fatalf("in another order %s is chosen", m.chosen)
		}
	}
}

func TestOrdersOfQueues(t *testing.T) {
	t.Parallel()
	m := aModel(80, 24)
	for _, order := range orders[1 : len(orders)-2] {
		press(m, "o")
		if got := m.shown.Queues[0].Worker; got != "ledger" {
			t.Errorf("by %s the first is %s", order, got)
		}
	}
	press(m, "O")
	if got := m.shown.Queues[len(names)-1].Worker; got != "ledger" {
		t.Errorf("turned round the last is %s", got)
	}
}

// A key changes nothing before its question is answered with y.
func TestAKeyAsksBeforeItChangesAnything(t *testing.T) {
	t.Parallel()
	four := 4
	for keys, want := range map[string]string{
		"p esc":                              "",
		"p enter n o enter enter":            "",
		"p enter n o enter n":                "",
		"p enter n o enter esc":              "",
		"p enter n o enter y":                "p ledger by ann@till: no",
		"p backspace X enter enter y":        "p ledger by ann@tilX: ",
		"r enter enter Y":                    "r ledger by ann@till: ",
		"s backspace enter":                  "", // no number
		"s backspace x enter y y":            "",
		"s 0 0 0 enter enter enter y":        "", // 4000
		"s backspace 4 enter enter enter y":  "s ledger=4 by ann@till: ",
		"s enter up backspace 4 enter enter": "",
		"q":                                  "",
		"y":                                  "",
	} {
		m := aModel(80, 24)
		press(m, down(6)...)
		var done []string
		m.act = func(d deed) (string, error) {
			text := d.what + " " + d.change.Queue
			if d.change.Desired != nil {
				if *d.change.Desired != four {
					t.Errorf("%s: scaled to %d", keys, *d.change.Desired)
				}
				text += "=4"
			}
			done = append(done, fmt.Sprintf("%s by %s: %s", text, d.by.Operator, d.by.Reason))
			return "done", nil
		}
		cmd := press(m, strings.Fields(keys)...)
		if cmd != nil && keys != "q" {
			m.Update(cmd())
		}
		if got := strings.Join(done, "; "); got != want {
			t.Errorf("%q: done is %q, want %q", keys, got, want)
		}
	}
}

// Who and why are asked where the command line does not say so, and only there.
func TestWhatTheCommandLineSaysIsNotAsked(t *testing.T) {
	t.Parallel()
	m := aModel(80, 24)
	m.operatorGiven, m.by = true, operatorlog.By{Operator: "bob", Reason: "drill"}
	var by operatorlog.By
	m.act = func(d deed) (string, error) { by = d.by; return "done", nil }
	m.Update(press(m, "p", "y")())
	if by != m.by || m.said != "done" {
		t.Errorf("done by %+v: %q", by, m.said)
	}
	for range saidFor + 2 {
		m.Update(sampled{Sample: aSample()})
	}
	if m.said != "" {
		t.Errorf("some readings later it still says %q", m.said)
	}
	m.act = func(deed) (string, error) { return "", store.ErrUnavailable }
	m.Update(press(m, "r", "y")())
	if !m.failed || !strings.Contains(m.said, "nothing was changed: ") {
		t.Errorf("of an act that failed it says %q", m.said)
	}
}

// While a server is away the last whole picture stays, with a line that says so; the next whole one replaces it.
func TestAServerThatIsAwayLeavesThePicture(t *testing.T) {
	t.Parallel()
	m := screens["away"](80, 24)
	text := strings.Join(m.lines(), "\n")
	if !strings.Contains(text, "as of 14:03:07: slots are not counted: dial tcp") || !strings.Contains(text, "stockview") || !strings.Contains(text, "south-1") {
		t.Errorf("it shows\n%s", text)
	}
	s := aSample()
	s.At = at.Add(2 * time.Minute)
	m.Update(sampled{Sample: s})
	if text := strings.Join(m.lines(), "\n"); strings.Contains(text, "as of") || !strings.Contains(text, "14:05:07") {
		t.Errorf("back again it shows\n%s", text)
	}
}

// Before there is a whole picture, what could be read is shown. A wrong setting ends the program.
func TestServersThatAreAwayFromTheBeginning(t *testing.T) {
	t.Parallel()
	m := &model{width: 80, height: 24}
	s := aSample()
	s.Broker, s.Problems = errors.New("refused"), []string{"queues are not counted: refused"}
	if _, cmd := m.Update(sampled{Sample: s}); cmd == nil || m.err != nil || !strings.Contains(strings.Join(m.lines(), "\n"), "queues are not counted") {
		t.Errorf("without a broker: %v\n%s", m.err, strings.Join(m.lines(), "\n"))
	}
	m = &model{width: 80, height: 24}
	s.Broker = store.ErrAccess
	if _, cmd := m.Update(sampled{Sample: s}); !errors.Is(m.err, store.ErrAccess) || cmd() != tea.Quit() {
		t.Errorf("with a wrong password it goes on: %v", m.err)
	}
}

// There is one reading at a time. An act is followed by one, and readings go on by themselves.
func TestOneReadingAtATime(t *testing.T) {
	t.Parallel()
	m := aModel(80, 24)
	if _, cmd := m.Update(due(m.turn)); cmd == nil {
		t.Fatal("no reading begins when one is due")
	}
	if _, cmd := m.Update(acted{said: "done"}); cmd != nil {
		t.Error("a second reading begins beside the first")
	}
	if _, cmd := m.Update(due(m.turn - 1)); cmd != nil {
		t.Error("a reading begins that was due before the last")
	}
	if _, cmd := m.Update(sampled{Sample: aSample()}); cmd == nil || !m.reading {
		t.Error("no reading follows the act")
	}
	if _, cmd := m.Update(sampled{Sample: aSample()}); cmd == nil || m.reading {
		t.Error("the next reading does not wait for its time")
	}
}
