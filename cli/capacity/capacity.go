// Package capacity reads what an operator says of a process's capacity: how many slots it may run, how many of each
// worker at its start, and its labels.
package capacity

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/workers"
)

// ParseMaxSlots reads how many slots a process may run.
func ParseMaxSlots(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, fmt.Errorf("want a number of 1 to 1000, got %q", text)
	}
	return n, nil
}

var labelForm = regexp.MustCompile(`^[a-zA-Z0-9_.=/-]{1,64}$`)

// ParseLabels reads labels separated by commas; of none it gives an empty list.
func ParseLabels(text string) ([]string, error) {
	labels := []string{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if !labelForm.MatchString(part) {
			return nil, fmt.Errorf("want letters, digits and . _ = / - separated by commas, such as zone=north; got %q", part)
		}
		if !slices.Contains(labels, part) {
			labels = append(labels, part)
		}
	}
	return labels, nil
}

// ParseSlots reads "2" or "ledger=2,intake=1". The empty name stands for all workers.
func ParseSlots(text string) (map[string]int, error) {
	slots := map[string]int{}
	if text == "" {
		return slots, nil
	}
	known := workers.Names()
	for _, part := range strings.Split(text, ",") {
		name, number, named := strings.Cut(part, "=")
		if !named {
			name, number = "", part
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 64 {
			return nil, fmt.Errorf("want a number of 1 to 64, or worker=number, separated by commas; got %q", part)
		}
		if name == "journal" { // until the next version
			name = "deadletterlog"
		}
		if named && !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no worker %q; %s`composerp worker list` shows them", name, terminal.Suggest(name, known))
		}
		slots[name] = n
	}
	return slots, nil
}
