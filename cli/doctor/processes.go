package doctor

import (
	"context"

	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/process"
)

// examineProcesses warns of processes that do not go on.
func (x *Examination) examineProcesses(ctx context.Context, db *store.DB) {
	counts, err := process.Counts(ctx, db)
	if err != nil {
		x.unasked("processes", err)
		return
	}
	open, stuck := int64(0), int64(0)
	for _, c := range counts {
		open += c.Open
		stuck += c.Stuck
	}
	if stuck == 0 {
		x.ok("processes", "in progress: %s, none of them stuck", wording.Thousands(open))
		return
	}
	x.warn("processes", "composerp process list --stuck says which and why; composerp process retry ID tries again",
		"in progress: %s, stuck: %s", wording.Thousands(open), wording.Thousands(stuck))
}
