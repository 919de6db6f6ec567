package rowfile

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
	rec       Record
}

func newJSONRecords(in io.Reader, takeApart bool) *jsonRecords {
	return &jsonRecords{in: newWindow(in), takeApart: takeApart}
}

func (j *jsonRecords) Next() (*Record, error) {
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

func (j *jsonRecords) row(fits bool) (*Record, error) {
	j.rec = Record{Line: j.in.line, Names: j.rec.Names[:0], Values: j.rec.Values[:0]}
	line, err := j.in.skipLine()
	if err != nil {
		return nil, err
	}
	j.rec.Raw = string(line)
	if !fits {
		j.rec.Problem = Reject(ReasonTooLong, "the row has more than %d bytes", maxRow)
		return &j.rec, nil
	}
	j.rec.Problem = checkText(line)
	if j.rec.Problem == nil && j.takeApart {
		if err := j.columns(line); err != nil {
			j.rec.Problem = Reject(ReasonMalformed, "%s", err)
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
		j.rec.Names, j.rec.Values = append(j.rec.Names, name), append(j.rec.Values, text)
	}
	if _, err := d.Token(); err != nil {
		return jsonFault(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the JSON object")
	}
	j.rec.Order = nameOrder(j.rec.Names)
	for i := 1; i < len(j.rec.Order); i++ {
		if name := j.rec.Names[j.rec.Order[i]]; name == j.rec.Names[j.rec.Order[i-1]] {
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
