package page

import (
	"context"
	"sync"
	"time"

	"github.com/composerp/composerp/cli/pools"
)

const (
	// sampleAge is for how long a reading is shown again: many may look.
	sampleAge = 2 * time.Second
	// sampleTimeout is how long a request waits for a reading; a broker that hangs must not hide what the database knows.
	sampleTimeout = 4 * time.Second
)

// sampler reads queues and nodes, once for all who ask at a time.
type sampler struct {
	reader *pools.Reader

	mu   sync.Mutex
	last *reading
}

// reading is one that is under way until done is closed.
type reading struct {
	done   chan struct{}
	sample pools.Sample
	err    error
}

// stale reports whether the reading is over and old.
func (r *reading) stale() bool {
	select {
	case <-r.done:
		return time.Since(r.sample.At) > sampleAge
	default:
		return false
	}
}

// read returns a sample. Where a server takes too long, the sample has nothing but that as its problem.
func (s *sampler) read(ctx context.Context) (pools.Sample, error) {
	s.mu.Lock()
	if s.last == nil || s.last.stale() {
		s.last = s.begin(context.WithoutCancel(ctx))
	}
	r := s.last
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	select {
	case <-r.done:
		return r.sample, r.err
	case <-ctx.Done():
		return pools.Sample{Problems: []string{"queues and slots are not counted: a server does not answer; composerp doctor checks them"}}, nil
	}
}

// begin reads for all who wait, whether or not the one who asked first goes away.
func (s *sampler) begin(ctx context.Context) *reading {
	r := &reading{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if r.sample, r.err = s.reader.ReadAll(ctx); r.err == nil {
			r.err = r.sample.Database
		}
	}()
	return r
}
