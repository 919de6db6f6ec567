// Package again declares which workers a replay may have handle events again.
package again

import "github.com/composerp/composerp/workers/worker"

// Harmless declares that the worker may handle an event again that it has handled before: that adds nothing twice, and
// changes only what the first time did not write. Without it `composerp replay --again` refuses the worker.
func Harmless() worker.Option { return func(w *worker.Worker) { w.TakesAgain = true } }
