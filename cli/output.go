package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// outputFlag is --output. A wrong one is found before the work is done.
func outputFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagOutput, Aliases: []string{"o"}, Value: "table", Usage: "table or json",
		Action: func(_ *cli.Context, format string) error {
			if format != "table" && format != "json" {
				return usage("--output %q: want table or json", format)
			}
			return nil
		},
	}
}

// show writes data to stdout: as JSON, or by table, which writes tab-separated cells.
func show(cctx *cli.Context, data any, table func(w io.Writer)) error {
	if cctx.String(flagOutput) == "json" {
		encoder := json.NewEncoder(cctx.App.Writer)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(data)
	}
	w := tabwriter.NewWriter(cctx.App.Writer, 0, 8, 2, ' ', 0)
	table(w)
	return w.Flush()
}

func row(w io.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(w, strings.Join(texts, "\t"))
}
