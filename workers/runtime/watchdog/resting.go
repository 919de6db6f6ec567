package watchdog

import (
	"context"
	"time"

	"github.com/composerp/composerp/store/scaling"
)

// readResting notes which workers are to run no slots. While the database is away all stays as it was last.
func (v *monitor) readResting(ctx context.Context) {
	pools, err := scaling.RestingPools(ctx, v.DB)
	if err != nil {
		return
	}
	for _, p := range pools {
		v.rested[p.Queue] = time.Now()
	}
}

// rests tells of a worker whether it is to run no slots, or was until just now: slots need a moment to start.
func (v *monitor) rests(worker string) bool {
	last, ever := v.rested[worker]
	return ever && time.Since(last) < 2*v.Grace
}
