package masterdata

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/runtime/importer"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// Sheet is a file whose rows are edits of master data. It is read twice: first
// all of it is checked, in the database too, then it is written, so that a bad
// line is found while nothing has changed yet. A batch is one transaction; after
// an interruption the import starts again, and finds the rows of finished batches unchanged.
type Sheet[T any] struct {
	File    string
	Table   *importer.Table
	numbers rowfile.Numbers
	fields  []Field[T]
	shown   []string
	Tenant  string // of rows that have none
	Key     func(*T) []string
	Apply   func(edits []masterdata.Edit[T], dryRun bool) (masterdata.Written, error)
	// Note, where it is set, is told what the file would change, before that is written.
	Note func(masterdata.Written) error
	// place, where it is set, is told each row's line.
	Place    func(row *T, line int64)
	progress func(importer.Progress)

	names   []string    // the columns bound last
	columns []*Field[T] // what they are; nil for those passed over
	edits   []masterdata.Edit[T]
	lines   []int64 // of the edits
	Rows    int64
	// problems are what the check has found, at most maxProblems of them.
	problems []error
}

const (
	// sheetBatch is how many rows make a statement, and a transaction.
	sheetBatch = 500
	// maxProblems is how many bad lines are told at once.
	maxProblems = 10
	// maxCollisions is how often a batch that collided with another transaction is done again.
	maxCollisions = 5
)

// OpenSheet opens the file of rows that the command line names, written as its flags say.
func OpenSheet[T any](cctx *cli.Context, fields []Field[T], shown []string) (*Sheet[T], error) {
	format, err := readFormat(cctx)
	if err != nil {
		return nil, err
	}
	return openFile(cctx.Args().First(), format, fields, shown)
}

func openFile[T any](file string, format rowfile.Format, fields []Field[T], shown []string) (*Sheet[T], error) {
	table, err := importer.OpenTable(file, format)
	if err != nil {
		return nil, err
	}
	return &Sheet[T]{File: file, Table: table, numbers: format.Numbers, fields: fields, shown: shown}, nil
}

// Close closes the file.
func (s *Sheet[T]) Close() { s.Table.Close() }

// check reads the whole file and reports what it would do.
func (s *Sheet[T]) check(ctx context.Context, noun string) (masterdata.Written, error) {
	keys := importer.NewKeys()
	defer keys.Close()
	written, err := s.read(ctx, importer.PhaseCheck, true, func(line int64, of *T) error { return keys.Add(line, s.Key(of)...) })
	if err != nil && !errors.Is(err, errTooMany) {
		return written, err
	}
	if len(s.problems) == 0 {
		line, earlier, err := keys.FirstRepeat()
		if err != nil {
			return written, err
		}
		if line > 0 {
			return written, &importer.LineError{File: s.File, Line: line, Err: fmt.Errorf("the %s of line %d again; nothing was written", noun, earlier)}
		}
		return written, nil
	}
	how := fmt.Sprintf("%d bad lines", len(s.problems))
	switch {
	case errors.Is(err, errTooMany):
		how = "at least " + how
	case len(s.problems) == 1:
		how = "a bad line"
	}
	return written, fmt.Errorf("%s: %s; nothing was written", s.File, how)
}

// errTooMany ends a check that has found enough.
var errTooMany = errors.New("too many bad lines")

