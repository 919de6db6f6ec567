// Package recent decodes each event of the log once for all workers of a process, which get it at about the same time.
//
// # Invariants
//
//   - An event is given only for the very body that it was decoded from: a position of the log may have another body
//     after a restore, or in another database.
//   - What is given is shared: nothing may change the payload's slices or the body.
//   - The memory is bounded by the number of events remembered.
package recent

import (
	"bytes"
	"sync"

	"github.com/composerp/composerp/exchange/event"
)

// Events are the events decoded last. The zero value works; it is safe for concurrent use.
type Events struct {
	mu    sync.Mutex
	slots [remembered]event.Any
}

// remembered is how many events are kept: a few megabytes.
const remembered = 4096

// Decode is event.Decode of the body that the log has at a position, and sets the event's LogSeq.
func (r *Events) Decode(seq int64, body []byte) (event.Any, error) {
	slot := &r.slots[uint64(seq)%remembered]
	r.mu.Lock()
	known := *slot
	r.mu.Unlock()
	if known.LogSeq == seq && bytes.Equal(known.Body, body) {
		return known, nil
	}
	e, err := event.Decode(body)
	if err != nil {
		return event.Any{}, err
	}
	e.LogSeq = seq
	r.mu.Lock()
	*slot = e
	r.mu.Unlock()
	return e, nil
}
