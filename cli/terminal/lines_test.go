package terminal_test

import (
	"bytes"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
)

func TestLinesAreWrittenAsTheyCome(t *testing.T) {
	t.Parallel()
	type row struct {
		Name string `json:"name"`
	}
	for format, want := range map[string][3]string{
		"table":  {"NAME     N\n(none)\n", "NAME     N\n<é>      4\na        1\n", "NAME     N\n<é>      4\na        1\nlong-name  9\n"},
		"ndjson": {"", "{\"name\":\"<é>\"}\n{\"name\":\"a\"}\n", "{\"name\":\"<é>\"}\n{\"name\":\"a\"}\n{\"name\":\"long-name\"}\n"},
		"json": {"[]\n", "[\n  {\n    \"name\": \"<é>\"\n  },\n  {\n    \"name\": \"a\"\n  }\n]\n",
			"[\n  {\n    \"name\": \"<é>\"\n  },\n  {\n    \"name\": \"a\"\n  },\n  {\n    \"name\": \"long-name\"\n  }\n]\n"},
	} {
		for n, pages := range [][][]row{nil, {{{"<é>"}, {"a"}}}, {{{"<é>"}, {"a"}}, {{"long-name"}}}} {
			var out bytes.Buffer
			app := &cli.App{Writer: &out, Flags: []cli.Flag{terminal.LinesFlag()}, Action: func(cctx *cli.Context) error {
				lines := terminal.NewLines(cctx,
					terminal.Column[row]{Title: "NAME", Width: 7, Cell: func(r *row) string { return r.Name }},
					terminal.Column[row]{Title: "N", Cell: func(r *row) string { return string(rune('0' + len(r.Name)%10)) }})
				for _, page := range pages {
					if err := lines.Write(page); err != nil {
						return err
					}
				}
				return lines.End()
			}}
			if err := app.Run([]string{"x", "-o", format}); err != nil {
				t.Fatal(err)
			}
			got := out.String()
			if got != want[n] {
				t.Errorf("%s of %d pages:\n%s, want\n%s", format, n, got, want[n])
			}
		}
	}
}
