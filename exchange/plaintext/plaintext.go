// Package plaintext reads what comes packed by gzip or in UTF-16 as UTF-8 text: files that are imported, and the bodies
// of messages. It is one package so that both take the same.
package plaintext

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encoding is how the characters of a text are written.
type Encoding string

// The encodings that a text's first bytes can tell. UTF8 is that of a text without a mark, too.
const (
	UTF8    Encoding = "UTF-8"
	UTF16LE Encoding = "UTF-16LE"
	UTF16BE Encoding = "UTF-16BE"
	// Windows1252 is told by no byte: its reader must know.
	Windows1252 Encoding = "windows-1252"
)

// Marked returns the encoding that a byte order mark at the beginning of a text says, and the mark's length; UTF8 and
// 0 without a mark.
func Marked(begin []byte) (encoding Encoding, mark int) {
	switch {
	case bytes.HasPrefix(begin, []byte("\xEF\xBB\xBF")):
		return UTF8, 3
	case bytes.HasPrefix(begin, []byte("\xFE\xFF")):
		return UTF16BE, 2
	case bytes.HasPrefix(begin, []byte("\xFF\xFE")):
		return UTF16LE, 2
	}
	return UTF8, 0
}

// Recode reads text of an encoding, without its byte order mark, as UTF-8. Half a pair of surrogates, and half a
// character at the end, become U+FFFD.
func Recode(from io.Reader, encoding Encoding) io.Reader {
	order := unicode.LittleEndian
	switch encoding {
	case Windows1252:
		return transform.NewReader(from, charmap.Windows1252.NewDecoder())
	case UTF16BE:
		order = unicode.BigEndian
	case UTF16LE:
	default:
		return from
	}
	return transform.NewReader(from, unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder())
}

// Text returns a text that begins with a byte order mark, as Windows programs write it, without the mark and in UTF-8.
func Text(text []byte) []byte {
	encoding, mark := Marked(text)
	if encoding == UTF8 {
		return text[mark:]
	}
	recoded, err := io.ReadAll(Recode(bytes.NewReader(text[mark:]), encoding))
	if err != nil { // not of a reader that has it all
		return text
	}
	return recoded
}

// Gunzip unpacks what gzip accepts: one member or several, one behind the other, and zero bytes behind them, which
// backups and block devices pad with. Other bytes behind a member are gzip.ErrHeader.
func Gunzip(packed *bufio.Reader) (io.Reader, error) {
	member, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &members{packed, member}, nil
}

// members reads one member behind the other. The gzip reader takes no byte behind a member, because packed can read
// single bytes.
type members struct {
	packed *bufio.Reader
	member *gzip.Reader
}

func (m *members) Read(b []byte) (int, error) {
	for {
		n, err := m.member.Read(b)
		ended := errors.Is(err, io.EOF)
		if ended && n > 0 {
			return n, nil // the end is asked for again
		}
		if !ended || len(b) == 0 {
			return n, err
		}
		if err := m.skipZeros(); err != nil {
			return 0, err
		}
		if err := m.member.Reset(m.packed); err != nil {
			return 0, err
		}
		m.member.Multistream(false)
	}
}

// skipZeros goes on to the next member; io.EOF when there is none.
func (m *members) skipZeros() error {
	for {
		c, err := m.packed.ReadByte()
		if err != nil {
			return err
		}
		if c != 0 {
			return m.packed.UnreadByte()
		}
	}
}
