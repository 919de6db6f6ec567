package rowfile

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// returnsAlone says whether returns without line feeds end the lines of a text that begins so.
func returnsAlone(begin []byte, quotes bool) bool {
	returns, quoted := 0, false
	for i, c := range begin {
		switch {
		case c == '"' && quotes:
			quoted = !quoted
		case quoted:
		case c == '\n':
			return false
		case c == '\r' && i+1 < len(begin) && begin[i+1] != '\n', c == '\r' && i+1 == len(begin):
			returns++
		}
	}
	return returns > 0
}

// lineFeeds reads a text with a line feed in place of each return, and of each return with a line feed behind it.
type lineFeeds struct {
	from   io.Reader
	behind bool // the last byte was a return
}

func (l *lineFeeds) Read(b []byte) (int, error) {
	for {
		n, err := l.from.Read(b)
		kept := b[:0]
		for _, c := range b[:n] {
			if c != '\n' || !l.behind {
				kept = append(kept, c)
			}
			l.behind = c == '\r'
		}
		returnsToFeeds(kept)
		if len(kept) > 0 || n == 0 || err != nil {
			return len(kept), err
		}
	}
}

func returnsToFeeds(b []byte) {
	for i, c := range b {
		if c == '\r' {
			b[i] = '\n'
		}
	}
}

// errHalves ends the reading of UTF-16 that is damaged: where a byte is missing, all behind it is something else.
var errHalves = errors.New("the text in UTF-16 is damaged: a character is cut in two")

// checked refuses recoded text with U+FFFD, the sign of what could not be recoded.
type checked struct {
	from io.Reader
	tail []byte // the end of what was read before, shorter than the sign
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.tail = append(c.tail, b[:n]...)
	if bytes.ContainsRune(c.tail, utf8.RuneError) {
		return 0, errHalves
	}
	c.tail = append(c.tail[:0], c.tail[max(0, len(c.tail)-2):]...)
	return n, err
}
