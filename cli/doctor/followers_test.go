package doctor

import (
	"testing"

	"github.com/composerp/composerp/store"
)

func TestStandbysThatCommitsWaitFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		followers int
		waits     bool
		want      State // the state of the finding; "": none
	}{{0, false, ""}, {1, false, StateWarning}, {2, true, StateOK}, {0, true, StateProblem}} {
		var x Examination
		x.examineFollowers(store.ServerState{Followers: c.followers, Waits: c.waits})
		var got State
		if len(x.Findings) > 0 {
			got = x.Findings[0].State
		}
		if got != c.want {
			t.Errorf("with %d standbys and commits that wait (%v) doctor says %q, want %q", c.followers, c.waits, got, c.want)
		}
	}
}
