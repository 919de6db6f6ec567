package settings

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
)

// Node is what a process that runs workers offers to the fleet. MaxSlots 0 means the default.
type Node struct {
	MaxSlots int
	Labels   []string
}

// ParseNode reads --max-slots and --labels.
func ParseNode(cctx *cli.Context) (n Node, err error) {
	if text := cctx.String(FlagMaxSlots); text != "" {
		if n.MaxSlots, err = parseMaxSlots(text); err != nil {
			return n, exit.Usage("--%s: %w", FlagMaxSlots, err)
		}
	}
	if n.Labels, err = ParseLabels(cctx.String(FlagLabels)); err != nil {
		return n, exit.Usage("--%s: %w", FlagLabels, err)
	}
	return n, nil
}

func checkMaxSlots(text string) error {
	_, err := parseMaxSlots(text)
	return err
}

func parseMaxSlots(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, fmt.Errorf("want a number of 1 to 1000, got %q", text)
	}
	return n, nil
}

func checkLabels(text string) error {
	_, err := ParseLabels(text)
	return err
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

// Holder names this process in leases.
func Holder() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s#%d", host, os.Getpid())
}
