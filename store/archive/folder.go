package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/composerp/composerp/store"
)

// Folder is a directory with all archives of a log, open for reading. It is for one goroutine.
type Folder struct {
	archives []Archive
	files    []*File
	// Cut is the position before which the folder has everything; 0: it has nothing.
	Cut int64
}

// Open opens the archives of a directory, and holds each against its note: name, length and digest. Errors name the
// file.
func Open(ctx context.Context, db *store.DB, dir string) (*Folder, error) {
	archives, err := List(ctx, db)
	if err != nil {
		return nil, err
	}
	f := &Folder{archives: archives}
	for i := range archives {
		a := &archives[i]
		if a.Low != f.Cut {
			return nil, errors.Join(fmt.Errorf("the archives do not adjoin: %s begins at position %d, and what is before it ends at %d; the table log_archive was changed", a.File, a.Low, f.Cut), f.Close())
		}
		file, err := a.Open(dir)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.files, f.Cut = append(f.files, file), a.High
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// Open opens the file of an archive, and compares it with the note.
func (a *Archive) Open(dir string) (*File, error) {
	file, err := OpenFile(filepath.Join(dir, a.File))
	if err != nil {
		return nil, err
	}
	sum, size, err := file.digest()
	switch {
	case err != nil:
	case size != a.Bytes:
		err = damaged(file.path, "it has %d bytes, and was written with %d", size, a.Bytes)
	case sum != a.SHA256:
		err = damaged(file.path, "its digest is %s, and was %s", sum, a.SHA256)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Close closes the files.
func (f *Folder) Close() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// Frames hands on the rows past one position and up to another, in order, some at a time; reverse: the last first. The
// rows are the caller's.
func (f *Folder) Frames(after, upto int64, reverse bool, take func([]Row) error) error {
	for n := range f.files {
		i := n
		if reverse {
			i = len(f.files) - 1 - n
		}
		if a := f.archives[i]; a.High <= after || a.Low > upto {
			continue
		}
		if err := f.files[i].Frames(after, upto, reverse, take); err != nil {
			return err
		}
	}
	return nil
}

// First is the position of the oldest event; 0 without one.
func (f *Folder) First() int64 {
	for _, a := range f.archives {
		if a.Events > 0 {
			return a.FirstSeq
		}
	}
	return 0
}
