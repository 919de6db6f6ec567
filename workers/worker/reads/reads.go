// Package reads declares that a worker reads an older version of an event type alone, and says what a program reads.
//
// A worker's code knows the current version: the harness upcasts. Where the worker hands the body on to something that
// reads the older version, it declares Only: while the type has two live versions its queue is bound to
// composerp.events.v1, and `composerp contracts migrate` does not finish before the declaration is gone.
package reads

import (
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/worker"
)

// Only declares that a worker reads bodies of a type in this version alone: event.Any has its body in that version. The
// worker's declaration panics where the type has no such older version.
func Only(t event.Type, version string) worker.Option {
	return func(w *worker.Worker) {
		if d, _ := event.Lookup(t); version == "" || d.Older() != version {
			panic(fmt.Sprintf("%s has no older version %q that can be emitted", t, version))
		}
		if w.Reads == nil {
			w.Reads = map[event.Type]string{}
		}
		w.Reads[t] = version
	}
}

// Lines say what this program reads, and which of the workers read an older version alone, for the row of its node.
func Lines(workers []worker.Worker) (lines []string) {
	for _, t := range event.Types() {
		d, _ := event.Lookup(t)
		if d.Older() != "" {
			lines = append(lines, versions.ReadLine(t, d.Version, ""))
		}
		for _, w := range workers {
			if version, only := w.Reads[t]; only {
				lines = append(lines, versions.ReadLine(t, version, w.Name()))
			}
		}
	}
	return lines
}
