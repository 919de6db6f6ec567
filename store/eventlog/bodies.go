package eventlog

import (
	"database/sql/driver"
	"errors"
	"strings"
)

// bodies are JSON texts joined by a character that JSON cannot contain (RFC 8259, 7: control characters are escaped
// in strings, and not white space outside them). string_to_array($n, splitBodies) splits them in SQL. As elements of
// an array, each of their many quotes would be escaped here and unescaped there.
type bodies [][]byte

const (
	bodySeparator = "\x1e"
	// splitBodies is the separator as SQL writes it.
	splitBodies = `E'\x1e'`
)

var errNoJSON = errors.New("an event's body holds a control character, so it is not JSON")

// Value implements driver.Valuer.
func (b bodies) Value() (driver.Value, error) {
	size := 0
	for _, body := range b {
		size += len(body) + 1
	}
	var joined strings.Builder
	joined.Grow(size)
	for i, body := range b {
		if i > 0 {
			joined.WriteString(bodySeparator)
		}
		joined.Write(body)
	}
	if strings.Count(joined.String(), bodySeparator) != len(b)-1 {
		return nil, errNoJSON
	}
	return joined.String(), nil
}
