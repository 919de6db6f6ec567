package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/deadletters"
	"github.com/composerp/composerp/cli/events"
	"github.com/composerp/composerp/cli/planner"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers"
)

// completeWord is typed by the scripts of `completion` alone: composerp __complete
// SHELL WORD... prints what the last word, which may be empty, can become, a line
// each, for zsh and fish with a tab and a description behind it.
const completeWord = "__complete"

// filesOnly, as the only line, tells the shell to complete the name of a file.
const filesOnly = ":files"

// candidate is one way to go on.
type candidate struct{ text, about string }

// completeLine answers a shell that asks.
func completeLine(app *cli.App, shell string, words []string, out io.Writer) {
	found, files := candidates(app, words)
	if files {
		fmt.Fprintln(out, filesOnly)
		return
	}
	for _, c := range found {
		if shell != "bash" && c.about != "" {
			fmt.Fprintf(out, "%s\t%s\n", c.text, c.about)
			continue
		}
		fmt.Fprintln(out, c.text)
	}
}

// candidates gives what the last word can become, or says that it is the name of a file.
func candidates(app *cli.App, words []string) (found []candidate, files bool) {
	if len(words) == 0 {
		words = []string{""}
	}
	words, apart := joined(words)
	last := words[len(words)-1]
	here, arguments, open := reach(app, words[:len(words)-1])
	switch name, value, given := strings.Cut(last, "="); {
	case open != "":
		found, files = flagValues(here, open, words)
	case given && strings.HasPrefix(last, "--"):
		found, files = flagValues(here, name[2:], words)
		if apart {
			last = value // bash has the part behind "=" as a word of its own
			break
		}
		for i := range found {
			found[i].text = name + "=" + found[i].text
		}
	case strings.HasPrefix(last, "-"):
		found = flagNames(here.flags, words)
	case len(here.commands) > 0 && len(arguments) == 0:
		for _, c := range here.commands {
			found = append(found, candidate{c.Name, c.Usage})
		}
		if here.arguments != "" {
			named, _ := argumentValues(here, arguments, words)
			found = append(found, named...)
		}
	default:
		found, files = argumentValues(here, arguments, words)
	}
	found = slices.DeleteFunc(found, func(c candidate) bool { return !strings.HasPrefix(c.text, last) })
	return found, files
}

// joined puts together again what bash takes apart at "=", and tells whether that was so at the last word.
func joined(words []string) (whole []string, apart bool) {
	for i := 0; i < len(words); i++ {
		if words[i] != "=" || len(whole) == 0 {
			whole = append(whole, words[i])
			continue
		}
		whole[len(whole)-1] += "="
		apart = i >= len(words)-2
		if i+1 < len(words) {
			i++
			whole[len(whole)-1] += words[i]
		}
	}
	return whole, apart
}

// reach follows whole words. open is the flag whose value comes next, if one does.
func reach(app *cli.App, words []string) (here place, arguments []string, open string) {
	here = topOf(app)
	for _, w := range words {
		switch {
		case open != "":
			open = ""
		case strings.HasPrefix(w, "-") && w != "-":
			name, flags := strings.TrimLeft(w, "-"), slices.Concat(here.flags, settings.Flags())
			if !strings.Contains(w, "=") && takesValue(flags, name) {
				open = terminal.FlagNamed(flags, name).Names()[0]
			}
		default:
			if !here.enter(w) {
				arguments = append(arguments, w)
			}
		}
	}
	return here, arguments, open
}

// flagNames are the flags that are not on the line yet.
func flagNames(flags []cli.Flag, words []string) []candidate {
	found := []candidate{{"--help", "show help"}}
	for _, f := range flags {
		name := "--" + f.Names()[0]
		about := ""
		if doc, ok := f.(cli.DocGenerationFlag); ok {
			about = doc.GetUsage()
		}
		if !slices.Contains(words[:len(words)-1], name) {
			found = append(found, candidate{name, about})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.text, b.text) })
	return found
}

// flagValues are what a flag may be set to, where that can be listed.
func flagValues(here place, name string, words []string) (found []candidate, files bool) {
	if names, known := namesOfFlag(here, name); known {
		return names.candidates(words), false
	}
	switch name {
	case "config", "dir", "map", "rejects", "data", "sales", "export":
		return nil, true
	case terminal.FlagOutput:
		if len(here.path) == 2 && here.path[0] == "events" && (here.path[1] == "query" || here.path[1] == "tail") {
			return texts(terminal.LineFormats...), false
		}
		return texts("table", "json"), false
	case settings.FlagLogLevel:
		return texts("debug", "info", "warn", "error"), false
	case settings.FlagLogFormat:
		return texts("text", "json"), false
	case settings.FlagMetricsWith:
		return texts(settings.NativeHistograms, settings.Profiles), false
	case "status":
		return texts("pending", "approved", "cancelled"), false
	case "queue":
		return append(texts(deadletters.DeadNames()...), candidate{deadletters.UnroutedName, "events that no queue was bound for"}), false
	case "confirm":
		return append(candidatesOf(deadletters.DeadNames(), topology.DeadQueueName), candidate{text: topology.Unrouted}), false
	case "on":
		if here.path[0] == "scale" {
			return texts("any"), false
		}
		return texts(event.Types()...), false
	case "type":
		return texts(event.Types()...), false
	case "order":
		return orders.candidates(words), false
	case "sort":
		if here.path[0] == "forecast" {
			return texts(planner.AccuracySorts...), false
		}
		return texts(stockview.StockSorts...), false
	case "consumer":
		return texts(workers.Names()...), false
	case "rate":
		return texts("max"), false
	case "mode":
		return texts("fixed", "auto"), false
	case settings.FlagSlots:
		return numbered(), false
	}
	return nil, false
}

// numbered are the workers, before a number of slots.
func numbered() []candidate {
	return candidatesOf(workers.Names(), func(name string) string { return name + "=" })
}

// argumentValues are what the next argument may be, by the words of the command's usage: WORKER..., FILE,
// bash|zsh|fish.
func argumentValues(here place, given, words []string) (found []candidate, files bool) {
	wanted := strings.Fields(here.arguments)
	if len(wanted) == 0 {
		return nil, false
	}
	next := wanted[min(len(given), len(wanted)-1)]
	repeats := strings.Contains(next, "...")
	if len(given) >= len(wanted) && !repeats {
		return nil, false
	}
	next = strings.Trim(next, "[].")
	names, known := namesOfArgument(here, next)
	switch {
	case known:
		found = names.candidates(words)
	case next == "FILE":
		return nil, true
	case next == "WORKER", next == "QUEUE": // a queue is named by its worker
		found = texts(workers.Names()...)
	case next == "WORKER=N":
		found = numbered()
	case next == "TYPE":
		found = texts(events.ExternalTypes()...)
	case strings.Contains(next, "|"):
		found = texts(strings.Split(next, "|")...)
	}
	return slices.DeleteFunc(found, func(c candidate) bool {
		return slices.ContainsFunc(given, func(g string) bool {
			return g == c.text || strings.HasSuffix(c.text, "=") && strings.HasPrefix(g, c.text)
		})
	}), false
}

func texts[S ~string](all ...S) []candidate {
	return candidatesOf(all, func(s S) string { return string(s) })
}

func candidatesOf[T any](all []T, text func(T) string) []candidate {
	found := make([]candidate, len(all))
	for i, t := range all {
		found[i].text = text(t)
	}
	return found
}
