package rowfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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
	rec    Record
}

// newCSVRecords reads Excel's line sep=; and the header line, unless the columns are given. header may refuse columns:
// where the delimiter is not known, the first is taken with which it does not.
func newCSVRecords(in io.Reader, f Format, header func(names []string) error) (*csvRecords, error) {
	c := &csvRecords{in: newWindow(in), parser: csvParser{delimiter: f.Delimiter}}
	if err := c.readSeparator(); err != nil {
		return nil, err
	}
	known := c.parser.delimiter != 0
	if !known {
		c.parser.delimiter = ','
	}
	columns := f.Columns
	if columns == nil {
		first, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty; want a header line with the columns' names")
		}
		if err != nil {
			return nil, err
		}
		if columns, err = c.header(first, known, header); err != nil {
			return nil, err
		}
	} else if err := header(columns); err != nil {
		return nil, err
	}
	c.rec.Names = columns
	c.rec.Order = nameOrder(columns)
	c.rec.Uniform = true
	return c, nil
}

// header gives the columns of the first row. Of several delimiters that header refuses, the one with the most fields
// is that of the error.
func (c *csvRecords) header(first *Record, known bool, header func([]string) error) ([]string, error) {
	tried := []byte(delimiters)
	if known {
		tried = []byte{c.parser.delimiter}
	}
	var most []string
	var refusal error
	for _, delimiter := range tried {
		names, err := headerNames(first, delimiter, header)
		if err == nil {
			c.parser.delimiter = delimiter
			return names, nil
		}
		if refusal == nil || len(names) > len(most) {
			most, refusal = names, err
		}
	}
	return nil, refusal
}

func headerNames(first *Record, delimiter byte, header func([]string) error) ([]string, error) {
	p := csvParser{delimiter: delimiter}
	if _, result := p.parse([]byte(first.Raw), true); result != csvRow || first.Problem != nil && first.Problem.Reason != ReasonMalformed {
		problem := first.Problem
		if problem == nil {
			problem = Reject(ReasonMalformed, "it is no CSV with the delimiter %q", delimiter)
		}
		return nil, fmt.Errorf("reading the header line: %w", problem)
	}
	names := p.values(nil)
	if err := checkHeader(names); err != nil {
		return names, err
	}
	return names, header(names)
}

// readSeparator takes Excel's own first line, sep=; with the delimiter in it, for what it is. It stands above what the
// Format says: Excel writes it where it has used that delimiter.
func (c *csvRecords) readSeparator() error {
	n, whole := c.in.lineEnd()
	for !whole && n < len("\"sep=;\"\r\n") {
		if err := c.in.more(); err != nil {
			return err
		}
		n, whole = c.in.lineEnd()
	}
	line := bytes.Trim(trimEnd(c.in.rest()[:n]), `"`)
	if whole && len(line) == len("sep=;") && bytes.EqualFold(line[:4], []byte("sep=")) {
		c.parser.delimiter = line[4]
		c.in.leave(n)
	}
	return nil
}

func (c *csvRecords) Next() (*Record, error) {
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
func (c *csvRecords) row(n int) *Record {
	raw := trimEnd(c.in.rest()[:n])
	c.rec.Line, c.rec.Problem = c.in.line, checkText(raw)
	c.rec.Raw = string(raw)
	c.rec.Values = c.parser.values(c.rec.Values[:0])
	c.rec.fit()
	c.in.leave(n)
	return &c.rec
}

// giveUp makes a rejected record of the first physical line, and goes on behind it.
func (c *csvRecords) giveUp(result csvVerdict) (*Record, error) {
	c.rec.Line, c.rec.Values = c.in.line, c.rec.Values[:0]
	length, inSight := c.in.lineEnd()
	begin, err := c.in.skipLine()
	if err != nil {
		return nil, err
	}
	c.rec.Raw = string(begin)
	switch {
	case result == csvGarbage:
		c.rec.Problem = Reject(ReasonMalformed, "a quoted field is followed by something other than %q; a quote inside quotes is written twice", c.parser.delimiter)
	case inSight && length <= maxRow+len("\r\n"):
		c.rec.Problem = Reject(ReasonMalformed, "a quoted field begins on this line and is not closed within %d bytes", maxRow)
	default:
		c.rec.Problem = Reject(ReasonTooLong, "the row has more than %d bytes", maxRow)
	}
	return &c.rec, nil
}
