package rabbitmq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// header is the frame of a content header with a content type, headers and a message id.
func header(table []byte) []byte {
	payload := binary.BigEndian.AppendUint16(nil, 60)
	payload = append(payload, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7)            // weight, body size
	payload = binary.BigEndian.AppendUint16(payload, 1<<15|1<<13|1<<7) // content type, headers, message id
	payload = append(append(payload, 4), "json"...)
	payload = binary.BigEndian.AppendUint32(payload, uint32(len(table)))
	payload = append(append(append(payload, table...), 2), "id"...)
	return frame(frameContent, payload)
}

func frame(kind byte, payload []byte) []byte {
	f := binary.BigEndian.AppendUint32([]byte{kind, 0, 1}, uint32(len(payload)))
	return append(append(f, payload...), 0xce)
}

func entry(name string, kind byte, value ...byte) []byte {
	return append(append(append([]byte{byte(len(name))}, name...), kind), value...)
}

// nested is a table in n tables.
func nested(n int) []byte {
	table := entry("x", 'V')
	for range n {
		inner := binary.BigEndian.AppendUint32(nil, uint32(len(table)))
		table = entry("in", 'F', append(inner, table...)...)
	}
	return table
}

func TestFramesTheLibraryWouldRefuse(t *testing.T) {
	t.Parallel()
	attempt := entry(HeaderAttempt, 'l', 0, 0, 0, 0, 0, 0, 0, 3)
	foreign := entry("color", 'S', 0, 0, 0, 3, 'r', 'e', 'd')
	for name, c := range map[string]struct {
		table []byte
		wrong string   // "": the frame stays as it is
		kept  [][]byte // of the table
	}{
		"ours":            {attempt, "", nil},
		"empty":           {nil, "", nil},
		"all types":       {bytes.Join([][]byte{attempt, foreign, entry("t", 't', 1), entry("u", 'u', 1, 2), entry("d", 'D', 1, 0, 0, 0, 5), entry("n", 'V'), entry("a", 'A', 0, 0, 0, 2, 't', 1)}, nil), "", nil},
		"8192 entries":    {bytes.Repeat(entry("", 'V'), 8192), "", nil},
		"8193 entries":    {append(bytes.Repeat(entry("", 'V'), 8192), attempt...), "more than 8192 entries", [][]byte{attempt}},
		"8193 elements":   {append(entry("a", 'A', append(binary.BigEndian.AppendUint32(nil, 8193), bytes.Repeat([]byte{'V'}, 8193)...)...), attempt...), "more than 8192 elements", [][]byte{attempt}},
		"32 levels":       {nested(32), "", nil},
		"33 levels":       {append(append(attempt, nested(33)...), foreign...), "more than 32 levels", [][]byte{attempt}},
		"an unknown type": {append(append(attempt, entry("q", 'q', 1)...), attempt...), `unknown type 'q'`, [][]byte{attempt}},
		"cut":             {append(attempt, entry("s", 'S', 0, 0, 0, 200, 'x')...), "ends before", [][]byte{attempt}},
		"ours, too long":  {append(entry(HeaderError, 'S', append(binary.BigEndian.AppendUint32(nil, maxHeaders), bytes.Repeat([]byte{'e'}, maxHeaders)...)...), entry("q", 'q')...), "unknown type", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := frame(1, []byte("a method")), frame(3, []byte("a body"))
			sent := header(c.table)
			want := sent
			if c.wrong != "" {
				got, bad := readable(sent)
				if !bad {
					t.Fatal("it passes")
				}
				table := bytes.Join(c.kept, nil)
				text := got[bytes.Index(got, []byte(HeaderUnreadable)):]
				text = text[len(HeaderUnreadable)+5 : bytes.Index(text, []byte("\x02id"))]
				if !strings.Contains(string(text), c.wrong) {
					t.Errorf("it says %q, want %q", text, c.wrong)
				}
				want = header(appendText(table, HeaderUnreadable, string(text)))
			}
			stream := bytes.Join([][]byte{before, sent, after, sent, before}, nil)
			wanted := bytes.Join([][]byte{before, want, after, want, before}, nil)
			for way, source := range map[string]io.Reader{"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)), "in halves": iotest.HalfReader(bytes.NewReader(stream))} {
				got, err := io.ReadAll(newFrameReader(source))
				if err != nil || !bytes.Equal(got, wanted) {
					t.Errorf("%s: %d bytes, want %d; %v", way, len(got), len(wanted), err)
				}
			}
		})
	}
}

// What is no frame, and what is cut, goes on as it is.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("AMQP\x00\x00\x09\x01"))
	f.Add(header(entry("q", 'q', 1)))
	f.Add(header(nested(40)))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, err := io.ReadAll(newFrameReader(bytes.NewReader(stream)))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		again, err := io.ReadAll(newFrameReader(iotest.OneByteReader(bytes.NewReader(whole))))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(again, whole) {
			t.Errorf("what has passed does not pass again: %d bytes of %d, %v", len(again), len(whole), err)
		}
	})
}
