package rabbitmq

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"net"
	"slices"
)

// The broker takes message headers that the library refuses, with an error that ends the connection: more than 8192
// entries, more than 32 levels, a field type that it does not know. The broker would deliver such a message again on
// the next connection, and end that too. So what the broker sends is read frame by frame before the library sees it,
// and headers that the library would refuse are replaced by those of ours and the broker's among them, and
// HeaderUnreadable, which says what was wrong. Body and other properties stay as they are.
//
// Invariants:
//
//   - A stream without such headers reaches the library byte for byte.
//   - No byte waits here while the library could parse it: a frame is held back only until its headers are complete.
//   - What the library accepts is accepted here: the limits are the library's own. Only a table that repeats names is
//     counted by entries here and by names there.

// framedConn is a connection to the broker whose frames the library can read.
type framedConn struct {
	net.Conn
	frames *frameReader
}

func newFramedConn(c net.Conn) *framedConn { return &framedConn{Conn: c, frames: newFrameReader(c)} }

func (c *framedConn) Read(p []byte) (int, error) { return c.frames.Read(p) }

// Frames of AMQP 0-9-1, section 4.2.3 of its specification: type (1 byte), channel (2), size (4), payload, end (1).
const (
	frameBuffer    = 64 << 10
	frameHead      = 7
	frameOverhead  = frameHead + 1
	frameContent   = 2 // the content header: class, weight, body size, property flags, properties
	frameHeartbeat = 8
	mostFrame      = 16 << 20 // larger ones are not looked into; the library refuses what exceeds the negotiated size
)

// frameReader passes frames on, and replaces headers that the library would refuse.
type frameReader struct {
	source *bufio.Reader
	pass   int    // bytes of the current frame that go on as they are
	ready  []byte // a replaced frame
}

func newFrameReader(source io.Reader) *frameReader {
	return &frameReader{source: bufio.NewReaderSize(source, frameBuffer)}
}

func (r *frameReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		switch {
		case len(r.ready) > 0:
			copied := copy(p[n:], r.ready)
			r.ready, n = r.ready[copied:], n+copied
		case r.pass > 0:
			if n > 0 && r.source.Buffered() == 0 {
				return n, nil
			}
			read, err := r.source.Read(p[n : n+min(len(p)-n, r.pass)])
			r.pass, n = r.pass-read, n+read
			if err != nil {
				return n, err
			}
		case n > 0 && r.source.Buffered() < frameHead:
			return n, nil
		default:
			if whole, err := r.next(n > 0); err != nil || !whole {
				return n, err
			}
		}
	}
	return n, nil
}

// next looks at the frame that begins. Where it would have to wait for a content header and the caller has bytes to
// return, it leaves the frame for later and returns false.
func (r *frameReader) next(hasBytes bool) (bool, error) {
	head, err := r.source.Peek(frameHead)
	if err != nil {
		return false, err
	}
	kind, size := head[0], int(binary.BigEndian.Uint32(head[3:]))
	switch {
	case kind == 0 || kind > frameHeartbeat: // no frame: the broker rejects the protocol version and hangs up
		r.pass = math.MaxInt
		return true, nil
	case kind != frameContent || size > mostFrame:
		r.pass = size + frameOverhead
		return true, nil
	case hasBytes && r.source.Buffered() < size+frameOverhead:
		return false, nil
	}
	if size+frameOverhead > frameBuffer {
		frame := make([]byte, size+frameOverhead)
		if _, err := io.ReadFull(r.source, frame); err != nil {
			return false, err
		}
		r.ready, _ = readable(frame)
		return true, nil
	}
	frame, err := r.source.Peek(size + frameOverhead)
	if err != nil {
		return false, err
	}
	changed, bad := readable(frame)
	if !bad {
		r.pass = len(frame)
		return true, nil
	}
	r.ready = changed
	_, err = r.source.Discard(len(frame))
	return true, err
}

// readable returns the frame of a content header as it is or, where the library would refuse its headers, a copy with
// others, and true.
func readable(frame []byte) ([]byte, bool) {
	const (
		flags          = frameHead + 12 // after class, weight and body size
		properties     = flags + 2
		hasContentType = 1 << 15
		hasEncoding    = 1 << 14
		hasHeaders     = 1 << 13
	)
	end := len(frame) - 1
	if end < properties {
		return frame, false
	}
	has, at := binary.BigEndian.Uint16(frame[flags:]), properties
	for _, short := range []uint16{hasContentType, hasEncoding} {
		if has&short != 0 && at < end {
			at += 1 + int(frame[at])
		}
	}
	if has&hasHeaders == 0 || at+4 > end {
		return frame, false
	}
	size := int(binary.BigEndian.Uint32(frame[at:]))
	if size > end-at-4 {
		return frame, false // a broken frame is the library's to refuse
	}
	table := fields{rest: frame[at+4 : at+4+size]}
	if table.entries(0); table.wrong == "" {
		return frame, false
	}
	changed := append([]byte(nil), frame[:at+4]...)
	changed = appendOwn(changed, frame[at+4:at+4+size])
	changed = appendText(changed, HeaderUnreadable, "its headers: "+table.wrong)
	binary.BigEndian.PutUint32(changed[at:], uint32(len(changed)-at-4))
	changed = append(changed, frame[at+4+size:]...)
	binary.BigEndian.PutUint32(changed[3:], uint32(len(changed)-frameOverhead))
	return changed, true
}

// appendOwn adds the entries of a table that are ours or the broker's, as long as they are readable and not too large.
func appendOwn(to, table []byte) []byte {
	all, kept := fields{rest: table}, 0
	for len(all.rest) > 0 {
		entry := all.rest
		name := all.short()
		all.value(0)
		if all.broken {
			break // where the next entry begins is not known
		}
		entry = entry[:len(entry)-len(all.rest)]
		if all.wrong == "" && (slices.Contains(ours, name) || isBrokerHeader(name)) && kept+len(entry) <= maxHeaders/2 {
			to, kept = append(to, entry...), kept+len(entry)
		}
		all.wrong = ""
	}
	return to
}

// appendText adds an entry with a long string.
func appendText(to []byte, name, text string) []byte {
	to = append(append(to, byte(len(name))), name...)
	to = binary.BigEndian.AppendUint32(append(to, 'S'), uint32(len(text)))
	return append(to, text...)
}
