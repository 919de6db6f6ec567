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
	deadline := time.Now().Add(settleTime)
	for {
		s, reports, err := scaling.Read(cctx.Context, db)
		if err != nil || !cctx.Bool(flagWait) {
			return s, nil, err
		}
		missing := scaler.Unsettled(s, reports, queues)
		if missing == "" {
			return s, nil, nil
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("after %s %s; `composerp worker list` shows how it goes on", settleTime, missing), nil
		}
		if !clock.Sleep(cctx.Context, settlePoll) {
			return s, errors.New("interrupted; what was asked for stays"), nil
		}
	}
}
