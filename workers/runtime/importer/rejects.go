package importer

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// rejectsSuffix is added to the file's name.
const rejectsSuffix = ".rejects.csv"

// rejectsHeader is the first line of every rejects file.
const rejectsHeader = "line,reason,detail,row\n"

// rejects is the file of rejected rows. How much of it counts stands in the database, written in the transaction of
// the batch: what a crash left behind that is cut off by the next run.
type rejects struct {
	path string
	file *os.File
}

// openRejects opens the rejects file, at path or, when that is empty, beside the imported file, or in the current
// directory when nothing can be written beside it.
func openRejects(path, imported string) (*rejects, error) {
	chosen := path
	if path == "" {
		chosen = imported + rejectsSuffix
	}
	file, err := openForRejects(chosen)
	if path == "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		chosen = filepath.Base(chosen)
		file, err = openForRejects(chosen)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the rejects file: %w", err)
	}
	absolute, err := filepath.Abs(chosen)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("opening the rejects file: %w", err)
	}
	return &rejects{path: absolute, file: file}, nil
}

// openForRejects refuses an existing file that is not a rejects file.
func openForRejects(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	begin := make([]byte, len(rejectsHeader))
	n, err := io.ReadFull(file, begin)
	if n > 0 && !bytes.HasPrefix([]byte(rejectsHeader), begin[:n]) {
		file.Close()
		return nil, fmt.Errorf("%s is there already and is not a rejects file; move it away or name another one", path)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		file.Close()
		return nil, err
	}
	return file, nil
}

// has says whether the file has at least this many bytes.
func (r *rejects) has(size int64) bool {
	info, err := r.file.Stat()
	return err == nil && info.Size() >= size
}

// write puts text at a place, with nothing behind it, and returns when it is on disk.
func (r *rejects) write(at int64, text []byte) error {
	err := r.file.Truncate(at)
	if err == nil {
		_, err = r.file.WriteAt(text, at)
	}
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing the rejects file: %w", err)
	}
	return nil
}

func (r *rejects) close() { r.file.Close() }

// remove takes the file away: no row was rejected.
func (r *rejects) remove() error {
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the empty rejects file: %w", err)
	}
	return nil
}

// appendReject writes a rejected row as a line of the rejects file.
func appendReject(b *bytes.Buffer, o origin, why *Rejection) {
	w := csv.NewWriter(b)
	// A buffer takes everything.
	_ = w.Write([]string{strconv.FormatInt(o.line, 10), why.Reason, why.Detail, o.raw})
	w.Flush()
}
