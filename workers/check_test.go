package workers_test

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

func TestAFleetIsChecked(t *testing.T) {
	t.Parallel()
	for want, fleet := range map[string]workers.Declaration{
		"": workers.Standard,
		"two workers of the fleet are named ledger": func(cfg workers.Config) []worker.Worker {
			return append(workers.Standard(cfg), workers.Standard(cfg)[0])
		},
		"no worker": func(workers.Config) []worker.Worker { return nil },
		"declaring the fleet: worker loyalty": func(workers.Config) []worker.Worker {
			return []worker.Worker{worker.New("loyalty")}
		},
	} {
		err := fleet.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}
