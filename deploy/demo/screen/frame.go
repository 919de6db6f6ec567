package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/stockview"
)

// view is what the screen shows at one time.
type view struct {
	State   demo.State
	Summary stockview.TenantSummary
	Queues  []queueDepth // those that are not empty
	Rate    float64      // events a second
	Rates   []float64
	Events  int64 // in the log since the demo began
	Pace    string
	Notes   []string // the program's own messages
}

// queueDepth is how many messages are ready in a queue.
type queueDepth struct {
	queue string
	n     int
}

// frame draws the view for a terminal of a size: no line is longer and there are no more lines. The latest notes fill
// the space that is left.
func (v view) frame(width, height int, colour bool) []string {
	p := painter{width: width, colour: colour}
	p.line(p.bold(" composerp demo")+v.headline(), v.State.Running.Round(time.Second).String()+" ")
	if height >= 14 && v.State.Days > 0 {
		p.line(p.bar(v.State.Day, v.State.Days), "")
	}
	roomy := height >= 18
	p.gap(roomy)
	t, all := v.State.Today, v.State.Total
	p.figures("TODAY", "sold", t.Sold, "returned", t.Returned, "received", t.Received, "moved", t.Moved, "damaged", t.Damaged, "unmet", t.Lost)
	p.figures("SO FAR", "sold", all.Sold, "fill rate", share(all.Wanted.Sub(all.Lost), all.Wanted), "low", v.Summary.Low, "sold out", v.Summary.Out)
	p.figures("ORDERS", "made", v.Summary.Ordered(), "waiting", v.Summary.Waiting, "to send", v.Summary.Unsent, "on the way", v.Summary.Sent, "received", v.Summary.Received, "rejected", v.Summary.Rejected)
	p.figures("EVENTS", "a second", int64(v.Rate), spark(v.Rates), "", "in all", v.Events, "supplier calls", v.State.Calls.All, "retried", v.State.Calls.Busy)
	p.line(p.label("QUEUES")+v.depths(&p), "")
	p.gap(roomy)
	last := append(append([]string{}, v.State.Notes...), v.Notes...)
	if room := height - len(p.lines); room < len(last) {
		last = last[len(last)-max(0, room):]
	}
	for _, l := range last {
		p.line(" "+l, "")
	}
	return p.lines[:min(len(p.lines), max(0, height))]
}

func (v view) headline() string {
	s := v.State
	if s.Date == "" {
		return "  about to open"
	}
	of := ""
	if s.Days > 0 {
		of = fmt.Sprintf(" of %d", s.Days)
	}
	return fmt.Sprintf("  %s  day %d%s  %s", s.Date.Time().Format("Mon 2 Jan 2006"), s.Day, of, v.Pace)
}

func (v view) depths(p *painter) string {
	if len(v.Queues) == 0 {
		return "empty"
	}
	var texts []string
	for _, q := range v.Queues {
		text := fmt.Sprintf("%s %d", q.queue, q.n)
		if strings.HasSuffix(q.queue, ".dead") || q.queue == "unrouted" {
			text = p.red(text)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "  ")
}

// share is a part of a whole in per cent.
func share(part, whole event.Decimal) string {
	if whole.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*part.InexactFloat64()/whole.InexactFloat64())
}

// spark draws numbers as a row of blocks, the largest as a full one.
func spark(values []float64) string {
	const blocks = "▁▂▃▄▅▆▇█"
	most := slices.Max(append([]float64{0}, values...))
	var b strings.Builder
	for _, v := range values {
		i := 0
		if most > 0 {
			i = int(v / most * 7)
		}
		b.WriteRune([]rune(blocks)[min(max(i, 0), 7)])
	}
	return b.String()
}

// painter collects lines, none longer than the terminal is wide.
type painter struct {
	width  int
	colour bool
	lines  []string
}

func (p *painter) paint(code, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *painter) bold(text string) string  { return p.paint("1", text) }
func (p *painter) dim(text string) string   { return p.paint("2", text) }
func (p *painter) red(text string) string   { return p.paint("31;1", text) }
func (p *painter) green(text string) string { return p.paint("32", text) }

func (p *painter) label(text string) string { return " " + p.dim(fmt.Sprintf("%-8s", text)) }

func (p *painter) gap(wanted bool) {
	if wanted {
		p.lines = append(p.lines, "")
	}
}

// line adds a line, with right at the right border where there is room for it.
func (p *painter) line(left, right string) {
	if pad := p.width - visible(left) - visible(right); right != "" && pad > 0 {
		left += strings.Repeat(" ", pad) + right
	}
	p.lines = append(p.lines, cut(left, p.width))
}

// figures adds a line of names and numbers, as many as fit.
func (p *painter) figures(label string, pairs ...any) {
	text := p.label(label)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, number := fmt.Sprint(pairs[i]), figure(pairs[i+1])
		part := p.dim(name) + " " + number
		if number == "" {
			part = p.green(name)
		}
		if i > 0 {
			part = "  " + part
		}
		if visible(text)+visible(part) > p.width {
			break
		}
		text += part
	}
	p.line(text, "")
}

// figure is a number with separators, or a text unchanged.
func figure(v any) string {
	switch v := v.(type) {
	case event.Decimal:
		return wording.Thousands(v.IntPart())
	case int64:
		return wording.Thousands(v)
	}
	return fmt.Sprint(v)
}

func (p *painter) bar(done, of int) string {
	width := max(0, p.width-2)
	full := min(width, width*done/max(1, of))
	return " " + p.green(strings.Repeat("━", full)) + p.dim(strings.Repeat("─", width-full))
}

// visible counts the characters outside of escape sequences.
func visible(text string) (n int) {
	for _, part := range escapes(text) {
		if !strings.HasPrefix(part, "\x1b") {
			n += len([]rune(part))
		}
	}
	return n
}

// cut shortens a text to a number of visible characters, and replaces characters that would move the cursor.
func cut(text string, width int) string {
	var b strings.Builder
	left := width
	for _, part := range escapes(text) {
		if strings.HasPrefix(part, "\x1b") {
			b.WriteString(part)
			continue
		}
		for _, r := range part {
			if left == 0 {
				break
			}
			if !unicode.IsPrint(r) {
				r = ' '
			}
			b.WriteRune(r)
			left--
		}
	}
	return b.String()
}

// escapes splits a text into its colour sequences and the texts between them.
func escapes(text string) (parts []string) {
	for text != "" {
		start := strings.Index(text, "\x1b[")
		end := strings.IndexByte(text[max(0, start):], 'm')
		if start < 0 || end < 0 {
			return append(parts, strings.ReplaceAll(text, "\x1b", " "))
		}
		if start > 0 {
			parts = append(parts, text[:start])
		}
		parts = append(parts, text[start:start+end+1])
		text = text[start+end+1:]
	}
	return parts
}
