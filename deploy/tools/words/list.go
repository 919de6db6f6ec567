package words

import (
	"slices"
	"strings"
)

type phrase struct {
	text   string
	words  []string
	hyphen bool // a flag's name: the words are joined by hyphens and nothing else
	use    string
}

// retired are the phrases by their first word. The left side of a line is what to write instead, the right side what is
// retired, with its forms, separated by commas.
var retired = list(`
the thing that acts, named       | whoever, whomever, whosoever, somebody, nobody, everybody, anybody
must, or the present tense       | shall
"the number of", or the sentence | so many
"whose", or two sentences        | of which
publish, consume, subscribe      | hear, hears, heard, hearing, overhear, overhears, overheard, said by, saying, sayings, voice, voices, speaker, speakers
external publisher               | outsider, outsiders
pending delivery                 | debt, debts, owe, owed, owing, owes
circuit breaker: open, closed    | gate, gates, gated
QueueBrowser                     | sieve, sieves
monitor, observer                | vigil, vigils, looker, lookers
composerp_watchdog_snapshots_total | looks total
repair                           | mend, mends, mended, mending
processor, failure policy        | desk, desks
timeout, backoff                 | patience, outwait, outwaits, outwaited
poison isolation                 | careful slot, careful slots
retry queues, retry delay        | ladder, ladders, rung, rungs
dead-letter log                  | journal, journals, journalled, journaled
disposition, lost                | fate, fates, lie there, lies there
--all                            | dealt
reconcile                        | take stock, takes stock, taken stock, taking stock
health, tenant summary           | wellbeing
lot on hand                      | standing lot, standing lots
notifier, channel                | teller, tellers, tell whom
undelivered                      | untold
notification                     | table notice, from notice, into notice, composerp notice
unpublishable, or held back      | set aside, sets aside, setting aside
--max-failure-rate               | stop-at
test environment, instance       | house, houses, town, towns, guest list
the path, by name                | road, roads
`)

// honest are uses of a retired word that stay.
var honest = list(`
 | accounting journal, accounting journals, systemd journal, feature gate, feature gates, journal of, dead journal
`)

// names are identifiers that are retired as they are written: as English words they have honest uses.
var names = map[string]string{
	"HEARS":        "CONSUMES",
	"Stray":        "an external publisher's event",
	"Road":         "an external publisher",
	"Unlogged":     "ExternalOnly",
	"Gates":        "circuit breakers",
	"CloseGate":    "opening the circuit",
	"Look":         "Snapshot",
	"judge":        "failure policy",
	"verdict":      "failure policy",
	"careful":      "isolated",
	"Fate":         "Disposition",
	"Pulse":        "TenantSummary",
	"Shelf":        "LotBalance",
	"notice":       "notification",
	"Notice":       "Notification",
	"Teller":       "Notifier",
	"ground":       "instance",
	"seat":         "instance, or registry",
	"world":        "test environment",
	"Holds":        "inspecting the topology",
	"MayPublish":   "checking the write permission",
	"AgainMessage": "rerouting",
	"Maintain":     "the reconnect loop",
}

// exception is what a file may have, by its path or by a folder that ends in a slash; no words: all of them.
type exception struct {
	path   string
	words  []string
	reason string
}

var exceptions = []exception{
	{path: "docs/CHANGELOG.md", reason: "lists what was renamed, by the old name too"},
	{path: "deploy/tools/words/", reason: "the list itself and its test"},
	{path: "deploy/tools/stats/", reason: "its fixture has some of the words"},
	{path: "store/renamed_test.go", words: []string{"from notice", "into notice", "set aside"}, reason: "the statements of the version before"},

	{path: "store/lots/", words: []string{"heard"}, reason: "the column first_heard"},
	{path: "store/audit/planning.go", words: []string{"heard"}, reason: "the column first_heard"},
	{path: "deploy/bench/history.go", words: []string{"heard"}, reason: "the column first_heard"},
	{path: "exchange/event/register_test.go", words: []string{"Shelf"}, reason: "a shelf of a store, in an example event"},
	{path: "exchange/topology/names.go", words: []string{"journal"}, reason: "the queue's name in the version before"},
	{path: "cli/deprecated.go", reason: "the names of the version before"},
	{path: "cli/deprecated_test.go", reason: "the names of the version before"},
	{path: "cli/fleet/metrics.go", words: []string{"gates", "set aside", "looks total"}, reason: "the metrics of the version before"},
	{path: "docs/reference/metrics.md", words: []string{"gates", "set aside", "looks total"}, reason: "the metrics of the version before"},
	{path: "cli/reference_test.go", words: []string{"set aside"}, reason: "a table of the version before"},
	{path: "cli/capacity/capacity.go", words: []string{"journal"}, reason: "the worker's name in the version before"},
	{path: "cli/newworker/newworker.go", words: []string{"journal"}, reason: "the worker's name in the version before"},
	{path: "cli/dlq_test.go", words: []string{"journal"}, reason: "the worker's name in the version before"},
	{path: "store/migrations/0009_views.sql", words: []string{"heard"}, reason: "the column first_heard"},
	{path: "deploy/local/programs.go", words: []string{"nobody"}, reason: "a Unix account"},
}

func excepted(path, word string) bool {
	for _, e := range exceptions {
		if path == e.path || strings.HasSuffix(e.path, "/") && strings.HasPrefix(path, e.path) {
			return e.words == nil || slices.Contains(e.words, word)
		}
	}
	return false
}

// list reads lines of "what to write | phrase, phrase" into phrases by their first word.
func list(lines string) map[string][]phrase {
	all := map[string][]phrase{}
	for line := range strings.Lines(lines) {
		use, retired, ok := strings.Cut(strings.TrimSpace(line), "|")
		if !ok {
			continue
		}
		for text := range strings.SplitSeq(retired, ",") {
			text = strings.TrimSpace(text)
			words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '-' })
			all[words[0]] = append(all[words[0]], phrase{text, words, strings.Contains(text, "-"), strings.TrimSpace(use)})
		}
	}
	return all
}
