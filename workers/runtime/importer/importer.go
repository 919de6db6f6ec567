package importer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/imports"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// Options say what is imported and where to. DB and File are needed, and Mapping for everything but NDJSON of whole
// events.
type Options struct {
	DB *store.DB
	// File is one that rowfile.Open reads. It must be a regular file: it is read twice.
	File string
	// Mapping says what the rows mean; nil for NDJSON whose lines are whole events.
	Mapping *Mapping
	// History imports the rows as history: they move stock and demand, and trigger nothing (see AsHistory).
	History bool
	// Rejects is the path of the file for rejected rows. Empty: FILE.rejects.csv, beside File or, when nothing can
	// be written there, in the current directory.
	Rejects string
	// Progress, when set, is called during the survey and after each batch, by one goroutine at a time.
	Progress func(Progress)
	// BatchRows is how many rows make a transaction; 0 means 1000.
	BatchRows int
}

func (o Options) withDefaults() Options {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.BatchRows <= 0 {
		o.BatchRows = 1000
	}
	return o
}

// Run imports a file. Interrupted at whatever point, it goes on where it was when it is run again with the same file
// and mapping; run again after it has finished, it finds every row a duplicate and changes nothing. The report is
// right as far as it goes also beside an error.
func Run(ctx context.Context, o Options) (Report, error) {
	o = o.withDefaults()
	started := time.Now()
	src, err := rowfile.Open(o.File)
	if err != nil {
		return Report{File: o.File}, err
	}
	defer src.Close()
	found, err := surveyOf(ctx, src, o.Mapping, func(rows int64) {
		o.Progress(Progress{Phase: PhaseSurvey, Bytes: src.Done(), Size: src.Size(), Tally: Tally{Rows: rows}})
	})
	if err != nil {
		return Report{File: o.File}, err
	}
	defer found.close()
	w := &writer{options: o, key: importKey(o.Mapping, found), size: src.Size(), totalRows: found.rows}
	if err := w.begin(ctx); err != nil {
		return Report{File: o.File}, err
	}
	defer w.rejects.close()
	err = w.importFrom(ctx, src, found)
	return w.report(time.Since(started)), err
}

// importKey tells what is imported. A mapping that was changed makes another import of it: its events are others.
func importKey(m *Mapping, found *survey) imports.Key {
	key := imports.Key{FileSHA256: found.sum}
	if m != nil {
		key.MappingSHA256 = m.sum
	} else {
		key.MappingSHA256 = sha256.Sum256(nil)
	}
	return key
}

// importFrom reads batches and writes them, the next being read while one is written.
func (w *writer) importFrom(ctx context.Context, src *rowfile.File, found *survey) error {
	rows, err := newReading(ctx, src, w.options.Mapping, found, w.progress.Rows)
	if err != nil {
		return err
	}
	rows.history = w.options.History
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan *batch)
	group.Go(func() error {
		defer close(batches)
		return rows.batches(ctx, w.options.BatchRows, batches)
	})
	group.Go(func() error {
		for b := range batches {
			if err := w.write(ctx, b); err != nil {
				return err
			}
			w.options.Progress(Progress{Phase: PhaseImport, Bytes: b.bytes, Size: w.size, TotalRows: w.totalRows, Tally: w.tally.clone()})
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return w.finish(context.WithoutCancel(ctx))
}

// report is what has come of the import so far.
func (w *writer) report(elapsed time.Duration) Report {
	r := Report{File: w.options.File, Tally: w.tally.clone(), ResumedAt: w.resumedAt, Elapsed: elapsed, ElapsedMs: elapsed.Milliseconds()}
	if r.RejectedTotal() > 0 {
		r.RejectsFile = w.rejects.path
	}
	return r
}

// begin takes the import up: behind what is done already when that can be relied on, else from the beginning.
func (w *writer) begin(ctx context.Context) error {
	rejects, err := openRejects(w.options.Rejects, w.options.File)
	if err != nil {
		return err
	}
	w.rejects = rejects
	if err := w.takeUp(ctx); err != nil {
		rejects.close()
		return err
	}
	return nil
}

func (w *writer) takeUp(ctx context.Context) error {
	before, err := imports.Take(ctx, w.options.DB, w.key)
	if err != nil {
		return err
	}
	failpoint.Hit("import.taken")
	w.progress, w.tally = before, Tally{}.clone()
	if !before.Finished && before.Rows > 0 && countedAlike(before) && before.RejectsFile == w.rejects.path && w.rejects.has(before.RejectsBytes) {
		w.resumedAt = before.Rows
		if err := w.adopt(before); err != nil {
			return err
		}
		return w.save(ctx, before, w.tally, nil, []byte{}) // cuts off what a crash has left behind the lines that count
	}
	// Everything is read again. What is in the log already will be known as such, and the rejects are written anew.
	next := imports.Progress{Term: before.Term, File: w.options.File, RejectsFile: w.rejects.path}
	return w.save(ctx, next, w.tally, nil, []byte(rejectsHeader))
}

// adopt goes on from what the database says.
func (w *writer) adopt(p imports.Progress) error {
	var n noted
	if err := json.Unmarshal(p.Tally, &n); err != nil {
		return fmt.Errorf("reading the import's counts: %w", err)
	}
	w.progress, w.tally = p, n.clone()
	return nil
}

// noted is what import_progress keeps of an import's counts.
type noted struct {
	Tally
	// Reading is how rows were counted: version 0.1, which has none, takes a line of delimiters alone for a row.
	Reading int `json:"reading"`
}

const reading2 = 2

// countedAlike says whether an import can go on behind the rows that are done, because they were counted as they are
// now.
func countedAlike(p imports.Progress) bool {
	var n noted
	return json.Unmarshal(p.Tally, &n) == nil && n.Reading == reading2
}

// finish notes that the file is done, so that the next import of it begins anew.
func (w *writer) finish(ctx context.Context) error {
	next := w.progress
	next.Finished = true
	if err := w.persist(ctx, next, w.tally, nil); err != nil {
		return err
	}
	failpoint.Hit("import.finished")
	if w.tally.RejectedTotal() == 0 {
		return w.rejects.remove()
	}
	return nil
}

// countEvent counts an event that is in the log.
func (t *Tally) countEvent(kind event.Type, a eventlog.Admission) {
	t.Events[kind]++
	if a == eventlog.Admitted {
		t.Admitted++
	} else {
		t.Duplicates++
	}
}
