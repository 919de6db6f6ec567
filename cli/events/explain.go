package events

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/runtime/importer"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// shownRows is how many rows --explain shows.
const shownRows = 5

func explain(cctx *cli.Context, file string, mapping *importer.Mapping) error {
	e, err := importer.Explain(cctx.Context, file, mapping, shownRows)
	if err != nil {
		return err
	}
	return terminal.Show(cctx, e, func(w io.Writer) { showExplanation(w, e) })
}

func showExplanation(w io.Writer, e importer.Explanation) {
	terminal.Row(w, e.File, "")
	terminal.Row(w, "  read as", readAs(e.Found))
	for _, use := range []string{"key", "read", "passed over"} {
		var names []string
		for _, c := range e.Columns {
			if c.Use == use && c.Name != "" {
				names = append(names, c.Name)
			}
		}
		if names != nil {
			terminal.Row(w, "  columns "+use, strings.Join(names, ", "))
		}
	}
	terminal.Row(w, "  identity", strings.Join(e.Identity, ", "))
	terminal.Row(w, "    because", e.Because)
	if e.Timezone != "" {
		terminal.Row(w, "  times without a zone", e.Timezone+"; shown twice: the earlier; never shown: by the offset from before")
	}
	for _, r := range e.Rows {
		terminal.Row(w, fmt.Sprintf("  line %d", r.Line), cmp.Or(r.Reject, string(r.Event)))
	}
	terminal.Row(w, "  rejected", wording.Sprintf("%d of the first %d rows", e.Rejected, e.Looked))
	for _, want := range e.Wants {
		terminal.Row(w, "  seems to want", "input: {"+want)
	}
	terminal.Row(w, "  nothing was imported", "")
}

// readAs says in words what a file has turned out to be.
func readAs(f rowfile.Found) string {
	words := []string{f.Kind}
	if f.Packed {
		words = append(words, "packed by gzip")
	}
	if f.Encoding != "" {
		words = append(words, f.Encoding)
	}
	if f.LineEnds != "" {
		words = append(words, "lines end in "+f.LineEnds)
	}
	if f.Delimiter != "" {
		words = append(words, fmt.Sprintf("delimiter %q", f.Delimiter))
	}
	if f.Sheet != "" {
		words = append(words, fmt.Sprintf("sheet %q", f.Sheet))
	}
	return strings.Join(words, ", ")
}
