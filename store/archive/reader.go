package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// ErrDamaged means that a file is not the one that was written, or is not there.
var ErrDamaged = errors.New("the archive is not as it was written")

// damaged says what is wrong with a file, and what to do.
func damaged(path, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w; put back a copy of the file, then `composerp log archive verify`", path, fmt.Sprintf(format, args...), ErrDamaged)
}

// File is an archive's file, open for reading. It is for one goroutine.
type File struct {
	path    string
	file    *os.File
	decoder *zstd.Decoder
	frames  []frame
	// rows are those of the frame that was read last.
	rows []Row
	read int // its number
}

// OpenFile opens a file and reads its index.
func OpenFile(path string) (*File, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, damaged(path, "the file is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("opening an archive: %w", err)
	}
	a := &File{path: path, file: f, read: -1}
	if err = a.readIndex(); err == nil {
		a.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

// Close closes the file.
func (a *File) Close() error {
	a.decoder.Close()
	return a.file.Close()
}

func (a *File) readIndex() error {
	size, err := a.file.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("reading an archive: %w", err)
	}
	tail := make([]byte, tailBytes)
	if size < int64(8+tailBytes) {
		return damaged(a.path, "it has %d bytes, and no index", size)
	}
	if _, err := a.file.ReadAt(tail, size-int64(tailBytes)); err != nil {
		return fmt.Errorf("reading an archive: %w", err)
	}
	length := int64(binary.LittleEndian.Uint32(tail))
	begins := size - int64(tailBytes) - length
	if string(tail[4:]) != tag || begins < 8 {
		return damaged(a.path, "it does not end with an index: it was cut")
	}
	index := make([]byte, length)
	if _, err := a.file.ReadAt(index, begins); err != nil {
		return fmt.Errorf("reading an archive: %w", err)
	}
	if err := json.Unmarshal(index, &a.frames); err != nil {
		return damaged(a.path, "its index is no JSON")
	}
	at, last := int64(0), int64(-1)
	for _, f := range a.frames {
		if f.Offset != at || f.Length <= 0 || f.Length > 2*frameBytes+(4<<20) || f.Rows < 1 || f.Rows > frameRows || f.First <= last || f.Last < f.First {
			return damaged(a.path, "its index does not fit")
		}
		at, last = at+f.Length, f.Last
	}
	if at != begins-8 {
		return damaged(a.path, "its index ends at %d, and its frames at %d", at, begins-8)
	}
	return nil
}

// digest reads the whole file.
func (a *File) digest() (sum Digest, size int64, err error) {
	if _, err = a.file.Seek(0, io.SeekStart); err != nil {
		return sum, 0, fmt.Errorf("reading an archive: %w", err)
	}
	return DigestOf(a.file)
}

// DigestOf reads to the end, and gives the digest and the length of what was read.
func DigestOf(file io.Reader) (sum Digest, size int64, err error) {
	h := sha256.New()
	if size, err = io.Copy(h, file); err != nil {
		return sum, size, fmt.Errorf("reading an archive: %w", err)
	}
	h.Sum(sum[:0])
	return sum, size, nil
}

// load reads a frame, unless it is the one that was read last.
func (a *File) load(i int) error {
	if i == a.read {
		return nil
	}
	f := a.frames[i]
	packed := make([]byte, f.Length)
	if _, err := a.file.ReadAt(packed, f.Offset); err != nil {
		return fmt.Errorf("reading an archive: %w", err)
	}
	raw, err := a.decoder.DecodeAll(packed, nil)
	if err != nil {
		return damaged(a.path, "its frame of positions %d to %d cannot be unpacked (%v)", f.First, f.Last, err)
	}
	a.read, a.rows = -1, slices.Grow(a.rows[:0], f.Rows)[:f.Rows]
	clear(a.rows)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	for n := range a.rows {
		if err := decoder.Decode(&a.rows[n]); err != nil {
			return damaged(a.path, "line %d of its frame of positions %d to %d is no event (%v)", n+1, f.First, f.Last, err)
		}
		if r := &a.rows[n]; r.Seq < f.First || r.Seq > f.Last || n > 0 && r.Seq <= a.rows[n-1].Seq {
			return damaged(a.path, "position %d stands in its frame of positions %d to %d", r.Seq, f.First, f.Last)
		}
	}
	a.read = i
	return nil
}

// Frames hands on the rows past one position and up to another, a frame's at a time; reverse begins with the last
// frame, and with the last row of each. The rows are the caller's.
func (a *File) Frames(after, upto int64, reverse bool, take func([]Row) error) error {
	first, _ := slices.BinarySearchFunc(a.frames, after, func(f frame, after int64) int {
		if f.Last <= after {
			return -1
		}
		return 1
	})
	end := first
	for end < len(a.frames) && a.frames[end].First <= upto {
		end++
	}
	for n := range end - first {
		i := first + n
		if reverse {
			i = end - 1 - n
		}
		if err := a.load(i); err != nil {
			return err
		}
		low, high := a.past(after), a.past(upto)
		rows := slices.Clone(a.rows[low:max(low, high)])
		if reverse {
			slices.Reverse(rows)
		}
		if len(rows) == 0 {
			continue
		}
		if err := take(rows); err != nil {
			return err
		}
	}
	return nil
}

// past is the number of the first row, of those in hand, past a position.
func (a *File) past(seq int64) int {
	n, found := slices.BinarySearchFunc(a.rows, seq, func(r Row, seq int64) int { return cmp.Compare(r.Seq, seq) })
	if found {
		n++
	}
	return n
}
