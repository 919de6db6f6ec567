package erasure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// archives erases the events at positions that archives have, a file at a time.
func (cfg Config) archives(ctx context.Context, r *Report, seqs []int64, write bool) error {
	if cfg.Archives == "" {
		for _, seq := range seqs {
			err := archive.Need(ctx, cfg.DB, "erasing", seq)
			return fmt.Errorf("%d of the events are in archives: %w", len(seqs), err)
		}
		return nil
	}
	list, err := archive.List(ctx, cfg.DB)
	if err != nil {
		return err
	}
	for i := range list {
		a := &list[i]
		if write {
			if err := deleteFormer(cfg.Archives, a); err != nil {
				return err
			}
		}
		low, _ := slices.BinarySearch(seqs, a.Low)
		high, _ := slices.BinarySearch(seqs, a.High)
		if low == high {
			continue
		}
		changes, err := cfg.archive(ctx, a, seqs[low:high], write)
		if err != nil {
			return fmt.Errorf("erasing in %s: %w", a.File, err)
		}
		for n := range changes {
			r.add(&changes[n], cfg.Key != nil)
		}
		if slices.ContainsFunc(changes, func(c Change) bool { return len(c.Fields) > 0 && c.Problem == "" }) {
			r.Archives = append(r.Archives, a.File)
		}
		cfg.Progress("looked for in archives", int64(high), int64(len(seqs)))
	}
	return nil
}

var fileName = regexp.MustCompile(`^(events-\d+-\d+)(?:-e(\d+))?(\.ndjson\.zst)$`)

// nextName is the name of the file that takes the place of another: events-0-9.ndjson.zst, events-0-9-e1.ndjson.zst.
func nextName(file string) (string, error) {
	parts := fileName.FindStringSubmatch(file)
	if parts == nil {
		return "", fmt.Errorf("%q is not a name that `composerp log archive` gives", file)
	}
	n, _ := strconv.Atoi(parts[2])
	return fmt.Sprintf("%s-e%d%s", parts[1], n+1, parts[3]), nil
}

// deleteFormer deletes the files whose place the noted one took, if that is there.
func deleteFormer(dir string, a *archive.Archive) error {
	noted := fileName.FindStringSubmatch(a.File)
	if noted == nil || noted[2] == "" {
		return nil
	}
	newest, _ := strconv.Atoi(noted[2])
	if _, err := os.Stat(filepath.Join(dir, a.File)); err != nil {
		return nil // it is not the directory of this log's archives; what needs the file says so
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the directory of archives: %w", err)
	}
	for _, f := range files {
		parts := fileName.FindStringSubmatch(f.Name())
		if parts == nil || parts[1] != noted[1] {
			continue
		}
		if n, _ := strconv.Atoi(parts[2]); n >= newest {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("deleting the file before an erasure: %w", err)
		}
	}
	return nil
}

