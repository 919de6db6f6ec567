// Package terminal writes tables, JSON, messages and progress for people and scripts.
package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
)

// FlagOutput is the flag of every command that can write JSON.
const FlagOutput = "output"

// OutputFlag is --output. A wrong one is found before the work is done.
func OutputFlag() cli.Flag {
	return &cli.StringFlag{
		Name: FlagOutput, Aliases: []string{"o"}, Value: "table", Usage: "table or json",
		Action: func(_ *cli.Context, format string) error {
			if format != "table" && format != "json" {
				return exit.Usage("--output %q: want table or json", format)
			}
			return nil
		},
	}
}

// Show writes data to stdout: as JSON, or by table, which writes tab-separated cells.
func Show(cctx *cli.Context, data any, table func(w io.Writer)) error {
	if cctx.String(FlagOutput) == "json" {
		encoder := json.NewEncoder(cctx.App.Writer)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(data)
	}
	w := tabwriter.NewWriter(cctx.App.Writer, 0, 8, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// ShowRows writes rows to stdout: as JSON, or as a table with a header and the cells of each row.
func ShowRows[T any](cctx *cli.Context, rows []T, header []any, cells func(*T) []any) error {
	if rows == nil {
		rows = []T{} // in JSON a list, too
	}
	return Show(cctx, rows, func(w io.Writer) { Table(w, rows, header, cells) })
}

// None stands below the header of a table without rows.
const None = "(none)"

// Table writes a header and the cells of each row; of no rows it says so.
func Table[T any](w io.Writer, rows []T, header []any, cells func(*T) []any) {
	Row(w, header...)
	if len(rows) == 0 {
		Row(w, None)
	}
	for i := range rows {
		Row(w, cells(&rows[i])...)
	}
}

// Row writes a line of tab-separated cells, numbers in groups of three digits. A number that identifies something is
// given as text.
func Row(w io.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = text(c)
	}
	fmt.Fprintln(w, strings.Join(texts, "\t"))
}

func text(cell any) string {
	text := fmt.Sprint(cell)
	switch cell.(type) {
	case int, int64, event.Decimal:
		return wording.Grouped(text)
	}
	return text
}

// Say writes a message to stderr, whole numbers in groups of three digits.
func Say(cctx *cli.Context, format string, args ...any) {
	fmt.Fprintln(cctx.App.ErrWriter, wording.Sprintf(format, args...))
}

// Moment formats a time for a table, in the zone of this machine or of the environment's TZ; "-" for none.
func Moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(MomentLayout)
}

// MomentLayout is how tables and reports write times: with their zone.
const MomentLayout = "2006-01-02 15:04:05 MST"

// Or is the text of a value that there may not be.
func Or[T any](value *T, none string, text func(T) string) string {
	if value == nil {
		return none
	}
	return text(*value)
}

// YesNo formats what holds or does not.
func YesNo(holds bool) string { return map[bool]string{true: "yes", false: "no"}[holds] }

// NumberOr formats a number, or a dash for none.
func NumberOr[N any](n *N) string { return Or(n, "-", func(n N) string { return text(n) }) }

// Limit reads --limit, the most rows to show; 0: all.
func Limit(cctx *cli.Context) (int, error) {
	limit := cctx.Int("limit")
	if limit < 0 {
		return 0, exit.Usage("--limit %d: want 0 or more", limit)
	}
	return limit, nil
}

// Limited reads rows up to the limit, and says so when there are more. What they are is a format: "the newest %d".
func Limited[T any](cctx *cli.Context, limit int, what string, read func(most int) ([]T, error)) ([]T, error) {
	most := limit
	if limit > 0 {
		most++ // to know whether there are more
	}
	rows, err := read(most)
	if limit > 0 && len(rows) > limit {
		rows = rows[:limit]
		Say(cctx, "these are "+what+"; --limit 0 shows all", limit)
	}
	return rows, err
}
