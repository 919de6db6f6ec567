package pg

import (
	"sync"
	"time"
)

// announcer runs announcements beside the transactions that ask for them, so that a commit's caller waits for none. One
// runs at a time, and one more after it covers all that were asked for meanwhile.
type announcer struct {
	mu    sync.Mutex
	next  func()        // asked for since the running one began
	ended chan struct{} // closed when none is left to run; nil: none runs
}

// ask has do run soon.
func (a *announcer) ask(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = do
	if a.ended != nil {
		return
	}
	a.ended = make(chan struct{})
	go func() {
		for do := a.take(); do != nil; do = a.take() {
			do()
		}
	}()
}

// take is the announcement to run now; nil: none is left.
func (a *announcer) take() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	do := a.next
	if a.next = nil; do == nil {
		close(a.ended)
		a.ended = nil
	}
	return do
}

// wait waits until none is left, or a time has passed.
func (a *announcer) wait(atMost time.Duration) {
	a.mu.Lock()
	ended := a.ended
	a.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-time.After(atMost):
	}
}
