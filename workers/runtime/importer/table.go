package importer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// Table is a file of rows with named columns that are known beforehand, as master data is kept in, of any kind that
// rowfile reads. It is read as often as its reader likes, in memory that does not grow with
// it, and every reading sees the same bytes or ends with a ChangedError.
type Table struct {
	source *rowfile.File
	format rowfile.Format
	sum    [sha256.Size]byte
	known  bool // sum is that of an earlier reading
}

// TableRow is a row of a table. It is valid until the next row is read.
type TableRow struct {
	// Line is the physical line the row begins on, from 1.
	Line int64
	// Names are the columns' names, those of the header line or the keys of the JSON object. Values are their texts:
	// a JSON string's content, a number as it is written, nothing for null; without blanks around them.
	Names, Values []string
}

// LineError says what is wrong with a line of a file.
type LineError struct {
	File string
	Line int64
	Err  error
}

// Error gives file, line and problem.
func (e *LineError) Error() string { return fmt.Sprintf("%s line %d: %v", e.File, e.Line, e.Err) }

// Unwrap gives the problem.
func (e *LineError) Unwrap() error { return e.Err }

// OpenTable opens a file of rows; a regular file, because it is read more than once. format is how it is written.
func OpenTable(file string, format rowfile.Format) (*Table, error) {
	src, err := rowfile.Open(file)
	if err != nil {
		return nil, err
	}
	return &Table{source: src, format: format}, nil
}

// Close closes the file.
func (t *Table) Close() { t.source.Close() }

// Size is the file's size in bytes, as it lies on disk.
func (t *Table) Size() int64 { return t.source.Size() }

// Done is how many bytes of the file the reading in hand has read.
func (t *Table) Done() int64 { return t.source.Done() }

// SHA256 is the digest of the file as it lies on disk. It is known once the file was read to its end.
func (t *Table) SHA256() [sha256.Size]byte { return t.sum }

// Read gives every row from the beginning on. The error of do ends it and is given back as it is; a line that is no
// row is a LineError. The columns are given to header first, but those of NDJSON; where it refuses them, another
// delimiter may be tried.
func (t *Table) Read(ctx context.Context, header func(names []string) error, do func(TableRow) error) error {
	rows, err := t.source.Rows(t.format, true, header)
	if err != nil {
		return err
	}
	for n := int64(0); ; n++ {
		if n%surveyEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rec, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return t.finish()
		}
		if err != nil {
			return t.source.Failure(err, n)
		}
		if rec.Problem != nil {
			return &LineError{File: t.source.Name(), Line: rec.Line, Err: errors.New(rec.Problem.Detail)}
		}
		for i := range rec.Values {
			rec.Values[i] = rowfile.Trim(rec.Values[i])
		}
		if err := do(TableRow{Line: rec.Line, Names: rec.Names, Values: rec.Values}); err != nil {
			return err
		}
	}
}

// finish holds the file against its earlier reading.
func (t *Table) finish() error {
	sum, err := t.source.Finish()
	if err != nil {
		return err
	}
	if t.known && sum != t.sum {
		return &ChangedError{File: t.source.Name()}
	}
	t.sum, t.known = sum, true
	return nil
}
