package watchdog

import (
	"context"

	"github.com/composerp/composerp/store/versions"
)

// readVersions brings the plan up to date with the stages of types that have two versions. While the database is away
// all stays as it was last.
func (v *monitor) readVersions(ctx context.Context) {
	states, err := versions.Read(ctx, v.DB)
	if err == nil && versions.RevisionOf(states) != versions.RevisionOf(v.Plan.versions) {
		v.replan(v.Plan.WithVersions(states))
	}
}

// stageChanged tells whether a stage is other than the plan's, or cannot be read while there is one.
func (v *monitor) stageChanged(ctx context.Context) bool {
	now, err := versions.Revision(ctx, v.DB)
	if err != nil {
		return len(v.Plan.versions) > 0
	}
	return now != versions.RevisionOf(v.Plan.versions)
}
