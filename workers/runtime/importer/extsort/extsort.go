// Package extsort sorts more entries than fit in memory: sorted runs go to disk and are merged.
//
// Memory does not grow with the entries. The files of the runs have no name, so that nothing is left of them however
// the process ends.
package extsort

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

const (
	// DefaultRunLength is how many entries are sorted in memory, 6 MiB; more go to disk in sorted runs.
	DefaultRunLength = 1 << 18
	// fanIn is how many runs are merged at once, each through a buffer of mergeBuffer.
	fanIn       = 64
	mergeBuffer = 32 << 10
)

// Entry is what is sorted: a key, and after it a number, big endian, so that bytes compare as the pair does.
type Entry [24]byte

// NewEntry is an Entry that sorts by key, and under one key by n.
func NewEntry(key [16]byte, n int64) (e Entry) {
	copy(e[:], key[:])
	binary.BigEndian.PutUint64(e[16:], uint64(n))
	return e
}

// NewRowEntry is an Entry that sorts by row, and of one row by n.
func NewRowEntry(row, n int64) Entry {
	var key [16]byte
	binary.BigEndian.PutUint64(key[:], uint64(row))
	return NewEntry(key, n)
}

// Row is the row of an Entry that NewRowEntry made.
func (e Entry) Row() int64 { return int64(binary.BigEndian.Uint64(e[:8])) }

// Key is the key of an Entry that NewEntry made.
func (e Entry) Key() [16]byte { return [16]byte(e[:16]) }

// Number is the n it was made with.
func (e Entry) Number() int64 { return int64(binary.BigEndian.Uint64(e[16:])) }

// Sorter puts entries in order. Its zero value is ready; it must be closed.
type Sorter struct {
	RunLength int // entries sorted in memory; 0: DefaultRunLength

	run   []Entry
	files []*os.File
}

// Add adds an entry.
func (s *Sorter) Add(e Entry) error {
	if len(s.run) == cmp.Or(s.RunLength, DefaultRunLength) {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.run = append(s.run, e)
	return nil
}

func compareEntries(a, b Entry) int { return bytes.Compare(a[:], b[:]) }

// spill writes what is in memory to disk, in order.
func (s *Sorter) spill() error {
	slices.SortFunc(s.run, compareEntries)
	i := 0
	err := s.write(func() (Entry, error) {
		if i == len(s.run) {
			return Entry{}, io.EOF
		}
		i++
		return s.run[i-1], nil
	})
	s.run = s.run[:0]
	return err
}

// write makes a run on disk of what next gives.
func (s *Sorter) write(next func() (Entry, error)) error {
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

// Sorted gives the entries in order, and io.EOF behind the last. Nothing is added after it.
func (s *Sorter) Sorted() (func() (Entry, error), error) {
	if len(s.files) == 0 {
		slices.SortFunc(s.run, compareEntries)
		rest := s.run
		return func() (e Entry, err error) {
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

// Close lets go of the files.
func (s *Sorter) Close() { closeAll(s.files) }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// head is a run and its next entry.
type head struct {
	entry Entry
	from  *bufio.Reader
}

func (h *head) advance() error {
	_, err := io.ReadFull(h.from, h.entry[:])
	return err
}

// merge gives the entries of sorted runs in one order.
func merge(files []*os.File) (func() (Entry, error), error) {
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
	return func() (Entry, error) {
		if len(heads) == 0 {
			return Entry{}, io.EOF
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
