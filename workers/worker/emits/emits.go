// Package emits declares what a worker's handlers emit: the contracts and the drawing of the fleet show it.
package emits

import (
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker"
)

// Types declares the types that a worker emits. The worker's declaration panics where the event catalogue lacks one.
func Types(types ...event.Type) worker.Option {
	return func(w *worker.Worker) {
		for _, t := range types {
			if _, known := event.Lookup(t); !known {
				panic(fmt.Sprintf("the event catalogue has no type %q to emit", t))
			}
			w.Emits = append(w.Emits, t)
		}
	}
}
