package pools

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/scaler"
)

const (
	settleTime = time.Minute
	settlePoll = 50 * time.Millisecond
)

// settle waits, with --wait, until the nodes run what is assigned to them of the queues, and returns the state then.
// late is the error of a wait in vain.
func settle(cctx *cli.Context, db *store.DB, queues []string) (s scaling.State, late, err error) {
	late, err = await(cctx, "worker list", func() (missing string, err error) {
		var reports []scaling.Report
		if s, reports, err = scaling.Read(cctx.Context, db); err != nil {
			return "", err
		}
		return scaler.Unsettled(s, reports, queues), nil
	})
	return s, late, err
}

// await looks at what is missing and, with --wait, looks again until nothing is. late is the error of a wait in vain,
// with the command that shows how it goes on.
func await(cctx *cli.Context, command string, look func() (missing string, err error)) (late, err error) {
	deadline := time.Now().Add(settleTime)
	for {
		missing, err := look()
		switch {
		case err != nil || missing == "" || !cctx.Bool(flagWait):
			return nil, err
		case time.Now().After(deadline):
			return fmt.Errorf("after %s %s; `composerp %s` shows how it goes on", settleTime, missing, command), nil
		case !clock.Sleep(cctx.Context, settlePoll):
			return errors.New("interrupted; what was asked for stays"), nil
		}
	}
}
