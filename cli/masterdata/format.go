package masterdata

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// FormatFlags say how a file is written, as `input` does in a mapping.
func FormatFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "delimiter", Usage: "between the fields of CSV, one character or tab; default the one that the header has"},
		&cli.StringSliceFlag{Name: "columns", Usage: "names of the columns of a file without a header line, separated by commas"},
		&cli.StringFlag{Name: "encoding", Usage: "of a file without a byte order mark: UTF-8 or windows-1252; default UTF-8"},
		&cli.StringFlag{Name: "sheet", Usage: "sheet of a workbook; default its first"},
		&cli.StringFlag{Name: "decimal", Usage: "decimal mark of numbers, . or ,; default ."},
		&cli.StringFlag{Name: "thousands", Usage: "mark between groups of three digits: , . ' or a blank; default none"},
		&cli.StringSliceFlag{Name: "negatives", Usage: "how numbers below zero are written besides -6: 6- or (6); may be repeated"},
		&cli.StringSliceFlag{Name: "currency", Usage: "sign or code before or behind amounts, such as £; may be repeated"},
	}
}

// readFormat reads the flags of FormatFlags.
func readFormat(cctx *cli.Context) (rowfile.Format, error) {
	f := rowfile.Format{
		Columns: cctx.StringSlice("columns"), Encoding: cctx.String("encoding"), Sheet: cctx.String("sheet"),
		Numbers: rowfile.Numbers{
			Decimal: cctx.String("decimal"), Thousands: cctx.String("thousands"),
			Negatives: cctx.StringSlice("negatives"), Currency: cctx.StringSlice("currency"),
		},
	}
	if problem := f.Numbers.Check(); problem != "" {
		return f, exit.Usage("--%s", problem)
	}
	if f.Encoding != "" && !rowfile.IsEncoding(f.Encoding) {
		return f, exit.Usage("--encoding %q: want UTF-8 or windows-1252; UTF-16 is known by itself", f.Encoding)
	}
	if f.Columns != nil && !rowfile.CheckColumns(f.Columns) {
		return f, exit.Usage("--columns: want the names of the columns, each once, separated by commas")
	}
	switch text := cctx.String("delimiter"); {
	case text == "":
	case text == "tab" || text == `\t`:
		f.Delimiter = '\t'
	case rowfile.IsDelimiter(text):
		f.Delimiter = text[0]
	default:
		return f, exit.Usage("--delimiter: want one character such as ; or |, or tab, got %q", text)
	}
	return f, nil
}

// hintOf says which flags would make a number of a text.
func hintOf(numbers rowfile.Numbers, text string) string {
	var ways []string
	for _, hint := range numbers.Hints(text) {
		way := ""
		for _, option := range hint {
			way += " --" + option.Key + " '" + strings.ReplaceAll(option.Value, "'", `'\''`) + "'"
		}
		ways = append(ways, way[1:])
	}
	if len(ways) == 0 {
		return ""
	}
	return "; a number with " + strings.Join(ways, ", or with ")
}
