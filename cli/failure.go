package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
)

// failureLine is an error as a script reads it, a line on stderr.
type failureLine struct {
	Error string `json:"error"`
	Do    string `json:"do,omitempty"`
	Code  int    `json:"exitCode"`
}

// printError writes an error on one line: as text, or as JSON where the command's output is JSON.
func printError(stderr io.Writer, err error, asJSON bool) {
	text, do := exit.OneLine(err), exit.Advice(err)
	if asJSON {
		encoder := json.NewEncoder(stderr)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(failureLine{text, do, exit.CodeOf(err)})
		return
	}
	if do != "" {
		text += "; " + do
	}
	fmt.Fprintf(stderr, "composerp: %s\n", text)
}

// wantsJSON tells whether a command line asks for JSON, however wrong the rest of it is.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		switch name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "="); {
		case !strings.HasPrefix(arg, "-") || name != "o" && name != terminal.FlagOutput:
		case given:
			return value == "json" || value == "ndjson"
		default:
			return i+1 < len(args) && (args[i+1] == "json" || args[i+1] == "ndjson")
		}
	}
	return false
}

// helpLine turns `help dlq redrive` and `dlq help redrive` into `dlq redrive --help`, and refuses what no command is
// called.
func helpLine(app *cli.App, args []string) ([]string, error) {
	here, asked := topOf(app), false
	for i := 1; i < len(args); i++ {
		word := args[i]
		switch {
		case !asked && word == "help" && len(here.commands) > 0:
			asked = true
		case strings.HasPrefix(word, "-"):
			if asked {
				continue
			}
			return args, nil
		case here.enter(word):
		case asked:
			name := strings.TrimSpace("composerp " + strings.Join(here.path, " "))
			return args, exit.Usage("no command %q; %s`%s --help` lists them all", word, terminal.Suggest(word, terminal.NamesOf(here.commands)), name)
		default:
			return args, nil
		}
	}
	if !asked {
		return args, nil
	}
	return slices.Concat(args[:1], here.path, []string{"--help"}), nil
}
