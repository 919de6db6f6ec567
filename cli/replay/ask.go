package replay

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/events"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/replay"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

// asked reads what the command line asks for.
func asked(cctx *cli.Context) (a replay.Asked, err error) {
	if cctx.NArg() > 0 {
		return a, exit.Usage("%q is no part of replay; it takes flags alone, and list, show, resume and cancel", cctx.Args().First())
	}
	a = replay.Asked{Again: cctx.Bool(flagAgain), Rate: cctx.Int(flagRate)}
	if a.Filter, err = filterOf(cctx); err != nil {
		return a, err
	}
	given := 0
	for name, target := range map[string]replay.Target{flagQueue: replay.Queue, flagExchange: replay.Exchange, flagFile: replay.File} {
		if cctx.IsSet(name) {
			given++
			a.Target, a.Name = target, cctx.String(name)
		}
	}
	switch {
	case given != 1 || a.Name == "":
		return a, exit.Usage("name where to: one of --queue WORKER, --exchange NAME and --file PATH")
	case a.Rate < 0:
		return a, exit.Usage("--rate %d: want events a second, or 0 for no limit", a.Rate)
	case a.Again && a.Target != replay.Queue:
		return a, exit.Usage("--again is for --queue: an exchange and a file have no inbox")
	case a.Again && cctx.String(settings.FlagReason) == "" && !cctx.Bool(settings.FlagDryRun):
		return a, exit.Usage("--again sets the proof of the inbox aside: give a --reason for the operator log")
	}
	switch a.Target {
	case replay.Queue:
		return a, checkQueue(&a)
	case replay.Exchange:
		return a, checkExchange(a.Name)
	}
	if a.Name != "-" {
		a.Name, err = filepath.Abs(a.Name)
	}
	return a, err
}

func filterOf(cctx *cli.Context) (f eventquery.Filter, err error) {
	f = eventquery.Filter{Tenant: cctx.String("tenant"), Aggregate: cctx.String("aggregate"), Correlation: cctx.String("correlation")}
	if f.Types, err = events.TypesOf(cctx.String("type")); err != nil {
		return f, err
	}
	times := map[string]*time.Time{flagTo: &f.LoggedTo, "occurred-since": &f.OccurredFrom, "occurred-until": &f.OccurredTo}
	if place, err := strconv.ParseInt(cctx.String(flagFrom), 10, 64); err == nil && place >= 0 {
		f.After = place
	} else {
		times[flagFrom] = &f.LoggedFrom
	}
	for name, at := range times {
		if text := cctx.String(name); text != "" {
			if *at, err = terminal.ReadMoment(name, text); err != nil {
				return f, exit.Usage("--%s %q: want a duration such as 2h, or a time such as 2026-02-09T12:00:00Z", name, text)
			}
		}
	}
	return f, nil
}

// checkQueue finds the worker, and narrows the types to those that it consumes.
func checkQueue(a *replay.Asked) error {
	w, err := workerOf(a.Name)
	if err != nil {
		return err
	}
	a.Name = w.Name()
	if a.Again && !w.TakesAgain {
		return exit.Usage("--again: %s cannot handle an event again: what it adds up would count twice, or a decision would be made anew. Without --again it gets what it has not handled", w.Name())
	}
	if len(a.Filter.Types) == 0 {
		a.Filter.Types = w.Types()
		return nil
	}
	for _, t := range a.Filter.Types {
		if !slices.Contains(w.Types(), t) {
			return exit.Usage("--type: %s does not consume %s; it consumes %s", w.Name(), t, names(w.Types()))
		}
	}
	return nil
}

func names(types []event.Type) string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}

// workerOf finds the worker that a name means, or a queue.
func workerOf(name string) (worker.Worker, error) {
	all := map[string]worker.Worker{}
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() == topology.QueueName(w.Name()) {
			all[w.Name()] = w
		}
	}
	w, ok := all[strings.TrimPrefix(name, topology.Prefix)]
	if !ok {
		return w, exit.Usage("--%s %q: no worker of that name consumes events; %s`composerp worker list` shows the workers", flagQueue, name, terminal.Suggest(name, slices.Sorted(maps.Keys(all))))
	}
	return w, nil
}

// checkExchange refuses exchanges by which all consumers would get the events, or none that was asked for.
func checkExchange(name string) error {
	switch {
	case name == topology.Events:
		return exit.Usage("--exchange %s: every worker would get the events again, and each new effect would go out; name one worker by --queue, or declare an exchange of your own", name)
	case strings.HasPrefix(name, topology.Prefix):
		return exit.Usage("--exchange %s: exchanges whose names begin with %s are the fleet's own; name one worker by --queue, or declare an exchange of your own", name, topology.Prefix)
	}
	return nil
}

// unprovenError refuses events when the inbox cannot tell whether the worker has handled them.
func unprovenError(worker string, upto int64) error {
	return exit.Usage("events up to position %d of the log may have been handled by %s in a generation of its inbox that is gone, so that they would be handled twice: begin after it by --%s %d, or give --%s", upto, worker, flagFrom, upto, flagAgain)
}

func missingExchange(name string) error {
	return fmt.Errorf("there is no exchange %s in this virtual host: declare it, with a queue bound to it, and replay again", name)
}