// archive erases events of one file: it writes the file anew beside it, and notes the new one.
func (cfg Config) archive(ctx context.Context, a *archive.Archive, seqs []int64, write bool) ([]Change, error) {
	file, err := a.Open(cfg.Archives)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	before, err := List(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	changes, err := cfg.archived(ctx, a, file, before, seqs)
	if err != nil {
		return nil, err
	}
	changed := map[int64]*Change{}
	touched := false
	for i := range changes {
		changed[changes[i].Seq] = &changes[i]
		touched = touched || changes[i].Problem == "" && (len(changes[i].Fields) > 0 || changes[i].signs)
	}
	if !touched || !write {
		return changes, cfg.look(ctx, changes)
	}
	name, err := nextName(a.File)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cfg.Archives, name)
	written, err := rewrite(ctx, a, file, path, changed)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("erasure.archived")
	err = cfg.DB.InTx(ctx, func(tx store.Tx) error {
		if err := archive.Exclude(ctx, tx); err != nil {
			return err
		}
		if err := cfg.letters(ctx, tx, changes, true); err != nil {
			return err
		}
		if err := cfg.note(ctx, tx, changes); err != nil {
			return err
		}
		n, err := pg.Exec(ctx, tx, renoted, a.ID, a.File, name, written.Bytes, written.FileSHA[:])
		if err == nil && n != 1 {
			err = errors.New("another process has erased in it meanwhile; repeat the command")
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	failpoint.Hit("erasure.noted")
	former := *a
	former.File = name
	return changes, deleteFormer(cfg.Archives, &former)
}

var renoted = pg.SQL(`UPDATE log_archive SET file = $3, bytes = $4, sha256 = $5 WHERE id = $1 AND file = $2`)

// look counts dead letters without a change.
func (cfg Config) look(ctx context.Context, changes []Change) error {
	err := cfg.DB.InTx(ctx, func(tx store.Tx) error {
		if err := cfg.letters(ctx, tx, changes, false); err != nil {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	return err
}

// archived are the changes of events that a file has.
func (cfg Config) archived(ctx context.Context, a *archive.Archive, file *archive.File, erasures []Erasure, seqs []int64) (changes []Change, err error) {
	err = file.Frames(seqs[0]-1, seqs[len(seqs)-1], false, func(rows []archive.Row) error {
		for i := range rows {
			e := &rows[i]
			if _, asked := slices.BinarySearch(seqs, e.Seq); !asked {
				continue
			}
			r := row{Seq: e.Seq, EventID: e.EventID, Type: e.Type, Tenant: e.Tenant, Body: e.Body, Logged: e.BodySHA256}
			if n, found := slices.BinarySearchFunc(erasures, e.Seq, func(r Erasure, seq int64) int { return int(r.Seq - seq) }); found {
				x := &erasures[n]
				r.erasureBefore = erasureBefore{x.StandIn[:], x.Fields, x.Signature}
			}
			c := r.change(cfg)
			c.Archive = a.File
			changes = append(changes, c)
		}
		return ctx.Err()
	})
	return changes, err
}

// rewrite writes a file with the bodies that stand in; it is on the disk when it returns. A file of that name is left
// by a run that was killed.
func rewrite(ctx context.Context, a *archive.Archive, file *archive.File, path string, changed map[int64]*Change) (w archive.Written, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return w, fmt.Errorf("making the file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffer := bufio.NewWriterSize(f, 1<<20)
	writer, err := archive.NewWriter(buffer)
	if err != nil {
		return w, err
	}
	err = file.Frames(a.Low-1, a.High-1, false, func(rows []archive.Row) error {
		for i := range rows {
			if c := changed[rows[i].Seq]; c != nil && len(c.Fields) > 0 {
				rows[i].Body = c.body
			}
			if err := writer.Add(&rows[i]); err != nil {
				return err
			}
		}
		return ctx.Err()
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
	if err == nil {
		var dir *os.File
		if dir, err = os.Open(filepath.Dir(path)); err == nil {
			err = errors.Join(dir.Sync(), dir.Close())
		}
	}
	if err == nil && w.Events != a.Events {
		err = fmt.Errorf("%d events were written, and it has %d", w.Events, a.Events)
	}
	if err != nil {
		return w, fmt.Errorf("writing the file: %w", err)
	}
	return w, sameFile(path, w)
}

func sameFile(path string, want archive.Written) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the file back: %w", err)
	}
	defer f.Close()
	sum, size, err := archive.DigestOf(f)
	if err == nil && (sum != want.FileSHA || size != want.Bytes) {
		err = fmt.Errorf("%s was read back with another digest than it was written with", path)
	}
	return err
}

// ArchivedAt are the positions of events by their ids in a directory of archives. It reads all files.
func ArchivedAt(folder *archive.Folder, ids []uuid.UUID) (seqs []int64, missing []uuid.UUID, err error) {
	found := map[uuid.UUID]bool{}
	for _, id := range ids {
		found[id] = false
	}
	err = folder.Frames(0, folder.Cut, false, func(rows []archive.Row) error {
		for i := range rows {
			if _, asked := found[rows[i].EventID]; asked {
				seqs, found[rows[i].EventID] = append(seqs, rows[i].Seq), true
			}
		}
		return nil
	})
	for _, id := range ids {
		if !found[id] {
			missing = append(missing, id)
		}
	}
	return seqs, missing, err
}
