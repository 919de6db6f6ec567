package versions

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

// poll is how soon a changed stage is noticed.
const poll = time.Second

// Watch keeps up with the stages, for code that emits. The zero value says that every type is in the stage old.
type Watch struct {
	emits atomic.Pointer[map[event.Type]string]
}

// Version is the version in which to emit a type; "" is the current one.
func (w *Watch) Version(t event.Type) string {
	if w != nil {
		if m := w.emits.Load(); m != nil {
			if version, known := (*m)[t]; known {
				return version
			}
		}
	}
	d, _ := event.Lookup(t)
	return d.Older()
}

// Refresh reads the stages.
func (w *Watch) Refresh(ctx context.Context, db *store.DB) error {
	states, err := Read(ctx, db)
	if err != nil {
		return err
	}
	m := make(map[event.Type]string, len(states))
	for _, s := range states {
		m[s.Type] = s.Emits()
	}
	w.emits.Store(&m)
	return nil
}

// Run refreshes until ctx is done. While the database is away the stages stay as they were last: the relay converts
// what is emitted in another version.
func (w *Watch) Run(ctx context.Context, db *store.DB) {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		_ = w.Refresh(ctx, db)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
