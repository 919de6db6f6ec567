package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// csvRecords reads CSV as RFC 4180 has it, and leniently where that costs no second reading: a quote inside a field
// that does not begin with one is a character like any other, and lines may end in LF or CRLF.
//
// encoding/csv cannot stand here: a quote that is never closed makes it read the rest of the file into one field, and
// then there is one error for all the rows in it. Here such a row is given up after its first physical line, and the
// next line is read as a row again, so that one bad line costs one line.
type csvRecords struct {
	in     *window
	parser csvParser
	rec    record
}

// newCSVRecords reads the header line, unless the columns are given.
func newCSVRecords(in io.Reader, delimiter byte, columns []string) (*csvRecords, error) {
	c := &csvRecords{in: newWindow(in), parser: csvParser{delimiter: delimiter}}
	if err := c.skipByteOrderMark(); err != nil {
		return nil, err
	}
	if columns == nil {
		header, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty; want a header line with the columns' names")
		}
		if err != nil {
			return nil, err
		}
		if header.problem != nil {
			return nil, fmt.Errorf("reading the header line: %w", header.problem)
		}
		columns = slices.Clone(header.values)
	}
	if err := checkHeader(columns); err != nil {
		return nil, err
	}
	c.rec.names = columns
	c.rec.order = nameOrder(columns)
	c.rec.uniform = true
	return c, nil
}

func (c *csvRecords) skipByteOrderMark() error {
	mark := []byte("\uFEFF")
	for len(c.in.rest()) < len(mark) && !c.in.ended {
		if err := c.in.more(); err != nil {
			return err
		}
	}
	if bytes.HasPrefix(c.in.rest(), mark) {
		c.in.leave(len(mark))
	}
	return nil
}

func checkHeader(columns []string) error {
	for i, name := range columns {
		if slices.Contains(columns[:i], name) {
			return fmt.Errorf("the header has two columns %q; a column must have a name of its own", name)
		}
	}
	return nil
}

// nameOrder lists the indexes of names by name.
func nameOrder(names []string) []int {
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(names[a], names[b]) })
	return order
}

func (c *csvRecords) next() (*record, error) {
	for {
		n, result := c.parser.parse(c.in.rest(), c.in.ended)
		switch {
		case result == csvMore && !c.in.full():
			if err := c.in.more(); err != nil {
				return nil, err
			}
		case result == csvRow && n > maxRow+len("\r\n"):
			return c.giveUp(csvMore)
		case result == csvRow && n == 0:
			return nil, io.EOF
		case result == csvRow && c.parser.blank():
			c.in.leave(n)
		case result == csvRow:
			return c.row(n), nil
		default:
			return c.giveUp(result)
		}
	}
}

// row makes a record of the n bytes just parsed.
func (c *csvRecords) row(n int) *record {
	raw := trimEnd(c.in.rest()[:n])
	c.rec.line, c.rec.problem = c.in.line, checkText(raw)
	c.rec.raw = string(raw)
	c.rec.values = c.parser.values(c.rec.values[:0])
	if want := len(c.rec.names); c.rec.problem == nil && want > 0 && len(c.rec.values) != want {
		c.rec.problem = reject(ReasonFieldCount, "want %d fields as in the header, got %d", want, len(c.rec.values))
	}
	c.in.leave(n)
	return &c.rec
}

// giveUp makes a rejected record of the first physical line, and goes on behind it.
func (c *csvRecords) giveUp(result csvVerdict) (*record, error) {
	c.rec.line, c.rec.values = c.in.line, c.rec.values[:0]
	length, inSight := c.in.lineEnd()
	begin, err := c.in.skipLine()
	if err != nil {
		return nil, err
	}
	c.rec.raw = string(begin)
	switch {
	case result == csvGarbage:
		c.rec.problem = reject(ReasonMalformed, "a quoted field is followed by something other than %q; a quote inside quotes is written twice", c.parser.delimiter)
	case inSight && length <= maxRow+len("\r\n"):
		c.rec.problem = reject(ReasonMalformed, "a quoted field begins on this line and is not closed within %d bytes", maxRow)
	default:
		c.rec.problem = reject(ReasonTooLong, "the row has more than %d bytes", maxRow)
	}
	return &c.rec, nil
}
