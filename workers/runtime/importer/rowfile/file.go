package rowfile

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/plaintext"
)

// Names says in words which files are read.
const Names = ".csv, .tsv, .txt or .ndjson, each also with .gz, or .xlsx"

// File is a file of rows. It may be read several times, from the same open file, so that a file put in its place
// meanwhile changes nothing.
type File struct {
	name    string
	file    *os.File
	size    int64
	read    int64     // bytes of the file read so far
	digest  hash.Hash // of those bytes
	found   Found
	book    *workbook // of the reading in hand
	checked bool      // the workbook's parts are whole
}

// Open opens a file by the form that its name says, in letters of any case. It must be a regular file.
func Open(name string) (*File, error) {
	kind, _ := KindOf(name)
	if kind == "" {
		return nil, fmt.Errorf("reading %s: want a file whose name ends in %s", name, Names)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the file: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("reading %s: want a regular file, because it is read twice", name)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &File{name: name, file: file, size: info.Size()}, nil
}

// Close closes the file.
func (s *File) Close() {
	s.closeBook()
	s.file.Close()
}

func (s *File) closeBook() {
	if s.book != nil {
		s.book.close()
		s.book = nil
	}
}

// Name is the file's name as it was opened.
func (s *File) Name() string { return s.name }

// Size is the file's size in bytes, as it lies on disk.
func (s *File) Size() int64 { return s.size }

// Done is how many bytes of the file the reading in hand has read.
func (s *File) Done() int64 { return s.read }

// Found is what the file has turned out to be in the reading in hand.
func (s *File) Found() Found { return s.found }

// The kinds of files.
const (
	KindCSV    = "csv"
	KindNDJSON = "ndjson"
	KindXLSX   = "xlsx"
)

// KindOf gives the kind of a file by its name, "" for none that is read, and whether it is packed by gzip.
func KindOf(name string) (kind string, packed bool) {
	plain := strings.ToLower(name)
	if strings.HasSuffix(plain, ".xlsx") {
		return KindXLSX, false
	}
	plain, packed = strings.CutSuffix(plain, ".gz")
	for suffix, kind := range map[string]string{".csv": KindCSV, ".tsv": KindCSV, ".txt": KindCSV, ".ndjson": KindNDJSON} {
		if strings.HasSuffix(plain, suffix) {
			return kind, packed
		}
	}
	return "", packed
}

// Read counts what is read of the file, as it lies on disk.
func (s *File) Read(b []byte) (int, error) {
	n, err := s.file.Read(b)
	s.read += int64(n)
	s.digest.Write(b[:n])
	return n, err
}

// rewind goes back to the file's beginning.
func (s *File) rewind() error {
	s.closeBook()
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading %s: %w", s.name, err)
	}
	s.read, s.digest, s.found = 0, sha256.New(), Found{}
	return nil
}

// Rows begins to read the file from its beginning. takeApart makes columns of the keys of NDJSON; without it only the
// lines are wanted. The columns of the other kinds are given to header, where it is not nil; its error ends the
// reading.
func (s *File) Rows(f Format, takeApart bool, header func(names []string) error) (Records, error) {
	if header == nil {
		header = func([]string) error { return nil }
	}
	if err := s.rewind(); err != nil {
		return nil, err
	}
	kind, packed := KindOf(s.name)
	s.found.Kind, s.found.Packed = kind, packed
	if kind == KindXLSX {
		return s.workbookRows(f, header)
	}
	in, err := s.unpack(packed)
	if err != nil {
		return nil, err
	}
	text, err := s.text(in, kind == KindCSV, plaintext.Encoding(f.Encoding))
	if err != nil {
		return nil, s.Failure(err, 0)
	}
	if kind == KindNDJSON {
		return newJSONRecords(text, takeApart), nil
	}
	var refused error // in the words of the caller
	c, err := newCSVRecords(text, f, func(names []string) error {
		refused = header(names)
		return refused
	})
	if err != nil && err == refused { //nolint:errorlint // the same one is meant
		return nil, err
	}
	if err != nil {
		return nil, s.Failure(err, 0)
	}
	s.found.Delimiter, s.found.Header = string(c.parser.delimiter), c.rec.Names
	return c, nil
}

func (s *File) unpack(packed bool) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(s, 128<<10)
	begin, err := in.Peek(2)
	gzipped := len(begin) == 2 && begin[0] == 0x1f && begin[1] == 0x8b
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	case gzipped && !packed:
		return nil, fmt.Errorf("reading %s: the file is compressed by gzip; its name must end in .gz", s.name)
	case string(begin) == "PK" && !packed:
		return nil, fmt.Errorf("reading %s: the file is a zip archive; unpack it, or name it .xlsx if it is a workbook", s.name)
	case !packed:
		return in, nil
	case !gzipped:
		return nil, fmt.Errorf("reading %s: the file is not compressed by gzip, though its name ends in .gz", s.name)
	}
	unpacked, err := plaintext.Gunzip(in)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	}
	return bufio.NewReaderSize(unpacked, 64<<10), nil
}

// text reads the file as UTF-8 with line feeds. A NUL beside the first character is UTF-16 without a mark, because
// neither CSV nor JSON begins with one. told is the encoding of a text that says nothing of itself. quotes: a return
// inside of them ends no line.
func (s *File) text(in *bufio.Reader, quotes bool, told plaintext.Encoding) (io.Reader, error) {
	begin, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	encoding, mark := plaintext.Marked(begin)
	switch {
	case mark > 0 || len(begin) < 2:
	case begin[0] != 0 && begin[1] == 0:
		encoding = plaintext.UTF16LE
	case begin[0] == 0 && begin[1] != 0:
		encoding = plaintext.UTF16BE
	case told != "":
		encoding = told
	}
	s.found.Encoding = string(encoding)
	if _, err := in.Discard(mark); err != nil {
		return nil, err
	}
	if encoding != plaintext.UTF8 {
		in = bufio.NewReaderSize(&checked{from: plaintext.Recode(in, encoding)}, 64<<10)
	}
	// The beginning is enough: a file has one kind of line end. What breaks behind it is told when it is read.
	some, _ := in.Peek(32 << 10)
	if returnsAlone(some, quotes) {
		s.found.LineEnds = "CR"
		return &lineFeeds{from: in}, nil
	}
	return in, nil
}

// Failure says in words what broke while the file was read.
func (s *File) Failure(err error, rows int64) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading %s: the compressed file is cut off after row %d: %w", s.name, rows, err)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("reading %s: the compressed file is damaged after row %d: %w", s.name, rows, err)
	}
	return fmt.Errorf("reading %s after row %d: %w", s.name, rows, err)
}

// Finish reads what the decompressor left and gives the digest of the whole file.
func (s *File) Finish() ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	if _, err := io.Copy(io.Discard, s); err != nil {
		return sum, fmt.Errorf("reading %s: %w", s.name, err)
	}
	return [sha256.Size]byte(s.digest.Sum(sum[:0])), nil
}

// Serial gives the time on the clock, in UTC, of a number that Excel keeps for it; false when the file is no workbook
// or the text no such number.
func (s *File) Serial(text string) (time.Time, bool) {
	if s.book == nil {
		return time.Time{}, false
	}
	return s.book.serial(text)
}
