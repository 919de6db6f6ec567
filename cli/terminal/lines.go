package terminal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/composerp/composerp/cli/exit"
)

// LinesFlag is the --output of a command that may write any number of rows: ndjson is a JSON value a line.
func LinesFlag() cli.Flag {
	return &cli.StringFlag{
		Name: FlagOutput, Aliases: []string{"o"}, Value: "table", Usage: "table, json, or ndjson: a JSON value a line",
		Action: func(_ *cli.Context, format string) error {
			if !slices.Contains(LineFormats, format) {
				return exit.Usage("--output %q: want table, json or ndjson", format)
			}
			return nil
		},
	}
}

// LineFormats are what LinesFlag takes.
var LineFormats = []string{"table", "json", "ndjson"}

// Lines writes rows as they come, so that their number does not matter: as a table whose columns have given widths, as
// a JSON list, or a JSON value a line.
type Lines[T any] struct {
	out     io.Writer
	format  string
	columns []Column[T]
	rows    int
}

// Column is one of a table of Lines. A cell that is longer than its width moves the rest of its line.
type Column[T any] struct {
	Title string
	Width int
	Cell  func(*T) string
}

// NewLines writes to stdout in the format of --output.
func NewLines[T any](cctx *cli.Context, columns ...Column[T]) *Lines[T] {
	return &Lines[T]{out: cctx.App.Writer, format: cctx.String(FlagOutput), columns: columns}
}

// Write writes some rows at once.
func (l *Lines[T]) Write(rows []T) error {
	var text bytes.Buffer
	for i := range rows {
		if err := l.row(&text, &rows[i]); err != nil {
			return fmt.Errorf("writing a row: %w", err)
		}
		l.rows++
	}
	_, err := l.out.Write(text.Bytes())
	return err
}

func (l *Lines[T]) row(text *bytes.Buffer, row *T) error {
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	switch l.format {
	case "ndjson":
		return encoder.Encode(row)
	case "json":
		text.WriteString(map[bool]string{true: "[\n  ", false: ",\n  "}[l.rows == 0])
		encoder.SetIndent("  ", "  ")
		err := encoder.Encode(row)
		text.Truncate(text.Len() - 1) // the newline: a comma may follow
		return err
	}
	if l.rows == 0 {
		l.head(text)
	}
	l.line(text, func(c Column[T]) string { return c.Cell(row) })
	return nil
}

func (l *Lines[T]) head(text *bytes.Buffer) {
	l.line(text, func(c Column[T]) string { return c.Title })
}

func (l *Lines[T]) line(text *bytes.Buffer, cell func(Column[T]) string) {
	for i, c := range l.columns {
		value := cell(c)
		text.WriteString(value)
		if i < len(l.columns)-1 {
			text.WriteString(strings.Repeat(" ", max(0, c.Width-utf8.RuneCountInString(value))+2))
		}
	}
	text.WriteByte('\n')
}

// End writes what closes the list; of a table without rows it says so.
func (l *Lines[T]) End() error {
	var text bytes.Buffer
	switch {
	case l.format == "json" && l.rows == 0:
		text.WriteString("[]\n")
	case l.format == "json":
		text.WriteString("\n]\n")
	case l.format == "table" && l.rows == 0:
		l.head(&text)
		text.WriteString(None + "\n")
	}
	_, err := l.out.Write(text.Bytes())
	return err
}

// IgnorePipe lets a write to a pipe whose reader has gone fail with an error that IsPipe knows, in place of ending the
// process at once: what is on the terminal by then is cleared away.
func IgnorePipe() { signal.Ignore(syscall.SIGPIPE) }

// IsPipe reports whether the reader of a pipe, such as head, has gone.
func IsPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// IsTerminal reports whether out is a terminal.
func IsTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
