package doctor

import (
	"context"
	"time"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
)

// examineFailures reports open circuits and classes of events in quarantine.
func (x *Examination) examineFailures(ctx context.Context, db *store.DB) {
	circuits, err := failures.OpenCircuits(ctx, db)
	switch {
	case err != nil:
		x.unasked("dependencies", err)
	case len(circuits) == 0:
		x.ok("dependencies", "no circuit is open: every dependency is called")
	}
	for _, g := range circuits {
		x.warn("dependencies", "wait, or bring it back: workers call it again by themselves, and waiting messages lose no attempt",
			"%s is unavailable since %s: %s; %s", g.Name, terminal.Moment(g.Since), g.LastError, nextCall(g))
	}
	classes, err := failures.Quarantined(ctx, db, false)
	switch {
	case err != nil:
		x.unasked("quarantine", err)
	case len(classes) == 0:
		x.ok("quarantine", "no class of events is held back")
	}
	for _, q := range classes {
		x.warn("quarantine", "fix the cause, then composerp quarantine release "+q.Class,
			"%s %s fails in %s since %s, %d held back: %s", q.Type, q.Version, q.Consumer, terminal.Moment(q.Since), q.HeldBack, q.Sample)
	}
}

func nextCall(g failures.CircuitState) string {
	if g.RetryIn <= 0 {
		return "the next message for it makes a call"
	}
	return "it is called again from " + terminal.Moment(g.RetryAt) + " on, in " + max(time.Second, g.RetryIn.Round(time.Second)).String()
}
