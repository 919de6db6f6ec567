package doctor

import (
	"context"
	"time"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
)

// examineFailures looks for whom the fleet does not call, and for what it sets aside.
func (x *Examination) examineFailures(ctx context.Context, db *store.DB) {
	gates, err := failures.OpenCircuits(ctx, db)
	switch {
	case err != nil:
		x.unasked("dependencies", err)
	case len(gates) == 0:
		x.ok("dependencies", "nobody whom workers call is known to be away")
	}
	for _, g := range gates {
		x.warn("dependencies", "nothing, if it comes back: it is called again by itself, and its messages wait without losing an attempt",
			"%s is away since %s: %s; %s", g.Name, terminal.Moment(g.Since), g.LastError, nextCall(g))
	}
	classes, err := failures.Quarantined(ctx, db, false)
	switch {
	case err != nil:
		x.unasked("quarantine", err)
	case len(classes) == 0:
		x.ok("quarantine", "no class of events is set aside")
	}
	for _, q := range classes {
		x.warn("quarantine", "mend what it says, then composerp quarantine release "+q.Class,
			"%s %s fails in %s since %s, %d set aside: %s", q.Type, q.Version, q.Consumer, terminal.Moment(q.Since), q.HeldBack, q.Sample)
	}
}

func nextCall(g failures.CircuitState) string {
	if g.RetryIn <= 0 {
		return "the next message for it calls"
	}
	return "it is called again from " + terminal.Moment(g.RetryAt) + " on, in " + max(time.Second, g.RetryIn.Round(time.Second)).String()
}
