package lots

import (
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// sentinels are dates that systems write where an expiry is required and unknown: the last day a calendar knows, and
// the last of the year that a two-digit 69 becomes. Goods with such a date are not fresh, they are unknown.
var sentinels = map[event.Date]bool{
	"9999-12-31": true,
	"2069-12-31": true,
}

// farthest is how far from its receipt an expiry can be and still be meant: what
// lies further off, before or after, is a calendar's end (1900-01-01, 2099-12-31)
// or a slip of the hand. No goods that have an expiry at all keep for fifty years.
const farthest = 50

// knownExpiry is the expiry as far as it tells something, "" where it is not known.
func knownExpiry(expiry event.Date, receivedAt time.Time) event.Date {
	if expiry == "" || sentinels[expiry] {
		return ""
	}
	if expiry > event.DateOf(receivedAt.AddDate(farthest, 0, 0)) || expiry < event.DateOf(receivedAt.AddDate(-farthest, 0, 0)) {
		return ""
	}
	return expiry
}
