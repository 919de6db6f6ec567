package screen

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Console is the demo's stderr, which may become a screen. While the screen is drawn, other output such as a warning of
// the log is shown in its notes, and written out when the screen is left.
type Console struct {
	mu       sync.Mutex
	out      io.Writer
	terminal int // its file descriptor, or -1
	live     bool
	kept     bytes.Buffer
	colour   bool
}

// NewConsole makes a console that writes to out. It has a screen where out is a terminal that can show one, unless
// plain.
func NewConsole(out io.Writer, plain bool) *Console {
	c := &Console{out: out, terminal: -1}
	f, ok := out.(*os.File)
	if plain || !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return c
	}
	c.terminal, c.colour = int(f.Fd()), os.Getenv("NO_COLOR") == ""
	return c
}

// HasScreen reports whether a Watcher can show a screen on the console.
func (c *Console) HasScreen() bool { return c.terminal >= 0 }

// Unwrap gives the writer that the console writes to.
func (c *Console) Unwrap() io.Writer { return c.out }

// maxKept bounds the output that is kept while the screen is drawn, in bytes.
const maxKept = 1 << 16

// Write writes through, or keeps the output while the screen is drawn.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live {
		return c.out.Write(p)
	}
	if c.kept.Len() < maxKept {
		c.kept.Write(p)
	}
	return len(p), nil
}

// notes are the last kept lines.
func (c *Console) notes(n int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(c.kept.String()), "\n")
	if lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-n):]
}

// The sequences that enter and leave the terminal's alternate screen, without cursor and line wrapping.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// enter starts the screen, where the console has one.
func (c *Console) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.terminal >= 0 && !c.live {
		fmt.Fprint(c.out, enterScreen)
		c.live = true
	}
}

// Leave restores the terminal and writes the kept output. It does nothing where the screen is not drawn.
func (c *Console) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		fmt.Fprint(c.out, leaveScreen)
		c.live = false
		_, _ = c.kept.WriteTo(c.out)
	}
}

// draw replaces the view that is shown.
func (c *Console) draw(v view) {
	width, height, err := term.GetSize(c.terminal)
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	text := picture(v.frame(width, height, c.colour))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		_, _ = io.WriteString(c.out, text)
	}
}

// picture is the output that draws lines from the upper left corner on and clears the rest.
func picture(lines []string) string {
	return "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}

// redrawEvery is how often the screen is drawn.
const redrawEvery = 200 * time.Millisecond
