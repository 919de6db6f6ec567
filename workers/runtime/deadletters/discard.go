package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store/failures"
)

// Discard says which letters to remove.
type Discard struct {
	Queue  Queue
	Filter failures.LetterFilter
	Limit  int
	// Export gets a line of each letter before it is removed; a file.
	Export interface {
		io.Writer
		Sync() error
	}
	Progress func(Progress) // may be nil
}

// DiscardReport is what became of it.
type DiscardReport struct {
	Queue     string `json:"queue"`
	Seen      int    `json:"seen"`
	Discarded int    `json:"discarded"`
	Absent    int    `json:"absent"`
	Missed    int    `json:"lost"`
	ElapsedMs int64  `json:"elapsedMs"`
}

// Discard exports letters and removes them. An error comes with the report of what was done until then.
func (c Config) Discard(ctx context.Context, d Discard) (report DiscardReport, err error) {
	began := time.Now()
	w, err := c.open(ctx, d.Queue, d.Filter, d.Limit)
	if err != nil {
		return report, fmt.Errorf("discarding from %s: %w", d.Queue.Worker, err)
	}
	defer w.session.Close()
	report.Queue = w.name()
	w.progress = func() {
		if d.Progress != nil {
			d.Progress(Progress{Length: w.length, Seen: w.seen, Done: report.Discarded})
		}
	}
	err = w.run(ctx, func(ctx context.Context, letters []letter) (int, error) {
		ctx, cancel := outlasting(ctx)
		defer cancel()
		if err := w.takeAway(ctx, letters, d); err != nil {
			return len(letters), err
		}
		report.Discarded += len(letters)
		return 0, nil
	})
	if err == nil {
		report.Missed, err = w.miss(ctx)
	}
	report.Seen, report.Absent, report.ElapsedMs = w.seen, w.absent, time.Since(began).Milliseconds()
	if err != nil && !errors.Is(err, errEnough) {
		return report, fmt.Errorf("discarding from %s: %w", w.name(), err)
	}
	return report, nil
}

// takeAway removes letters once their export is on disk.
func (w *walk) takeAway(ctx context.Context, letters []letter, d Discard) error {
	ids := make([]uuid.UUID, len(letters))
	for i, l := range letters {
		ids[i] = l.entry.ID
	}
	// The dead-letter log has more about a letter than the message.
	known, err := failures.DeadLettersByID(ctx, w.DB, ids)
	if err != nil {
		return err
	}
	for _, l := range letters {
		entry, there := known[l.entry.ID]
		if !there {
			entry = l.entry
		}
		if err := WriteLine(d.Export, EntryOf(entry)); err != nil {
			return err
		}
	}
	if err := d.Export.Sync(); err != nil {
		return fmt.Errorf("exporting %d dead letters: %w", len(letters), err)
	}
	return w.leave(ctx, failures.Discarded, letters)
}
