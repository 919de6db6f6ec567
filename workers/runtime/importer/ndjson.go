package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonRecords reads one JSON object a line. With takeApart its top-level keys become columns; without, only the line
// is wanted.
type jsonRecords struct {
	in        *window
	takeApart bool
	rec       record
}

func newJSONRecords(in io.Reader, takeApart bool) *jsonRecords {
	return &jsonRecords{in: newWindow(in), takeApart: takeApart}
}

func (j *jsonRecords) next() (*record, error) {
	for {
		n, whole := j.in.lineEnd()
		if !whole && !j.in.full() {
			if err := j.in.more(); err != nil {
				return nil, err
			}
			continue
		}
		if n == 0 {
			return nil, io.EOF
		}
		if line := bytes.TrimSpace(j.in.rest()[:n]); whole && len(line) == 0 {
			j.in.leave(n)
			continue
		}
		return j.row(whole && n <= maxRow)
	}
}

func (j *jsonRecords) row(fits bool) (*record, error) {
	j.rec = record{line: j.in.line, names: j.rec.names[:0], values: j.rec.values[:0]}
	line, err := j.in.skipLine()
	if err != nil {
		return nil, err
	}
	if j.rec.line == 1 {
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	j.rec.raw = string(line)
	if !fits {
		j.rec.problem = reject(ReasonTooLong, "the row has more than %d bytes", maxRow)
		return &j.rec, nil
	}
	j.rec.problem = checkText(line)
	if j.rec.problem == nil && j.takeApart {
		if err := j.columns(line); err != nil {
			j.rec.problem = reject(ReasonMalformed, "%s", err)
		}
	}
	return &j.rec, nil
}

// columns takes an object apart. A key that stands in it twice has no one meaning and is refused.
func (j *jsonRecords) columns(line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errors.New("want a JSON object on the line")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return jsonFault(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return jsonFault(err)
		}
		text, err := columnText(value)
		if err != nil {
			return fmt.Errorf("reading %q: %w", key, err)
		}
		name, _ := key.(string) // inside an object the decoder gives nothing else
		j.rec.names, j.rec.values = append(j.rec.names, name), append(j.rec.values, text)
	}
	if _, err := d.Token(); err != nil {
		return jsonFault(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the JSON object")
	}
	j.rec.order = nameOrder(j.rec.names)
	for i := 1; i < len(j.rec.order); i++ {
		if name := j.rec.names[j.rec.order[i]]; name == j.rec.names[j.rec.order[i-1]] {
			return fmt.Errorf("the key %q stands there twice", name)
		}
	}
	return nil
}

// jsonFault says what is wrong with a line, so that it can be corrected.
func jsonFault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the line ends inside of the JSON object")
	}
	return fmt.Errorf("reading JSON: %w", err)
}

// columnText gives a value as a column: a string's content, a number as it is written, nothing for null, and objects
// and arrays as JSON without spaces.
func columnText(value json.RawMessage) (string, error) {
	switch value[0] {
	case '"':
		var s string
		err := json.Unmarshal(value, &s)
		return s, err
	case 'n':
		return "", nil
	case '{', '[':
		var b bytes.Buffer
		err := json.Compact(&b, value)
		return b.String(), err
	default:
		return string(value), nil
	}
}
