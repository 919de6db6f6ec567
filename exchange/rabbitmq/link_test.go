package rabbitmq

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"testing"
)

// written is a socket that keeps each write apart, until it fails.
type written struct {
	net.Conn
	pieces [][]byte
	fails  error
}

func (w *written) Write(b []byte) (int, error) {
	if w.fails != nil {
		return 0, w.fails
	}
	w.pieces = append(w.pieces, bytes.Clone(b))
	return len(b), nil
}

// sizes are those of the pieces, which must add up to the text.
func (w *written) sizes(t *testing.T, text string) (sizes []int) {
	t.Helper()
	for _, p := range w.pieces {
		sizes = append(sizes, len(p))
	}
	if got := string(bytes.Join(w.pieces, nil)); got != text {
		t.Errorf("%d bytes were written, want %d in order", len(got), len(text))
	}
	return sizes
}

// What is written while a connection is held is one piece, once the last holder releases it.
func TestWritesAreGatheredWhileAConnectionIsHeld(t *testing.T) {
	t.Parallel()
	w := &written{}
	g := &gatheringConn{Conn: w}
	text := ""
	write := func(s string) {
		t.Helper()
		text += s
		if n, err := g.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("writing %d bytes: %d, %v", len(s), n, err)
		}
	}
	release := func() {
		t.Helper()
		if err := g.release(); err != nil {
			t.Fatal(err)
		}
	}
	write("at once")
	g.hold()
	write("a")
	g.hold()
	write("b")
	release()
	if sizes := w.sizes(t, "at once"); len(sizes) != 1 {
		t.Errorf("pieces of %v bytes were written while another holds the connection", sizes)
	}
	write("c")
	release()
	write("after")
	if sizes := w.sizes(t, text); !slices.Equal(sizes, []int{7, 3, 5}) {
		t.Errorf("pieces of %v bytes", sizes)
	}

	g.hold()
	w.pieces, text = nil, ""
	for range 5 {
		write(string(make([]byte, gatherSize/2)))
	}
	if sizes := w.sizes(t, text[:4*gatherSize/2]); !slices.Equal(sizes, []int{gatherSize, gatherSize}) {
		t.Errorf("a connection that is held for long wrote pieces of %v bytes", sizes)
	}
	release()
	w.sizes(t, text)
}

// A write that fails is told to the one who releases the connection, and to those who write after.
func TestAGatheredWriteThatFails(t *testing.T) {
	t.Parallel()
	gone := errors.New("the broker has gone")
	w := &written{}
	g := &gatheringConn{Conn: w}
	g.hold()
	if _, err := g.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	w.fails = gone
	if err := g.release(); !errors.Is(err, gone) {
		t.Errorf("releasing: %v", err)
	}
	w.fails = nil // bytes are missing now: nothing may follow
	if _, err := g.Write([]byte("after")); !errors.Is(err, gone) {
		t.Errorf("writing: %v", err)
	}
	if len(w.pieces) > 0 {
		t.Errorf("%q was written", w.pieces)
	}
}
