package terminal

import (
	"time"

	"github.com/composerp/composerp/cli/exit"
)

// ReadTime takes a time as it is typed; an empty text means otherwise.
func ReadTime(flag, text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, exit.Usage("--%s %q: want a time such as 2026-03-09T08:00:00Z", flag, text)
	}
	return at.UTC(), nil
}

// ReadMoment takes a time as it is typed, or how long ago it was: 2h.
func ReadMoment(flag, text string) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().UTC().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, exit.Usage("--%s %q: want a time such as 2026-03-09T08:00:00Z, or how long ago, such as 2h", flag, text)
	}
	return at.UTC(), nil
}
