package watchdog

import (
	"context"
	"maps"

	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/observer"
)

const logPolicies = "the policies of queues cannot be noted"

// notePolicies keeps in the database what policies set for the workers' queues, so that dead letters are recorded with
// it. While that fails it is done again at each snapshot; why the database does not serve is a problem of its own.
func (v *monitor) notePolicies(ctx context.Context, now observer.Snapshot) {
	if !now.Figures || now.Database != nil {
		return
	}
	inForce := map[string]string{}
	for _, w := range v.Plan.Workers {
		if policies := now.Queues[w.Queue].Policies(); policies != "" {
			inForce[w.Name] = policies
		}
	}
	if v.policies != nil && maps.Equal(inForce, v.policies) {
		return
	}
	if err := failures.NotePolicies(ctx, v.DB, inForce); err != nil {
		if ctx.Err() == nil && v.policyNotes.Due() {
			v.Log.Warn(logPolicies, "error", err)
		}
		return
	}
	v.policies = inForce
}
