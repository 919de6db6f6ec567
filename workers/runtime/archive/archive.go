package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/seal"
)

// Config says what to archive. DB and Dir are needed.
type Config struct {
	DB  *store.DB // three connections
	Dir string
	// Until: only partitions whose events were all logged before it.
	Until time.Time
	By    operatorlog.By
	// Progress is called with how many of a partition's positions are done in the step at work. May be nil.
	Progress func(step string, done, of int64)
}

// Candidate is a partition, and what is to become of it.
type Candidate struct {
	archive.Partition
	// Held is why it is not archived, a sentence each; none: it is.
	Held []string `json:"held"`
}

// Plan tells which partitions Run would archive now: those without a reason before the first that has one.
func Plan(ctx context.Context, db *store.DB, until time.Time) (plan []Candidate, err error) {
	partitions, err := archive.Partitions(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, p := range partitions {
		c := Candidate{Partition: p}
		if c.Held, err = archive.Held(ctx, db, p.High); err != nil {
			return nil, err
		}
		switch {
		case p.LoggedUpto == nil && len(c.Held) == 0:
			c.Held = []string{"no tick has seen all of it yet"}
		case p.LoggedUpto != nil && !p.LoggedUpto.Before(until):
			c.Held = append([]string{"it has events of " + p.LoggedUpto.UTC().Format(time.RFC3339)}, c.Held...)
		}
		if c.Held == nil {
			c.Held = []string{}
		}
		plan = append(plan, c)
		if len(c.Held) > 0 {
			break // what comes after it waits too
		}
	}
	return plan, nil
}

// Run archives what it may, and returns the archives that it made, also beside an error.
func Run(ctx context.Context, cfg Config) (made []archive.Archive, err error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string, int64, int64) {}
	}
	if info, err := os.Stat(cfg.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory: make it on a disk that is backed up, for this log alone", cfg.Dir)
	}
	for {
		plan, err := Plan(ctx, cfg.DB, cfg.Until)
		if err != nil || len(plan) == 0 || len(plan[0].Held) > 0 {
			return made, err
		}
		a, err := cfg.move(ctx, plan[0].Partition)
		if err != nil {
			return made, fmt.Errorf("archiving %s: %w", plan[0].Name, err)
		}
		made = append(made, a)
	}
}

// fileOf names the file of a partition.
func fileOf(p archive.Partition) string {
	return fmt.Sprintf("events-%015d-%015d.ndjson.zst", p.Low, p.High-1)
}

// move archives one partition.
func (cfg *Config) move(ctx context.Context, p archive.Partition) (a archive.Archive, err error) {
	work, err := archive.Begin(ctx, cfg.DB)
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, work.Close()) }()
	a = archive.Archive{File: fileOf(p), Low: p.Low, High: p.High, LoggedUpto: *p.LoggedUpto}
	path := filepath.Join(cfg.Dir, a.File)
	beside := path + ".new"
	defer os.Remove(beside) // after the rename there is none
	written, err := cfg.write(ctx, work, p, beside)
	if err != nil {
		return a, err
	}
	failpoint.Hit("archive.written")
	opening, covered, err := cfg.verify(ctx, beside, p, written)
	if err != nil {
		return a, err
	}
	failpoint.Hit("archive.verified")
	if err := place(beside, path, written); err != nil {
		return a, err
	}
	failpoint.Hit("archive.renamed")
	a.Events, a.FirstSeq, a.LastSeq, a.Bytes, a.SHA256 = written.Events, written.FirstSeq, written.LastSeq, written.Bytes, written.FileSHA
	a.FirstSeal, a.LastSeal = covered.First, covered.Last
	return a, work.Drop(ctx, p, &a, opening, cfg.By)
}

// write writes a partition to a file that is not there yet, or is left of a run that was killed.
func (cfg *Config) write(ctx context.Context, work *archive.Work, p archive.Partition, path string) (w archive.Written, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return w, fmt.Errorf("deleting what a run before has left: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return w, fmt.Errorf("making the file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffer := bufio.NewWriterSize(f, 1<<20)
	writer, err := archive.NewWriter(buffer)
	if err != nil {
		return w, err
	}
	err = work.Each(ctx, p, func(r *archive.Row) error {
		cfg.Progress("written", r.Seq-p.Low+1, p.High-p.Low)
		return writer.Add(r)
	})
	if err != nil {
		return w, err
	}
	if w, err = writer.End(); err != nil {
		return w, err
	}
	if err = buffer.Flush(); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return w, fmt.Errorf("writing the file: %w", err)
	}
	return w, nil
}

// verify reads a file back: its rows, its digest, and what the seals say of it.
func (cfg *Config) verify(ctx context.Context, path string, p archive.Partition, want archive.Written) (archive.Openings, seal.Covered, error) {
	opening := archive.Openings{}
	f, err := archive.OpenFile(path)
	if err != nil {
		return nil, seal.Covered{}, err
	}
	defer f.Close()
	events := int64(0)
	err = f.Frames(p.Low-1, p.High-1, false, func(rows []archive.Row) error {
		for i := range rows {
			if err := opening.Note(&rows[i]); err != nil {
				return err
			}
		}
		events += int64(len(rows))
		cfg.Progress("read back", rows[len(rows)-1].Seq-p.Low+1, p.High-p.Low)
		return ctx.Err()
	})
	if err != nil {
		return nil, seal.Covered{}, err
	}
	covered, err := seal.Cover(ctx, cfg.DB, f, p.Low, p.High)
	switch {
	case err != nil:
	case len(covered.Findings) > 0:
		one := covered.Findings[0]
		err = fmt.Errorf("position %d was %s since it was sealed (%s): nothing was archived; `composerp events verify` shows all that was changed", one.Seq, one.Kind, one.What)
	case events != want.Events || covered.Events != events:
		err = fmt.Errorf("%d events were written, %d read back, and seals cover %d of them: nothing was archived; run it again", want.Events, events, covered.Events)
	}
	if err != nil {
		return nil, covered, err
	}
	return opening, covered, sameDigest(path, want)
}

// place gives the file its name, and makes sure that it is the one that was written.
func place(beside, path string, want archive.Written) error {
	if _, err := os.Stat(path); err == nil {
		if err := sameDigest(path, want); err != nil {
			return fmt.Errorf("a file of that name is there, and not of this partition: move it away, or give a directory of its own to each log; delete it if a run was killed and events were erased since, for it has what was erased: %w", err)
		}
	}
	if err := os.Rename(beside, path); err != nil {
		return fmt.Errorf("naming the file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("flushing the directory: %w", err)
	}
	return sameDigest(path, want)
}

func sameDigest(path string, want archive.Written) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the file back: %w", err)
	}
	defer f.Close()
	sum, size, err := archive.DigestOf(f)
	if err == nil && (sum != want.FileSHA || size != want.Bytes) {
		err = fmt.Errorf("%s has %d bytes with the digest %s, and %d with %s were written", path, size, sum, want.Bytes, want.FileSHA)
	}
	return err
}