func (s *Sheet[T]) read(ctx context.Context, phase importer.Phase, dryRun bool, seen func(line int64, of *T) error) (written masterdata.Written, err error) {
	s.Rows, s.edits, s.lines = 0, s.edits[:0], s.lines[:0]
	flush := func() error {
		w, err := s.flush(dryRun)
		written.New, written.Changed, written.Unchanged = written.New+w.New, written.Changed+w.Changed, written.Unchanged+w.Unchanged
		s.progress(importer.Progress{Phase: phase, Bytes: s.Table.Done(), Size: s.Table.Size(), Tally: importer.Tally{Rows: s.Rows}})
		return err
	}
	header := func(names []string) error {
		if err := s.bind(names); err != nil {
			return fmt.Errorf("%s: %w", s.File, err)
		}
		return nil
	}
	err = s.Table.Read(ctx, header, func(r importer.TableRow) error {
		s.Rows++
		edit, err := s.edit(r)
		if err == nil {
			err = seen(r.Line, &edit.Of)
		}
		if err != nil {
			return s.problem(r.Line, err)
		}
		s.edits, s.lines = append(s.edits, edit), append(s.lines, r.Line)
		if len(s.edits) < sheetBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return written, err
}

// flush applies the batch in hand. A check leaves out what is bad, and goes on.
func (s *Sheet[T]) flush(dryRun bool) (masterdata.Written, error) {
	for collisions := 0; ; {
		written, err := s.Apply(s.edits, dryRun)
		var bad *masterdata.InvalidError
		switch {
		case errors.Is(err, store.ErrRetryable) && collisions < maxCollisions:
			collisions++
		case errors.As(err, &bad):
			line := s.lines[bad.Index]
			if !dryRun {
				return written, &importer.LineError{File: s.File, Line: line, Err: bad}
			}
			if err := s.problem(line, bad); err != nil {
				return written, err
			}
			s.edits, s.lines = slices.Delete(s.edits, bad.Index, bad.Index+1), slices.Delete(s.lines, bad.Index, bad.Index+1)
		default:
			s.edits, s.lines = s.edits[:0], s.lines[:0]
			return written, err
		}
	}
}

// problem keeps what is wrong with a line.
func (s *Sheet[T]) problem(line int64, err error) error {
	s.problems = append(s.problems, &importer.LineError{File: s.File, Line: line, Err: err})
	if len(s.problems) == maxProblems {
		return errTooMany
	}
	return nil
}

// edit is what a row says.
func (s *Sheet[T]) edit(r importer.TableRow) (masterdata.Edit[T], error) {
	var edit masterdata.Edit[T]
	if !slices.Equal(r.Names, s.names) {
		if err := s.bind(r.Names); err != nil {
			return edit, err
		}
	}
	changes := make([]func(*T), 0, len(r.Values))
	s.ofTenant(&edit.Of)
	for i, f := range s.columns {
		text := r.Values[i]
		if f == nil || f.name == TenantColumn && text == "" {
			continue
		}
		change, err := s.value(f, text)
		if err != nil {
			return edit, err
		}
		if !f.key {
			changes = append(changes, change)
			continue
		}
		change(&edit.Of)
	}
	if s.Place != nil {
		s.Place(&edit.Of, r.Line)
	}
	edit.Change = func(row *T) {
		for _, change := range changes {
			change(row)
		}
	}
	return edit, nil
}

// value is what a text says of a row.
func (s *Sheet[T]) value(f *Field[T], text string) (func(*T), error) {
	if !f.number {
		change, err := f.read(text)
		return change, named(f.name, err)
	}
	plain, ok := s.numbers.Plain(text)
	if !ok && text != "" {
		return nil, fmt.Errorf("%s: want a number, got %.40q%s", f.name, text, hintOf(s.numbers, text))
	}
	change, err := f.read(plain)
	return change, named(f.name, err)
}

func named(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}

// TenantColumn is the column of the tenant; rows without one belong to --tenant.
const TenantColumn = "tenantId"

// ofTenant gives a row to the tenant that the command line names.
func (s *Sheet[T]) ofTenant(row *T) {
	for i := range s.fields {
		if s.fields[i].name == TenantColumn {
			change, _ := s.fields[i].read(s.Tenant) // a text field takes every text
			change(row)
		}
	}
}

// bind finds out what columns mean.
func (s *Sheet[T]) bind(names []string) error {
	s.names, s.columns = slices.Clone(names), make([]*Field[T], len(names))
	for i, name := range names {
		f, err := s.column(name)
		if err != nil {
			return err
		}
		if j := slices.Index(s.columns[:i], f); f != nil && j >= 0 {
			return fmt.Errorf("%q and %q are the same column", names[j], name)
		}
		s.columns[i] = f
	}
	return nil
}

// column is the field that a column is named after; nil for one that is passed over, as one without a name.
func (s *Sheet[T]) column(name string) (*Field[T], error) {
	if name = rowfile.Trim(name); name == "" {
		return nil, nil
	}
	var known []string
	for i := range s.fields {
		if plainName(s.fields[i].name) == plainName(name) {
			return &s.fields[i], nil
		}
		known = append(known, s.fields[i].name)
	}
	if slices.ContainsFunc(s.shown, func(shown string) bool { return plainName(shown) == plainName(name) }) {
		return nil, nil
	}
	hint := cmp.Or(strings.TrimSpace(terminal.SuggestAs(plainName, name, known)), "there are "+strings.Join(known, ", "))
	if strings.ContainsAny(name, ",;\t|") {
		hint = "is another character the --delimiter?"
	}
	return nil, fmt.Errorf("unknown column %q; %s", name, hint)
}
