package procurement

import (
	"log/slog"
	"time"

	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// Hurried is New with another timeout and other retry delays.
func Hurried(signer *webcall.Signer, log *slog.Logger, timeout time.Duration, delays ...time.Duration) worker.Worker {
	return declare(log, webcall.Caller{Timeout: timeout, Breakers: &worker.Breakers{}, Signer: signer}, delays)
}
