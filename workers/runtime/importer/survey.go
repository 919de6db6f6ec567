package importer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/composerp/composerp/workers/runtime/importer/extsort"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// survey is what a first reading of the whole file says about it before the first of its rows is imported.
type survey struct {
	sum     [sha256.Size]byte // of the file as it lies on disk
	rows    int64
	repeats *repeats // by the mapping's key; nil where its keys are not counted
	former  *repeats // by all of a row, as version 0.1 counted; nil where that is the key
}

func (s *survey) close() {
	for _, r := range []*repeats{s.repeats, s.former} {
		if r != nil {
			r.close()
		}
	}
}

// surveyEvery is how many rows lie between two calls of a survey's progress function.
const surveyEvery = 16 << 10

// surveyOf reads the file once. It finds the rows that have the key of an earlier one, wherever in the file that
// stands, and a file that is cut off or damaged, while there is still nothing to take back.
func surveyOf(ctx context.Context, s *rowfile.File, m *Mapping, progress func(rows int64)) (*survey, error) {
	rows, err := rowsOf(s, m)
	if err != nil {
		return nil, err
	}
	found := &survey{}
	count := newCounting(m)
	defer count.close()
	for {
		r, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, s.Failure(err, found.rows)
		}
		found.rows++
		if r.Problem == nil && m != nil {
			if err := count.add(r, found.rows); err != nil {
				return nil, err
			}
		}
		if found.rows%surveyEvery == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			progress(found.rows)
		}
	}
	if found.sum, err = s.Finish(); err != nil {
		return nil, err
	}
	return found, count.repeats(found)
}

// counting counts the rows of each key.
type counting struct {
	mapping      *Mapping
	row          *row
	id           identity
	keys, former extsort.Sorter
}

func newCounting(m *Mapping) *counting {
	c := &counting{mapping: m}
	if m != nil {
		c.row = newRow(m)
	}
	return c
}

func (c *counting) close() {
	c.keys.Close()
	c.former.Close()
}

// add counts a row. By the mapping's key only those count that a rule makes an event of: a cancelled row must not
// make the row that stays another one.
func (c *counting) add(r *rowfile.Record, number int64) error {
	c.id.of(r)
	into := &c.former
	if c.mapping.key.whole {
		into = &c.keys
	}
	if err := into.Add(extsort.NewEntry(c.id.key(), number)); err != nil || !c.mapping.key.counted() {
		return err
	}
	c.row.take(r)
	if _, problem := c.mapping.ruleOf(c.row); problem != nil {
		return nil
	}
	if c.id.ofKey(c.row, &c.mapping.key) != nil {
		return nil
	}
	return c.keys.Add(extsort.NewEntry(c.id.key(), number))
}

// repeats goes through what was counted.
func (c *counting) repeats(found *survey) (err error) {
	if c.mapping == nil {
		return nil
	}
	if found.repeats, err = findRepeats(&c.keys); err != nil || c.mapping.key.whole {
		return err
	}
	if found.former, err = findRepeats(&c.former); err != nil {
		found.close()
	}
	return err
}

// repeats tells which occurrence of its content a row is. It is asked for the rows in their order and keeps only the
// next row that is not a first occurrence; the others wait on disk where they are many.
type repeats struct {
	sorter extsort.Sorter
	next   func() (extsort.Entry, error)
	row    int64 // the next row that is not the first of its content; 0 when there are no more
	which  int64 // which one it is
}

// findRepeats goes through all rows by content and keeps those that are not the first of theirs, by row.
func findRepeats(keys *extsort.Sorter) (*repeats, error) {
	byContent, err := keys.Sorted()
	if err != nil {
		return nil, err
	}
	found := &repeats{}
	var before extsort.Entry
	var which int64
	for {
		e, err := byContent()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			found.close()
			return nil, err
		}
		if which == 0 || e.Key() != before.Key() {
			before, which = e, 1
			continue
		}
		which++
		if err := found.sorter.Add(extsort.NewRowEntry(e.Number(), which)); err != nil {
			found.close()
			return nil, err
		}
	}
	if found.next, err = found.sorter.Sorted(); err == nil {
		err = found.step()
	}
	if err != nil {
		found.close()
		return nil, err
	}
	return found, nil
}

// step goes on to the next row that is not the first of its content.
func (r *repeats) step() error {
	e, err := r.next()
	if errors.Is(err, io.EOF) {
		r.row = 0
		return nil
	}
	r.row, r.which = e.Row(), e.Number()
	return err
}

// occurrence says which of the rows with its content this row is, from 1. Rows may be left out, but not asked for
// out of order.
func (r *repeats) occurrence(row int64) (int64, error) {
	for r.row != 0 && r.row < row {
		if err := r.step(); err != nil {
			return 0, err
		}
	}
	if r.row == row {
		return r.which, nil
	}
	return 1, nil
}

func (r *repeats) close() { r.sorter.Close() }
