//go:build failpoints

package settings

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/composerp/composerp/store/failpoint"
)

// What only a build for tests is told, and only by the environment.
const (
	failpointVariable = "COMPOSERP_FAILPOINT" // as failpoint.Arm takes it
	clockVariable     = "COMPOSERP_CLOCK"     // as clockOf takes it
)

// arm reads where this process is to die, and what its clock shows.
func Arm() (err error) {
	if err := failpoint.Arm(os.Getenv(failpointVariable)); err != nil {
		return err
	}
	wallClock, err = clockOf(os.Getenv(clockVariable))
	return err
}

// clockOf is a clock that is wrong: by "1h", or, with "1h/300ms", by an hour ahead
// and an hour behind in turn, each for 300 ms. Like one that was read from outside
// the process it has no monotonic part. "" is the machine's own.
func clockOf(text string) (func() time.Time, error) {
	if text == "" {
		return nil, nil
	}
	offset, period, jumps := strings.Cut(text, "/")
	by, err := time.ParseDuration(offset)
	if err != nil {
		return nil, fmt.Errorf("reading the clock: %w", err)
	}
	if !jumps {
		return func() time.Time { return time.Now().Add(by).Round(0) }, nil
	}
	every, err := time.ParseDuration(period)
	if err != nil || every <= 0 {
		return nil, fmt.Errorf("reading the clock: %q is no time between two jumps", period)
	}
	return func() time.Time {
		now := time.Now()
		if now.UnixNano()/int64(every)%2 == 0 {
			return now.Add(by).Round(0)
		}
		return now.Add(-by).Round(0)
	}, nil
}
