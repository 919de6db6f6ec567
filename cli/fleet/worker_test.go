package fleet

import (
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/workers"
)

func TestAllWorkersButSome(t *testing.T) {
	t.Parallel()
	all := workers.Names()
	for line, want := range map[string][]string{
		"ledger lots":                           {"ledger", "lots"},
		"all":                                   all,
		"all but " + strings.Join(all[1:], " "): all[:1],
	} {
		named, except, _ := strings.Cut(line, " but ")
		if got, err := chosen(strings.Fields(named), strings.Fields(except)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", line, got, err, want)
		}
	}
	for line, want := range map[string]string{
		"ledgr":                             `did you mean "ledger"`,
		"all but ledgr":                     `did you mean "ledger"`,
		"ledger all":                        "all stands alone",
		"ledger but lots":                   "leaves workers out of all",
		"all but all":                       "there is no worker",
		"all but " + strings.Join(all, " "): "leaves no worker",
	} {
		named, except, _ := strings.Cut(line, " but ")
		if got, err := chosen(strings.Fields(named), strings.Fields(except)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", line, got, err, want)
		}
	}
}
