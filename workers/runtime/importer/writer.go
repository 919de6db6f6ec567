package importer

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/imports"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// saveTimeout is how long a batch is tried again while the database is away or others are in the way.
const saveTimeout = 30 * time.Second

// writer brings batches into the log, each in one transaction with the note of how far the import has come.
type writer struct {
	options   Options
	key       imports.Key
	rejects   *rejects
	progress  imports.Progress // as the database has it
	tally     Tally            // of progress.Rows rows
	resumedAt int64
	size      int64
	totalRows int64
}

// write brings a batch into the log.
func (w *writer) write(ctx context.Context, b *batch) error {
	next := w.progress
	next.Rows = b.rows
	return w.persist(ctx, next, w.tally, b)
}

// persist saves, and saves again while that may help. When it is not known whether a transaction was committed, the
// database is asked: nothing is counted twice.
func (w *writer) persist(ctx context.Context, next imports.Progress, tally Tally, b *batch) error {
	deadline := time.Now().Add(saveTimeout)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 3*time.Second) {
		err := w.save(ctx, next, tally, b, nil)
		if err == nil || !mayPass(err) || time.Now().After(deadline) {
			return err
		}
		if !clock.Sleep(ctx, pause) {
			return ctx.Err()
		}
		switch saved, askErr := imports.Read(ctx, w.options.DB, w.key); {
		case askErr != nil && !mayPass(askErr):
			return errors.Join(err, askErr)
		case askErr == nil && saved.Term != next.Term:
			return fmt.Errorf("importing %s: %w", w.options.File, imports.ErrTakenOver)
		case askErr == nil && saved.Rows == next.Rows && saved.Finished == next.Finished:
			return w.adopt(saved)
		}
	}
}

// mayPass says whether waiting may help.
func mayPass(err error) bool {
	return errors.Is(err, store.ErrRetryable) || errors.Is(err, store.ErrUnavailable)
}

// save brings a batch, if any, into the log and notes next as the import's progress, in one transaction. The lines of
// rejected rows, or text in their place, are on disk before it is committed, and nothing is behind them. Where there
// are none and text is nil, the rejects file is left alone.
func (w *writer) save(ctx context.Context, next imports.Progress, tally Tally, b *batch, text []byte) error {
	tally = tally.clone()
	err := w.options.DB.InTx(ctx, func(tx store.Tx) error {
		if b != nil {
			verdicts, differences, err := b.admit(ctx, tx, w.options.Mapping != nil)
			if err != nil {
				return err
			}
			failpoint.Hit("import.admitted")
			text = settle(b, verdicts, differences, &tally)
			tally.Rows = b.rows
		}
		at := next.RejectsBytes
		next.RejectsBytes += int64(len(text))
		var err error
		if next.Tally, err = json.Marshal(noted{tally, reading2}); err != nil {
			return fmt.Errorf("writing the import's counts: %w", err)
		}
		// This row of the database is the lock on the rejects file: it is held from here to the commit.
		if err := imports.Save(ctx, tx, w.key, next); err != nil {
			return err
		}
		failpoint.Hit("import.noted")
		if text == nil {
			return nil
		}
		err = w.rejects.write(at, text)
		failpoint.Hit("import.rejected")
		return err
	})
	if err != nil {
		return fmt.Errorf("importing %s after row %d: %w", w.options.File, w.progress.Rows, err)
	}
	failpoint.Hit("import.committed")
	w.progress, w.tally = next, tally
	return nil
}

// settle counts what became of a batch's rows and gives the lines of the rejects file for it, by row; nil
// for none.
func settle(b *batch, verdicts []eventlog.Admission, differences map[int]string, tally *Tally) []byte {
	refused := slices.Clone(b.rejects)
	for i, v := range verdicts {
		if v == eventlog.Conflict {
			why := rowfile.Reject(ReasonConflict, "eventId: another event with the id %s is in the log", b.events[i].ID)
			if differences[i] != "" {
				why.Detail = fmt.Sprintf("%s (event %s)", differences[i], b.events[i].ID)
			}
			refused = append(refused, rejected{b.origins[i], why})
			continue
		}
		if refusal := v.Refusal(b.events[i]); refusal != nil {
			refused = append(refused, rejected{b.origins[i], rowfile.Reject(v.String(), "%v", refusal)})
			continue
		}
		tally.countEvent(b.events[i].Type, v)
		tally.countTime(b.origins[i])
	}
	slices.SortFunc(refused, func(a, b rejected) int { return cmp.Compare(a.number, b.number) })
	var text bytes.Buffer
	for _, r := range refused {
		tally.Reject(r.why.Reason)
		appendReject(&text, r.origin, r.why)
	}
	return text.Bytes()
}
