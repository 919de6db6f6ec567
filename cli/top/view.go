package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/scaling"
)

// styles are how parts of the screen look; the zero value is plain text.
type styles struct {
	title, header, chosen, alarm, warning, faint lipgloss.Style
}

func colours() styles {
	plain := lipgloss.NewStyle()
	return styles{
		title: plain.Bold(true), header: plain.Bold(true).Underline(true), chosen: plain.Reverse(true),
		alarm: plain.Bold(true).Foreground(lipgloss.Red), warning: plain.Foreground(lipgloss.Yellow), faint: plain.Faint(true),
	}
}

// View draws the screen.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "composerp top"
	return v
}

// lines are the screen's, none longer than it is wide, and no more than it is high.
func (m *model) lines() []string {
	below := m.below()
	room := m.height - len(below)
	lines := append([]string{m.top()}, m.queues(room-1-m.least())...)
	lines = append(lines, m.sections(room-len(lines))...)
	for len(lines) < room {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, min(len(lines), room))], below...)
	for i, l := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(max(1, m.width)).Render(l)
	}
	return lines[max(0, len(lines)-m.height):]
}

// heading is what the fleet does as a whole, in parts, the most important first.
func heading(s pools.Sample) []string {
	var running, busy, ready, retry, dead int
	for _, q := range s.Queues {
		for _, n := range []struct{ of, sum *int }{{q.Running, &running}, {q.Busy, &busy}, {q.Ready, &ready}, {q.Retrying, &retry}, {q.Dead, &dead}} {
			if n.of != nil {
				*n.sum += *n.of
			}
		}
	}
	nodes := 0
	for _, n := range s.Nodes {
		if n.State != "lost" {
			nodes++
		}
	}
	parts := []string{wording.Count(int64(nodes), "node"), wording.Sprintf("%d slots, %d busy", running, busy)}
	switch {
	case s.Log == nil:
	case s.Log.Relay == "":
		parts = append(parts, "no relay runs")
	default:
		parts = append(parts, wording.Sprintf("relay %d behind", s.Log.Unpublished))
	}
	return append(parts, wording.Sprintf("%d dead, %d retry", dead, retry), wording.Sprintf("%d ready", ready))
}

func (m *model) top() string {
	left, right := m.style.title.Render(" top"), m.shown.At.Local().Format("15:04:05")+" "
	if m.shown.At.IsZero() {
		return left + "  reading…"
	}
	room := m.width - lipgloss.Width(left) - lipgloss.Width(right)
	for _, part := range heading(m.shown) {
		if room -= 2 + len(part); room < 0 {
			break
		}
		if part == "no relay runs" {
			part = m.style.alarm.Render(part)
		}
		left += "  " + part
	}
	return left + strings.Repeat(" ", max(0, m.width-lipgloss.Width(left)-lipgloss.Width(right))) + right
}

// below are the lines at the bottom: a dialog or a message, and the keys.
func (m *model) below() []string {
	keys := " ↑↓ choose  p pause  r resume  s scale  o order" + m.orderText() + "  ? help  q quit"
	lines := []string{m.message(), m.style.faint.Render(keys)}
	if m.ask == nil || m.help {
		return lines
	}
	return append(m.dialog(), lines[0])
}

func (m *model) orderText() string {
	name := orders[m.order]
	if name == "" && !m.reversed {
		return ""
	}
	if name == "" {
		name = "QUEUE"
	}
	return " (" + name + map[bool]string{true: ", least first", false: ""}[m.reversed] + ")"
}

// message is what is away, or what came of the last act.
func (m *model) message() string {
	switch {
	case len(m.away) > 0:
		text := " " + printable(strings.Join(m.away, "; "))
		if m.stale {
			text = " as of " + m.shown.At.Local().Format("15:04:05") + ":" + text
		}
		return m.style.alarm.Render(text)
	case m.failed:
		return m.style.alarm.Render(" " + printable(m.said))
	}
	return m.style.title.Render(" " + printable(m.said))
}

func (m *model) dialog() []string {
	a := m.ask
	lines := []string{m.style.title.Render(" " + verbs[a.what] + " " + a.queue.Worker)}
	for i, f := range a.fields {
		line := fmt.Sprintf("   %-9s %s", f.name, printable(f.text))
		if i == a.at {
			line = m.style.title.Render(fmt.Sprintf(" > %-9s %s", f.name, printable(f.text))) + m.style.chosen.Render("_")
		}
		if f.name == fieldSlots && i == a.at {
			line += m.style.faint.Render("   a number, or flags: what each process's --slots says")
		}
		lines = append(lines, line)
	}
	switch {
	case a.wrong != "":
		lines = append(lines, m.style.alarm.Render(" "+printable(a.wrong)))
	case a.at < len(a.fields):
		lines = append(lines, m.style.faint.Render(" enter goes on, shift+tab back, esc leaves everything as it is"))
	default:
		if a.lacks != "" {
			lines = append(lines, m.style.warning.Render(" "+printable(a.lacks)))
		}
		lines = append(lines, m.style.title.Render(" "+a.question()+" [y/N]"))
	}
	return lines
}

