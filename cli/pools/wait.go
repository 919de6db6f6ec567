package pools

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/scaling"
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
		missing := unsettled(s, reports, queues)
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

// unsettled says what is not yet as it is to be; "" when all is.
func unsettled(s scaling.State, reports []scaling.Report, queues []string) string {
	var missing []string
	living := 0
	for _, n := range s.Nodes {
		if !n.Alive {
			continue
		}
		living++
		for _, queue := range queues {
			if _, offered := n.Offers(queue); !offered {
				continue
			}
			i := slices.IndexFunc(reports, func(r scaling.Report) bool { return r.Node == n.ID && r.Queue == queue })
			want := plannedOf(s, n, queue)
			if i < 0 || reports[i].Running != want || reports[i].Slots != want {
				missing = append(missing, fmt.Sprintf("node %s does not run %d slots of %s", n.ID, want, queue))
			}
		}
	}
	for _, queue := range queues {
		if p := s.Pool(queue); p.Assigned != p.Revision && p.Revision != 0 && living > 0 {
			missing = append(missing, "no leader has assigned the slots of "+queue)
		}
	}
	return strings.Join(missing, ", ")
}

// plannedOf is how many slots a node is to run of a queue.
func plannedOf(s scaling.State, n scaling.Node, queue string) int {
	p := s.Pool(queue)
	flags, _ := n.Offers(queue)
	switch {
	case n.Draining, p.Paused, slices.Contains(n.Paused, queue):
		return 0
	case p.Managed:
		return s.Assigned[queue][n.ID]
	}
	return flags
}
