package cli

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/workers"
)

const flagSlots = "slots"

func slotsFlag() cli.Flag {
	return &cli.StringFlag{Name: flagSlots, EnvVars: []string{"COMPOSERP_SLOTS"}, Usage: "consumers a worker, N for all or worker=N,worker=N"}
}

// parseSlots reads "2" or "ledger=2,intake=1". The empty name stands for all workers.
func parseSlots(text string) (map[string]int, error) {
	slots := map[string]int{}
	if text == "" {
		return slots, nil
	}
	known := map[string]bool{}
	for _, w := range workers.Fleet(workers.Config{}) {
		known[w.Name()] = true
	}
	for _, part := range strings.Split(text, ",") {
		name, number, named := strings.Cut(part, "=")
		if !named {
			name, number = "", part
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 64 {
			return nil, usage("--%s %q: want a number of 1 to 64, or worker=number, separated by commas", flagSlots, part)
		}
		if named && !known[name] {
			return nil, usage("--%s: there is no worker %q; `composerp worker list` shows them", flagSlots, name)
		}
		slots[name] = n
	}
	return slots, nil
}
