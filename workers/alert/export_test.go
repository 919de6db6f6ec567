package alert

import (
	"time"

	"github.com/composerp/composerp/workers/worker"
)

// At is New with a clock of the test's own.
func At(cfg Config, now func() time.Time) worker.Worker { return declare(cfg, now) }
