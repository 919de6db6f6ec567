// Package keeps declares the tables that a worker's handlers write to or lock: a shadow of the worker works on copies
// of them.
package keeps

import (
	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
)

// Tables declares all tables that the worker's handlers write to, or whose rows they lock, those that the harness
// writes aside. Without it `composerp shadow` refuses the worker, and with one missing it ends with an error.
func Tables(tables ...shadow.Table) worker.Option {
	return func(w *worker.Worker) { w.Keeps = append(w.Keeps, tables...) }
}
