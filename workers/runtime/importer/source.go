package importer

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
)

// source is the file that is imported. It is read twice, from the same open file, so that a file put in its place
// meanwhile changes nothing.
type source struct {
	name   string
	file   *os.File
	size   int64
	read   int64     // bytes of the file read so far
	digest hash.Hash // of those bytes
}

func openSource(name string) (*source, error) {
	if kind, _ := formatOf(name); kind == "" {
		return nil, fmt.Errorf("reading %s: want a file whose name ends in .csv, .csv.gz, .ndjson or .ndjson.gz", name)
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
	return &source{name: name, file: file, size: info.Size()}, nil
}

func (s *source) close() { s.file.Close() }

// formatOf gives csv or ndjson by the file's name, "" for neither, and whether it is compressed.
func formatOf(name string) (kind string, compressed bool) {
	plain := strings.ToLower(name)
	plain, compressed = strings.CutSuffix(plain, ".gz")
	switch {
	case strings.HasSuffix(plain, ".csv"):
		return "csv", compressed
	case strings.HasSuffix(plain, ".ndjson"):
		return "ndjson", compressed
	}
	return "", compressed
}

// Read counts what is read of the file, as it lies on disk.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.file.Read(b)
	s.read += int64(n)
	s.digest.Write(b[:n])
	return n, err
}

// rewind goes back to the file's beginning.
func (s *source) rewind() error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading %s: %w", s.name, err)
	}
	s.read, s.digest = 0, sha256.New()
	return nil
}

// records begins to read the file from its beginning.
func (s *source) records(m *Mapping) (records, error) {
	if m == nil {
		if kind, _ := formatOf(s.name); kind == "csv" {
			return nil, fmt.Errorf("reading %s: a CSV file needs a mapping that says what its columns mean", s.name)
		}
		return s.open(false, 0, nil, nil)
	}
	return s.open(true, m.input.delimiter, m.input.columns, func(header []string) error {
		if err := m.checkColumns(header); err != nil {
			return fmt.Errorf("reading %s: %w", s.name, err)
		}
		return nil
	})
}

// open begins to read rows. The columns of a CSV file are given to header first, where it is not nil.
func (s *source) open(takeApart bool, delimiter byte, columns []string, header func(names []string) error) (records, error) {
	if err := s.rewind(); err != nil {
		return nil, err
	}
	kind, compressed := formatOf(s.name)
	in, err := s.decompress(compressed)
	if err != nil {
		return nil, err
	}
	if kind == "ndjson" {
		return newJSONRecords(in, takeApart), nil
	}
	c, err := newCSVRecords(in, delimiter, columns)
	if err != nil {
		return nil, s.failure(err, 0)
	}
	if header != nil {
		if err := header(c.rec.names); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s *source) decompress(compressed bool) (io.Reader, error) {
	in := bufio.NewReaderSize(s, 128<<10)
	begin, err := in.Peek(2)
	packed := len(begin) == 2 && begin[0] == 0x1f && begin[1] == 0x8b
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	case packed && !compressed:
		return nil, fmt.Errorf("reading %s: the file is compressed by gzip; its name must end in .gz", s.name)
	case !compressed:
		return in, nil
	case !packed:
		return nil, fmt.Errorf("reading %s: the file is not compressed by gzip, though its name ends in .gz", s.name)
	}
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	}
	return unpacked, nil
}

// failure says in words what broke while the file was read.
func (s *source) failure(err error, rows int64) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading %s: the compressed file is cut off after row %d: %w", s.name, rows, err)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("reading %s: the compressed file is damaged after row %d: %w", s.name, rows, err)
	}
	return fmt.Errorf("reading %s after row %d: %w", s.name, rows, err)
}

// finish reads what the decompressor left and gives the digest of the whole file.
func (s *source) finish() ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	if _, err := io.Copy(io.Discard, s); err != nil {
		return sum, fmt.Errorf("reading %s: %w", s.name, err)
	}
	return [sha256.Size]byte(s.digest.Sum(sum[:0])), nil
}
