package importer

import (
	"bytes"
	"errors"
	"io"
)

// maxRow is the length of the longest row that is read, in bytes: no event is longer.
const maxRow = 1 << 20

// firstWindow is how much of a file is looked at first; the window grows only for a row that does not fit.
const firstWindow = 64 << 10

// window is the part of a stream that is looked at: at most one row of maxRow bytes and what was read after it. It
// counts physical lines, and lets a row that turns out to be none be left again after its first line.
type window struct {
	from     io.Reader
	buffer   []byte
	low, top int   // the part of buffer that is read and not yet left behind
	line     int64 // the physical line that buffer[low] stands on, from 1
	ended    bool  // nothing follows buffer[:top]
}

func newWindow(from io.Reader) *window {
	return &window{from: from, buffer: make([]byte, firstWindow), line: 1}
}

// rest gives what is in sight. It is valid until the next call of more.
func (w *window) rest() []byte { return w.buffer[w.low:w.top] }

// full says that what is in sight is longer than a row may be.
func (w *window) full() bool { return w.top-w.low > maxRow }

// more reads on, and sets ended when there was nothing more.
func (w *window) more() error {
	if w.low > 0 {
		copy(w.buffer, w.buffer[w.low:w.top])
		w.low, w.top = 0, w.top-w.low
	}
	if w.top == len(w.buffer) {
		grown := make([]byte, 2*len(w.buffer))
		copy(grown, w.buffer[:w.top])
		w.buffer = grown
	}
	n, err := io.ReadAtLeast(w.from, w.buffer[w.top:], 1)
	w.top += n
	if errors.Is(err, io.EOF) {
		w.ended = true
		return nil
	}
	return err
}

// leave goes on behind the next n bytes.
func (w *window) leave(n int) {
	w.line += int64(bytes.Count(w.buffer[w.low:w.low+n], []byte{'\n'}))
	w.low += n
}

// lineEnd gives the length of the physical line in sight, with its line feed; false when its end is not in sight.
func (w *window) lineEnd() (int, bool) {
	if i := bytes.IndexByte(w.rest(), '\n'); i >= 0 {
		return i + 1, true
	}
	return w.top - w.low, w.ended
}

// skipLine leaves the physical line behind, however long it is, and gives its beginning, a copy.
func (w *window) skipLine() ([]byte, error) {
	var begin []byte
	for {
		n, whole := w.lineEnd()
		if begin == nil {
			begin = bytes.Clone(w.rest()[:min(n, maxRow)])
		}
		w.leave(n)
		if whole {
			return trimEnd(begin), nil
		}
		if err := w.more(); err != nil {
			return nil, err
		}
	}
}

// trimEnd takes the line end off.
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
}
