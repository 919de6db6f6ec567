package terminal

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
)

// Suggest is a sentence that names what was probably meant, with a space behind
// it, or nothing when nothing known is near to what was typed.
func Suggest(typed string, known []string) string { return SuggestAs(strings.ToLower, typed, known) }

// SuggestAs is Suggest for names that plain makes alike where people write them differently.
func SuggestAs(plain func(name string) string, typed string, known []string) string {
	typed = plain(typed)
	best, nearest := len([]rune(typed))/3, ""
	for _, k := range known {
		if d := distance(typed, plain(k)); d < best || d == best && nearest == "" {
			best, nearest = d, k
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q? ", nearest)
}

// distance is how many letters must be changed, added, left out or swapped with
// their neighbour to make one text of the other (Damerau and Levenshtein, optimal string alignment).
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	rows := make([][]int, len(from)+1)
	for i := range rows {
		rows[i] = make([]int, len(to)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(from); i++ {
		for j := 1; j <= len(to); j++ {
			change := 1
			if from[i-1] == to[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && from[i-1] == to[j-2] && from[i-2] == to[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(from)][len(to)]
}

// NamesOf are the names of commands.
func NamesOf(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.Names()...)
	}
	return names
}

var (
	undefinedFlag = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	missingValue  = regexp.MustCompile(`^flag needs an argument: -(.*)$`)
	badValue      = regexp.MustCompile(`^invalid (?:boolean )?value "(.*)" for (?:flag )?-([^:]*): (.*)$`)
)

// FlagError says in our words what the flag package says of a flag.
func FlagError(cctx *cli.Context, err error) error {
	flags, name := cctx.App.Flags, cctx.App.Name
	if cctx.Command != nil && cctx.Command.Name != "" {
		flags, name = cctx.Command.Flags, cctx.Command.HelpName
	}
	text := err.Error()
	if m := undefinedFlag.FindStringSubmatch(text); m != nil {
		var known []string
		for _, f := range flags {
			for _, n := range f.Names() {
				known = append(known, Dashed(n))
			}
		}
		return exit.Usage("unknown flag %s; %s`%s --help` lists them", Dashed(m[1]), Suggest(Dashed(m[1]), known), name)
	}
	if m := missingValue.FindStringSubmatch(text); m != nil {
		return exit.Usage("%s needs a value; see `%s --help`", Dashed(m[1]), name)
	}
	if m := badValue.FindStringSubmatch(text); m != nil {
		return exit.Usage("%s %q: want %s", Dashed(m[2]), m[1], wanted(FlagNamed(flags, m[2])))
	}
	return exit.Usage("%s; see `%s --help`", text, name)
}

// Dashed is a flag as it is typed.
func Dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// wanted says what a flag takes.
func wanted(f cli.Flag) string {
	switch f.(type) {
	case *cli.DurationFlag:
		return "a time such as 30s, 5m or 1h30m"
	case *cli.IntFlag, *cli.Int64Flag:
		return "a whole number"
	case *cli.UintFlag, *cli.Uint64Flag:
		return "a whole number, not below 0"
	case *cli.Float64Flag:
		return "a number"
	case *cli.BoolFlag:
		return "nothing, or =true or =false"
	}
	return "another value"
}

// FlagNamed finds a flag by its name or an alias; nil when there is none.
func FlagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}
