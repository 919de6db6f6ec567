package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// show writes data to stdout: as JSON, or by table, which writes tab-separated cells.
func show(cctx *cli.Context, data any, table func(w io.Writer)) error {
	switch format := cctx.String(flagOutput); format {
	case "json":
		encoder := json.NewEncoder(cctx.App.Writer)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(data)
	case "table":
		w := tabwriter.NewWriter(cctx.App.Writer, 0, 8, 2, ' ', 0)
		table(w)
		return w.Flush()
	default:
		return usage("--output %q: want table or json", format)
	}
}

func row(w io.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(w, strings.Join(texts, "\t"))
}

// checkOutput finds a wrong --output before the work is done, not after.
func checkOutput(cctx *cli.Context) error {
	if format := cctx.String(flagOutput); format != "" && format != "table" && format != "json" {
		return usage("--output %q: want table or json", format)
	}
	return nil
}
