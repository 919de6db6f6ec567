package worker

import "sync"

// # Failure policy: whose fault a server error is
//
// A server error, or no whole answer to a request that was sent, is the dependency's trouble: it opens the circuit and
// costs no attempt. It is the message's own when the dependency fails so on this message alone: twice, and between the
// two it took another message. This is known for each process by itself; a restart forgets it, and the message shows it
// again.
//
// A message that is alone cannot be told from the dependency's trouble. It waits, and loses no attempt; after some
// probes with it alone any other message goes first (store/failures/circuit.go), and doctor, a metric and the log tell
// of it.

// mostFailed bounds the messages that are remembered of a dependency.
const mostFailed = 10_000

// serverFaults remembers of one dependency which messages it failed on.
type serverFaults struct {
	taken  int64            // messages that it took
	failed map[string]int64 // taken, when it last failed on a message, by the call's key
}

// faults are those of all dependencies.
type faults struct {
	mu sync.Mutex
	of map[string]*serverFaults
}

// TookCall notes that the dependency took the call with this key.
func (b *Breakers) TookCall(dependency, key string) {
	if b == nil {
		return
	}
	b.faults.mu.Lock()
	defer b.faults.mu.Unlock()
	if f := b.faults.of[dependency]; f != nil {
		f.taken++
		delete(f.failed, key)
	}
}

// IsOwnFault notes that the dependency failed on the call with this key, by a server error or without a whole answer,
// and tells whether the message is the cause: since the dependency failed on it before, it has taken another. Without
// breakers it always is.
func (b *Breakers) IsOwnFault(dependency, key string) bool {
	if b == nil {
		return true
	}
	b.faults.mu.Lock()
	defer b.faults.mu.Unlock()
	f := b.faults.of[dependency]
	if f == nil {
		f = &serverFaults{failed: map[string]int64{}}
		if b.faults.of == nil {
			b.faults.of = map[string]*serverFaults{}
		}
		b.faults.of[dependency] = f
	}
	taken, known := f.failed[key]
	if known && f.taken > taken {
		return true
	}
	if len(f.failed) >= mostFailed {
		clear(f.failed)
	}
	f.failed[key] = f.taken
	return false
}
