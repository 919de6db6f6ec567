package workers

import (
	"github.com/composerp/composerp/workers/approval"
	"github.com/composerp/composerp/workers/worker/process"
)

// Processes are the processes that the standard fleet runs.
func Processes() []*process.Process { return []*process.Process{approval.Process()} }
