package pools

import (
	"cmp"
	"fmt"
	"io"

	"github.com/composerp/composerp/cli/terminal"
)

// Column is a column of `worker list` and of `top`.
type Column struct {
	Name  string
	Text  func(*Queue) string
	Value func(*Queue) float64 // a number to sort by, below 0 where it is not known; nil: a text
	Rates bool                 // the management API alone knows it
}

// Columns are in the order of `worker list`.
var Columns = []Column{
	{Name: "QUEUE", Text: func(q *Queue) string { return q.Worker }},
	{Name: "MODE", Text: func(q *Queue) string { return cmp.Or(q.Mode, "-") }},
	number("DESIRED", func(q *Queue) *int { return q.Desired }),
	number("RUN", func(q *Queue) *int { return q.Running }),
	number("BUSY", func(q *Queue) *int { return q.Busy }),
	number("READY", func(q *Queue) *int { return q.Ready }),
	rate(number("UNACKED", func(q *Queue) *int { return q.Unacked })),
	rate(measure("IN/s", perSecond, func(q *Queue) *float64 { return q.In })),
	rate(measure("ACK/s", perSecond, func(q *Queue) *float64 { return q.Acked })),
	rate(Column{Name: "DRAIN-ETA", Text: (*Queue).eta, Value: valueOf(func(q *Queue) *float64 { return q.DrainETA })}),
	measure("OLDEST", length, func(q *Queue) *float64 { return q.Oldest }),
	number("RETRY", func(q *Queue) *int { return q.Retrying }),
	number("DEAD", func(q *Queue) *int { return q.Dead }),
	{Name: "WHY", Text: func(q *Queue) string { return q.Why }},
}

func number(name string, of func(*Queue) *int) Column {
	return Column{Name: name, Text: func(q *Queue) string { return terminal.NumberOr(of(q)) }, Value: valueOf(of)}
}

func measure(name string, text func(float64) string, of func(*Queue) *float64) Column {
	return Column{Name: name, Text: func(q *Queue) string { return terminal.Or(of(q), "-", text) }, Value: valueOf(of)}
}

func valueOf[N int | float64](of func(*Queue) *N) func(*Queue) float64 {
	return func(q *Queue) float64 {
		if n := of(q); n != nil {
			return float64(*n)
		}
		return -1
	}
}

func rate(c Column) Column {
	c.Rates = true
	return c
}

// eta is the time until the queue is empty, or why it does not get there.
func (q *Queue) eta() string {
	if q.DrainETA == nil && q.Ready != nil && q.In != nil {
		return map[bool]string{true: "grows", false: "stands"}[*q.In > *q.Acked]
	}
	return terminal.Or(q.DrainETA, "-", length)
}

// Table writes the queues as `worker list` shows them.
func (s Sample) Table(w io.Writer) {
	var header []any
	var columns []Column
	for _, c := range Columns {
		if s.rates || !c.Rates {
			header, columns = append(header, c.Name), append(columns, c)
		}
	}
	terminal.Table(w, s.Queues, header, func(q *Queue) (cells []any) {
		for _, c := range columns {
			cells = append(cells, c.Text(q))
		}
		return cells
	})
}

func perSecond(rate float64) string { return fmt.Sprintf("%.1f", rate) }
