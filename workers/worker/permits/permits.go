// Package permits bounds how many do something at a time, by a number that changes meanwhile.
package permits

import (
	"context"
	"sync"
)

// Permits bound how many do something at a time; none may until Resize says how many.
type Permits struct {
	mu          sync.Mutex
	most, taken int
	freed       chan struct{} // closed when one may be free; nil: none waits
}

// Resize sets how many permits there are. Those that are out beyond it are not taken back.
func (p *Permits) Resize(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = most
	p.tell()
}

// Acquire waits for a permit, and reports whether it has one before ctx is done.
func (p *Permits) Acquire(ctx context.Context) bool {
	for ctx.Err() == nil {
		p.mu.Lock()
		if p.taken < p.most {
			p.taken++
			p.mu.Unlock()
			return true
		}
		if p.freed == nil {
			p.freed = make(chan struct{})
		}
		freed := p.freed
		p.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
	return false
}

// Release returns a permit.
func (p *Permits) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	p.tell()
}

// tell wakes those that wait. The lock is held.
func (p *Permits) tell() {
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}
