package top

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"charm.land/lipgloss/v2"

	"github.com/composerp/composerp/cli/pools"
)

// column is a column of the screen. Its width does not depend on the figures in it: else columns would jump.
type column struct {
	pools.Column
	title string
	width int
	left  bool
}

// widths are those of columns with figures; a title that is longer is shown where the screen is wide.
var widths = map[string]struct {
	title string
	width int
}{
	"MODE": {"MODE", 6}, "DESIRED": {"WANT", 4}, "RUN": {"RUN", 3}, "BUSY": {"BUSY", 4}, "READY": {"READY", 6}, "UNACKED": {"UNACK", 6}, "IN/s": {"IN/s", 5},
	"ACK/s": {"ACK/s", 5}, "DRAIN-ETA": {"ETA", 6}, "OLDEST": {"OLDEST", 6}, "RETRY": {"RETRY", 5}, "DEAD": {"DEAD", 4},
}

// spared are the columns that a narrow screen goes without, the first first.
var spared = []string{"UNACKED", "DRAIN-ETA", "ACK/s", "IN/s", "MODE", "BUSY", "OLDEST", "DESIRED"}

// leastWhy is how wide the column WHY is at least; a line below the table has it of the chosen queue.
const leastWhy = 20

// columnsFor are the columns that a screen of that width has room for.
func columnsFor(width int, queues []pools.Queue) (columns []column) {
	for _, c := range pools.Columns {
		w, found := widths[c.Name]
		if found {
			columns = append(columns, column{Column: c, title: w.title, width: w.width, left: c.Name == "MODE"})
		}
		if c.Name == "QUEUE" {
			longest := len(c.Name)
			for i := range queues {
				longest = max(longest, len(queues[i].Worker))
			}
			columns = append(columns, column{Column: c, title: c.Name, width: min(longest, 24), left: true})
		}
	}
	left := func() int {
		left := width - 1
		for _, c := range columns {
			left -= 1 + c.width
		}
		return left
	}
	for _, name := range spared {
		if left() < 0 {
			columns = slices.DeleteFunc(columns, func(c column) bool { return c.Name == name })
		}
	}
	if why := left() - 1; why >= leastWhy {
		last := pools.Columns[len(pools.Columns)-1]
		columns = append(columns, column{Column: last, title: last.Name, width: why, left: true})
	}
	return columns
}

// text is a cell's, which fits where it is a number: 12,345 or 123k.
func (c column) text(q *pools.Queue) string {
	text := printable(c.Text(q))
	if c.Value == nil || len(text) <= c.width || c.Value(q) < 0 {
		return text
	}
	value := c.Value(q)
	for _, unit := range []string{"", "k", "M"} {
		if short := fmt.Sprintf("%.0f%s", value, unit); len(short) <= c.width {
			return short
		}
		value /= 1000
	}
	return text
}

// pad brings a text to the column's width.
func (c column) pad(text string) string {
	text = lipgloss.NewStyle().MaxWidth(c.width).Render(text)
	blanks := strings.Repeat(" ", max(0, c.width-lipgloss.Width(text)))
	if c.left {
		return text + blanks
	}
	return blanks + text
}

// printable has blanks for characters that would move the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
