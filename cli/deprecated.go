package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// rename is a word of the command line that has another name since this version.
// The old one works for one version; help, manual and completion do not show it.
type rename struct {
	under string // the command that the word follows; empty: composerp itself
	old   string
}

// renames are today's names.
var renames = map[rename]string{
	{"", "notice"}:                    "notification",
	{"notification list", "--untold"}: "--undelivered",
	{"dlq list", "--dealt"}:           "--all",
	{"dlq export", "--dealt"}:         "--all",
	{"worker run", "journal"}:         "deadletterlog",
	{"dlq redrive", "--stop-at"}:      "--max-failure-rate",
	{"po approve", "--by"}:            "--operator",
	{"po reject", "--by"}:             "--operator",
}

// renamed puts today's names for deprecated ones and says so on stderr.
func renamed(app *cli.App, args []string, stderr io.Writer) []string {
	args = slices.Clone(args)
	here := topOf(app)
	for i := 1; i < len(args) && args[i] != "--"; i++ {
		word, value, given := strings.Cut(args[i], "=")
		if flag := strings.HasPrefix(word, "-") && word != "-"; flag {
			word = "--" + strings.TrimLeft(word, "-")
		} else {
			word, given = args[i], false
		}
		if now := renames[rename{strings.Join(here.path, " "), word}]; now != "" {
			fmt.Fprintf(stderr, "composerp: %s is deprecated and works in this version only; use %s\n", word, now)
			word, args[i] = now, now
			if given {
				args[i] += "=" + value
			}
		}
		if strings.HasPrefix(word, "--") {
			if !given && takesValue(here.flags, word[2:]) {
				i++
			}
			continue
		}
		here.enter(word)
	}
	return args
}
