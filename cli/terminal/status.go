package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// status tells what a long command is doing: on a terminal on one line that is
// written over, elsewhere a line now and then.
type status struct {
	out      io.Writer
	terminal int // its file descriptor, or -1
	said     time.Time
	shown    bool
}

// statusEvery is how often a status that is not shown on a terminal is written.
const statusEvery = 10 * time.Second

// NewStatus reports on stderr.
func NewStatus(out io.Writer) *status {
	s := &status{out: out, terminal: -1}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal = int(f.Fd())
	}
	return s
}

func (s *status) Say(text string) {
	if s.terminal >= 0 {
		fmt.Fprintf(s.out, "\r\x1b[K%s", s.fit(text))
		s.shown = true
		return
	}
	if time.Since(s.said) >= statusEvery {
		fmt.Fprintln(s.out, text)
		s.said = time.Now()
	}
}

// fit cuts what does not fit on one line: a second one could not be written over.
func (s *status) fit(text string) string {
	text = strings.ReplaceAll(text, "\n", " ")
	if width, _, err := term.GetSize(s.terminal); err == nil && width > 1 && len(text) >= width {
		return text[:width-1]
	}
	return text
}

// end clears the line.
func (s *status) End() {
	if s.shown {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
}