// least is how many lines below the queues are kept for the rest, where there are enough.
func (m *model) least() int {
	if m.height < 16 || m.help || m.ask != nil {
		return 0
	}
	return 1 + min(len(m.shown.Nodes)+1, 3) + min(len(m.shown.Changes)+1, 3)
}

const helpText = ` WANT   slots that are desired, by composerp scale or by the autoscaler
 RUN    slots that consume            BUSY   those with messages in hand
 READY  messages that wait            IN/s ACK/s  by the management API, over 20 s
 ETA    time until the queue is empty, at these rates
 OLDEST for how long at least the messages that wait have been in the log
 RETRY  messages in retry queues      DEAD   in the dead-letter queue

 ↑ ↓ j k pgup pgdn home end   choose a queue; the line below the table says why
 p r     pause, or resume, the queue on every node
 s       scale it: a number of slots for the whole fleet, or flags
 o O     order by the next column; turn the order round
 space   read now                     q      quit`

// queues draws the table of queues in at most that many lines, the chosen one in view.
func (m *model) queues(most int) []string {
	if m.help {
		return append([]string{""}, strings.Split(helpText, "\n")...)
	}
	columns := columnsFor(m.width, m.shown.Queues)
	header := " "
	for _, c := range columns {
		header += " " + c.pad(c.title)
	}
	lines := []string{m.style.header.Render(strings.TrimRight(header, " "))}
	most = max(1, most-2) // the header, and why
	i := m.index()
	m.first = max(0, min(m.first, i, len(m.shown.Queues)-most))
	m.first = max(m.first, i-most+1)
	for n := m.first; n < min(m.first+most, len(m.shown.Queues)); n++ {
		lines = append(lines, m.row(columns, &m.shown.Queues[n], n == i))
	}
	if q := m.at(); q != nil {
		why := ": " + q.Why
		if q.Why == "" {
			why = " consumes " + strings.Join(q.Consumes, ", ")
		}
		lines = append(lines, m.style.faint.Render("  "+q.Worker+printable(why)))
	}
	return lines
}

func (m *model) row(columns []column, q *pools.Queue, chosen bool) string {
	line := map[bool]string{true: ">", false: " "}[chosen]
	for _, c := range columns {
		cell := c.pad(c.text(q))
		switch {
		case chosen:
		case c.Name == "DEAD" && c.Value(q) > 0, c.Name == "DRAIN-ETA" && c.Text(q) == "stands" && q.Ready != nil && *q.Ready > 0:
			cell = m.style.alarm.Render(cell)
		case c.Name == "RETRY" && c.Value(q) > 0, c.Name == "MODE" && q.Mode == "paused", c.Name == "DRAIN-ETA" && c.Text(q) == "grows":
			cell = m.style.warning.Render(cell)
		}
		line += " " + cell
	}
	if chosen {
		line = m.style.chosen.Render(line)
	}
	return line
}

// sections are the nodes and the last changes, in at most that many lines.
func (m *model) sections(room int) []string {
	if m.help || m.ask != nil && room < 2 {
		return nil
	}
	nodes := [][]string{{"NODE", "STATE", "SLOTS", "OF", "SEEN", "LABELS", "WORKERS"}}
	for _, n := range m.shown.Nodes {
		nodes = append(nodes, []string{n.Node, n.State, fmt.Sprint(n.Slots), fmt.Sprint(n.Capacity), n.Seen(), strings.Join(n.Labels, ","), strings.Join(n.Queues, ",")})
	}
	changes := [][]string{{"CHANGED", "QUEUE", "SLOTS", "BY", "REASON"}}
	for _, e := range m.shown.Changes {
		changes = append(changes, []string{m.moment(e), e.Queue, pools.SlotsOrFlags(e.Before) + " → " + pools.SlotsOrFlags(e.After), e.By, e.Reason})
	}
	for _, t := range [][][]string{nodes, changes} {
		if len(t) == 1 {
			t[0] = nil
		}
	}
	most := min(len(nodes), max(room-min(len(changes), 3), 0))
	lines := m.section(nodes, most, room >= most+3+2)
	return append(lines, m.section(changes, room-len(lines), room-len(lines) > 4)...)
}

// section draws a table with a header in at most that many lines; a header alone is none.
func (m *model) section(rows [][]string, most int, gap bool) (lines []string) {
	if gap {
		lines, most = []string{""}, most-1
		if len(rows) > most && len(rows) <= most+1 {
			lines, most = nil, most+1
		}
	}
	if most < 2 || rows[0] == nil {
		return nil
	}
	rows = rows[:min(most, len(rows))]
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], lipgloss.Width(printable(cell)))
		}
	}
	for n, r := range rows {
		line := ""
		for i, cell := range r {
			cell = printable(cell)
			line += "  " + cell + strings.Repeat(" ", widths[i]-lipgloss.Width(cell))
		}
		line = strings.TrimRight(line, " ")
		switch {
		case n == 0:
			line = m.style.header.Render(line)
		case r[1] == "lost" || r[1] == "draining":
			line = m.style.warning.Render(line)
		}
		lines = append(lines, line)
	}
	return lines
}

// moment is when a change was: the time of this day, or the date.
func (m *model) moment(e scaling.Event) string {
	at, now := e.At.Local(), m.shown.At.Local()
	if at.Year() == now.Year() && at.YearDay() == now.YearDay() {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02")
}
