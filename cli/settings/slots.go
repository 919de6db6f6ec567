package settings

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/workers"
)

func checkSlots(text string) error {
	_, err := ParseSlots(text)
	return err
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
			return nil, fmt.Errorf("there is no worker %q; %s`composerp worker list` shows them", name, terminal.Suggest(name, workers.Names()))
		}
		slots[name] = n
	}
	return slots, nil
}
