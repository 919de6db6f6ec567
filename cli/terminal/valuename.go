package terminal

import (
	"cmp"
	"strings"

	"github.com/urfave/cli/v2"
)

// valueNames are those of flags whose own name does not tell.
var valueNames = map[string]string{
	"config": "FILE", "map": "FILE", "rejects": "FILE", "export": "FILE", "sales": "FILE", "results": "FILE",
	"since": "TIME", "until": "TIME", "data": "JSON", FlagOutput: "FORMAT", "by": "NAME", "on": "TYPE", "error": "TEXT", "quarantine": "CLASS",
}

// ValueName is what help texts call the value of a flag: FILE, TIME, N; else by the last word of the flag's name.
func ValueName(f cli.Flag) string {
	name := f.Names()[0]
	switch f.(type) {
	case *cli.DurationFlag:
		return "TIME"
	case *cli.IntFlag, *cli.Int64Flag, *cli.UintFlag, *cli.Uint64Flag, *cli.Float64Flag:
		return "N"
	}
	return cmp.Or(valueNames[name], strings.ToUpper(name[strings.LastIndex(name, "-")+1:]))
}

// FlagText is a flag in a help text: its names, what its value is called, and its usage.
func FlagText(f cli.Flag) string {
	names, usage, _ := strings.Cut(standardFlagText(f), "\t")
	return strings.ReplaceAll(names, " value", " "+ValueName(f)) + "\t" + usage
}

var standardFlagText = cli.FlagStringer

func init() { cli.FlagStringer = FlagText }
