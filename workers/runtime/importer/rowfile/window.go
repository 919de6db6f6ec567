package rowfile

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
	fault    error // what the stream ended with, told when all before it has been seen
}

func newWindow(from io.Reader) *window {
	return &window{from: from, buffer: make([]byte, firstWindow), line: 1}
}

// rest gives what is in sight. It is valid until the next call of more.
func (w *window) rest() []byte { return w.buffer[w.low:w.top] }

// full says that what is in sight is longer than a row may be.
func (w *window) full() bool { return w.top-w.low > maxRow }

// more reads on, and sets ended when there was nothing more. It reads the more the more is in sight, because the row
// in sight is then looked at from its beginning again: so a long row costs a few looks, not one for every piece that
// the stream happens to come in. When it can read nothing more because the stream broke, the next call says so.
func (w *window) more() error {
	if w.low > 0 {
		copy(w.buffer, w.buffer[w.low:w.top])
		w.low, w.top = 0, w.top-w.low
	}
	if w.top == len(w.buffer) {
		w.buffer = append(w.buffer, make([]byte, len(w.buffer))...)
	}
	if w.fault != nil {
		return w.fault
	}
	for want := w.top + 1 + (w.top-w.low)/8; w.top < min(want, len(w.buffer)); {
		n, err := w.from.Read(w.buffer[w.top:])
		w.top += n
		if errors.Is(err, io.EOF) {
			w.ended = true
			return nil
		}
		if err != nil {
			w.fault = err
			return nil
		}
	}
	return nil
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

// skipLine leaves the physical line behind, however long it is, and gives a copy of its first maxRow bytes.
func (w *window) skipLine() ([]byte, error) {
	var begin []byte
	for {
		n, whole := w.lineEnd()
		begin = append(begin, w.rest()[:min(n, maxRow-len(begin))]...)
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
