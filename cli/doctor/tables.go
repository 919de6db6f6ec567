package doctor

import (
	"context"
	"strings"
	"time"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/store/whatif"
)

// standingWarning is how long a rebuild may stand still, between rebuild, diff and switch.
const standingWarning = time.Hour

// examineRebuilds warns of rebuilds of read models that stand still.
func (x *Examination) examineRebuilds(ctx context.Context, db *store.DB) {
	standing, err := projection.StandingRebuilds(ctx, db, standingWarning)
	if err != nil {
		x.unasked("projections", err)
	}
	for _, r := range standing {
		x.warn("projections", "composerp projections rebuild "+r.Name+" goes on, projections switch or cancel ends it",
			"the rebuild of %s has not moved since %s: the log keeps each tick since then for it", r.Name, terminal.Moment(r.Moved))
	}
}

// examineWhatIfs warns of the tables that killed runs of whatif have left.
func (x *Examination) examineWhatIfs(ctx context.Context, db *store.DB) {
	left, err := whatif.Left(ctx, db)
	if err != nil {
		x.unasked("whatif", err)
	}
	if len(left) > 0 {
		x.warn("whatif", "run composerp whatif again, which drops them first, or drop them: DROP SCHEMA "+left[0]+" CASCADE",
			"runs of composerp whatif that were killed have left tables: %s", strings.Join(left, ", "))
	}
}
