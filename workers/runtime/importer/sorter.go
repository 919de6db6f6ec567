package importer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

const (
	// runLength is how many entries are sorted in memory; more go to disk in sorted runs. 6 MiB.
	runLength = 1 << 18
	// fanIn is how many runs are merged at once, each through a buffer of mergeBuffer.
	fanIn       = 64
	mergeBuffer = 32 << 10
)

// entry is what is sorted: a key, and behind it a number, big endian, so that bytes compare as the pair does.
type entry [24]byte

func newEntry(key [16]byte, n int64) (e entry) {
	copy(e[:], key[:])
	binary.BigEndian.PutUint64(e[16:], uint64(n))
	return e
}

// newRowEntry is an entry that sorts by row.
func newRowEntry(row, n int64) entry {
	var key [16]byte
	binary.BigEndian.PutUint64(key[:], uint64(row))
	return newEntry(key, n)
}

func (e entry) row() int64    { return int64(binary.BigEndian.Uint64(e[:8])) }
func (e entry) key() [16]byte { return [16]byte(e[:16]) }
func (e entry) number() int64 { return int64(binary.BigEndian.Uint64(e[16:])) }

// sorter puts any number of entries in order, in memory that does not grow with them. Its files have no name, so
// that nothing is left of them however the process ends.
type sorter struct {
	run   []entry
	limit int // entries of a run
	files []*os.File
}

func newSorter() *sorter { return &sorter{limit: runLength} }

func (s *sorter) add(e entry) error {
	if len(s.run) == s.limit {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.run = append(s.run, e)
	return nil
}

func compareEntries(a, b entry) int { return bytes.Compare(a[:], b[:]) }

// spill writes what is in memory to disk, in order.
func (s *sorter) spill() error {
	slices.SortFunc(s.run, compareEntries)
	i := 0
	err := s.write(func() (entry, error) {
		if i == len(s.run) {
			return entry{}, io.EOF
		}
		i++
		return s.run[i-1], nil
	})
	s.run = s.run[:0]
	return err
}

// write makes a run on disk of what next gives.
func (s *sorter) write(next func() (entry, error)) error {
	file, err := os.CreateTemp("", "composerp-import-")
	if err != nil {
		return fmt.Errorf("making a file to sort in: %w", err)
	}
	s.files = append(s.files, file)
	if err := os.Remove(file.Name()); err != nil {
		return fmt.Errorf("taking the name off a file to sort in: %w", err)
	}
	out := bufio.NewWriterSize(file, mergeBuffer)
	for {
		e, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := out.Write(e[:]); err != nil {
			return fmt.Errorf("writing a file to sort in: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing a file to sort in: %w", err)
	}
	return nil
}

// sorted gives the entries in order, and io.EOF behind the last. Nothing is added after it.
func (s *sorter) sorted() (func() (entry, error), error) {
	if len(s.files) == 0 {
		slices.SortFunc(s.run, compareEntries)
		rest := s.run
		return func() (e entry, err error) {
			if len(rest) == 0 {
				return e, io.EOF
			}
			e, rest = rest[0], rest[1:]
			return e, nil
		}, nil
	}
	if err := s.spill(); err != nil {
		return nil, err
	}
	s.run = nil
	for len(s.files) > fanIn {
		merged, err := merge(s.files[:fanIn])
		if err != nil {
			return nil, err
		}
		if err := s.write(merged); err != nil {
			return nil, err
		}
		closeAll(s.files[:fanIn])
		s.files = s.files[fanIn:]
	}
	return merge(s.files)
}

func (s *sorter) close() { closeAll(s.files) }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// head is the entry a run comes next with.
type head struct {
	entry entry
	from  *bufio.Reader
}

func (h *head) advance() error {
	_, err := io.ReadFull(h.from, h.entry[:])
	return err
}

// merge gives the entries of sorted runs in one order.
func merge(files []*os.File) (func() (entry, error), error) {
	heads := make([]*head, 0, len(files))
	for _, f := range files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("reading a file to sort in: %w", err)
		}
		h := &head{from: bufio.NewReaderSize(f, mergeBuffer)}
		if err := h.advance(); err == nil {
			heads = append(heads, h)
		} else if !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading a file to sort in: %w", err)
		}
	}
	return func() (entry, error) {
		if len(heads) == 0 {
			return entry{}, io.EOF
		}
		least := 0
		for i := range heads {
			if compareEntries(heads[i].entry, heads[least].entry) < 0 {
				least = i
			}
		}
		e := heads[least].entry
		switch err := heads[least].advance(); {
		case errors.Is(err, io.EOF):
			heads = slices.Delete(heads, least, least+1)
		case err != nil:
			return e, fmt.Errorf("reading a file to sort in: %w", err)
		}
		return e, nil
	}, nil
}
