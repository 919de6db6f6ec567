package top

import (
	"strconv"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
)

// What a key does to the chosen queue.
const (
	pauses  = "p"
	resumes = "r"
	scales  = "s"
)

var verbs = map[string]string{pauses: "pause", resumes: "resume", scales: "scale"}

// deed is what an operator has confirmed.
type deed struct {
	what   string         // pauses, resumes or scales
	change scaling.Change // its Queue alone counts where nothing is scaled
	by     operatorlog.By
}

// ask is a dialog: its fields one after the other, then a question of yes or no.
type ask struct {
	what   string
	queue  pools.Queue
	fields []field
	at     int // the field that is typed; the question behind the last
	wrong  string
	lacks  string // why not all slots would have a place
}

// field is a line that is typed.
type field struct{ name, text string }

const (
	fieldSlots    = "slots"
	fieldOperator = "operator"
	fieldReason   = "reason"
)

// asking opens the dialog of a key. Who and why are asked where the command line does not say so.
func (m *model) asking(what string, q pools.Queue) *ask {
	a := &ask{what: what, queue: q}
	if what == scales {
		text := ""
		if n := q.Desired; n != nil {
			text = strconv.Itoa(*n)
		}
		a.fields = append(a.fields, field{fieldSlots, text})
	}
	if !m.operatorGiven {
		a.fields = append(a.fields, field{fieldOperator, m.by.Operator})
	}
	if m.by.Reason == "" {
		a.fields = append(a.fields, field{fieldReason, ""})
	}
	return a
}

// answer takes a key while a dialog is open.
func (m *model) answer(key tea.KeyPressMsg) tea.Cmd {
	a, name := m.ask, key.String()
	if a.at == len(a.fields) {
		m.ask = nil
		if name == "y" || name == "Y" {
			return m.carryOut(a)
		}
		m.say("nothing was changed", false)
		return nil
	}
	switch name {
	case "esc":
		m.ask = nil
		m.say("nothing was changed", false)
	case "enter", "tab", "down":
		a.next(m.shown)
	case "shift+tab", "up":
		a.at = max(0, a.at-1)
	case "backspace":
		text := []rune(a.fields[a.at].text)
		a.fields[a.at].text = string(text[:max(0, len(text)-1)])
	case "ctrl+u":
		a.fields[a.at].text = ""
	default:
		a.insert(key.Text)
	}
	return nil
}

// longestField is how many characters a field takes.
const longestField = 200

func (a *ask) insert(text string) {
	if a.at == len(a.fields) {
		return
	}
	f := &a.fields[a.at]
	a.wrong = ""
	for _, r := range text {
		if unicode.IsPrint(r) && len(f.text) < longestField {
			f.text += string(r)
		}
	}
}

// next goes on to the next field, if what was typed can be.
func (a *ask) next(s pools.Sample) {
	f := &a.fields[a.at]
	f.text = strings.TrimSpace(f.text)
	if f.name == fieldSlots {
		c, err := a.change()
		if err != nil {
			a.wrong = exit.OneLine(err)
			return
		}
		a.lacks = s.Lacking(c)
	}
	if f.name == fieldOperator && f.text == "" {
		a.wrong = "type a name for the operator log"
		return
	}
	a.wrong = ""
	a.at++
}

// value is what was typed into a field; otherwise where it was not asked.
func (a *ask) value(name, otherwise string) string {
	for _, f := range a.fields {
		if f.name == name {
			return f.text
		}
	}
	return otherwise
}

func (a *ask) change() (scaling.Change, error) {
	if a.what != scales {
		return scaling.Change{Queue: a.queue.Worker}, nil
	}
	return pools.ParseChange(a.queue.Worker + "=" + a.value(fieldSlots, ""))
}

// question is what y confirms.
func (a *ask) question() string {
	switch a.what {
	case pauses:
		return "Pause " + a.queue.Worker + " on every node? Its messages wait in the queue."
	case resumes:
		return "Consume " + a.queue.Worker + " again?"
	}
	text := "Scale " + a.queue.Worker + " from " + pools.SlotsOrFlags(a.queue.Desired) + " to " + a.value(fieldSlots, "") + " slots?"
	if a.queue.Mode == scaling.Auto {
		text += " This ends its autoscaling."
	}
	return text
}

// carryOut does what was confirmed.
func (m *model) carryOut(a *ask) tea.Cmd {
	d := deed{what: a.what, by: operatorlog.By{Operator: a.value(fieldOperator, m.by.Operator), Reason: a.value(fieldReason, m.by.Reason)}}
	var err error
	if d.change, err = a.change(); err != nil {
		return func() tea.Msg { return acted{err: err} }
	}
	act := m.act
	m.say("…", false)
	return func() tea.Msg {
		said, err := act(d)
		return acted{said, err}
	}
}

// slots is a desired number in words.
func slots(n *int) string {
	if n == nil {
		return "the slots of each process's flags"
	}
	if *n == 1 {
		return "1 slot"
	}
	return strconv.Itoa(*n) + " slots"
}
