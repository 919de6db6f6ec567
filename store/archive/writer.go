package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// A frame is bounded by both.
	frameRows  = 1000
	frameBytes = 2 << 20

	// The index stands in a frame of its own that decoders skip (RFC 8878, 3.1.2), and ends with its length and tag.
	skippable = 0x184D2A5E
	tag       = "cmp-idx1"
	tailBytes = 4 + len(tag)
)

// frame is a part of the file: the positions of its first and last line, and where its bytes are.
type frame struct {
	First  int64 `json:"first"`
	Last   int64 `json:"last"`
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
	Rows   int   `json:"rows"`
}

// Writer writes an archive's file. Equal rows give equal bytes.
type Writer struct {
	to      io.Writer
	sum     hash.Hash
	encoder *zstd.Encoder
	frames  []frame
	lines   []byte
	open    frame // of the lines
	written Written
}

// Written is what a file has.
type Written struct {
	Events   int64  `json:"events"`
	FirstSeq int64  `json:"firstSeq"` // 0 without an event
	LastSeq  int64  `json:"lastSeq"`
	Bytes    int64  `json:"bytes"`
	RawBytes int64  `json:"-"`
	FileSHA  Digest `json:"sha256"`
}

// NewWriter begins a file.
func NewWriter(to io.Writer) (*Writer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("beginning an archive: %w", err)
	}
	return &Writer{to: to, sum: sha256.New(), encoder: encoder}, nil
}

// Add writes a row. Rows come in the order of their positions.
func (w *Writer) Add(r *Row) (err error) {
	if r.Seq <= w.written.LastSeq && w.written.Events > 0 {
		return fmt.Errorf("writing an archive: position %d comes after position %d", r.Seq, w.written.LastSeq)
	}
	if w.lines, err = r.line(w.lines); err != nil {
		return err
	}
	if w.open.Rows == 0 {
		w.open.First = r.Seq
	}
	if w.written.Events == 0 {
		w.written.FirstSeq = r.Seq
	}
	w.open.Last, w.written.LastSeq = r.Seq, r.Seq
	w.open.Rows++
	w.written.Events++
	if w.open.Rows == frameRows || len(w.lines) >= frameBytes {
		return w.flush()
	}
	return nil
}

func (w *Writer) flush() error {
	if w.open.Rows == 0 {
		return nil
	}
	packed := w.encoder.EncodeAll(w.lines, nil)
	w.open.Offset, w.open.Length = w.written.Bytes, int64(len(packed))
	w.frames = append(w.frames, w.open)
	w.written.RawBytes += int64(len(w.lines))
	w.open, w.lines = frame{}, w.lines[:0]
	return w.write(packed)
}

func (w *Writer) write(b []byte) error {
	w.sum.Write(b)
	w.written.Bytes += int64(len(b))
	if _, err := w.to.Write(b); err != nil {
		return fmt.Errorf("writing an archive: %w", err)
	}
	return nil
}

// End writes what is left and the index.
func (w *Writer) End() (Written, error) {
	if err := w.flush(); err != nil {
		return w.written, err
	}
	index, err := json.Marshal(w.frames)
	if err != nil {
		return w.written, fmt.Errorf("writing an archive's index: %w", err)
	}
	tail := binary.LittleEndian.AppendUint32(nil, skippable)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(len(index)+tailBytes))
	tail = append(tail, index...)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(len(index)))
	if err := w.write(append(tail, tag...)); err != nil {
		return w.written, err
	}
	w.sum.Sum(w.written.FileSHA[:0])
	return w.written, w.encoder.Close()
}
