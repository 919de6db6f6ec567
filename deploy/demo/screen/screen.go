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

// console is the demo's stderr. While the screen is drawn on it nothing else may
// be: what others say meanwhile, a warning of the log, is kept and shown on the
// screen, and written out when the screen is gone.
type Console struct {
	mu       sync.Mutex
	Out      io.Writer
	Terminal int // its file descriptor, or -1
	live     bool
	kept     bytes.Buffer
	colour   bool
}

func NewConsole(out io.Writer, plain bool) *Console {
	c := &Console{Out: out, Terminal: -1}
	f, ok := out.(*os.File)
	if plain || !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return c
	}
	c.Terminal, c.colour = int(f.Fd()), os.Getenv("NO_COLOR") == ""
	return c
}

// maxKept bounds what is kept while the screen is drawn, in bytes.
const MaxKept = 1 << 16

// Write passes on what is said, or keeps it.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live {
		return c.Out.Write(p)
	}
	if c.kept.Len() < MaxKept {
		c.kept.Write(p)
	}
	return len(p), nil
}

// notes are the last lines that were kept.
func (c *Console) Notes(n int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(c.kept.String()), "\n")
	if lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-n):]
}

// What a terminal is told: another page without a cursor and without breaking
// lines, and back.
const (
	EnterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	LeaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

func (c *Console) Enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Terminal >= 0 && !c.live {
		fmt.Fprint(c.Out, EnterScreen)
		c.live = true
	}
}

// leave gives the terminal back as it was, and says what was kept.
func (c *Console) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		fmt.Fprint(c.Out, LeaveScreen)
		c.live = false
		_, _ = c.kept.WriteTo(c.Out)
	}
}

// draw shows a view in place of the one before it.
func (c *Console) draw(v View) {
	width, height, err := term.GetSize(c.Terminal)
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	text := picture(v.Frame(width, height, c.colour))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		_, _ = io.WriteString(c.Out, text)
	}
}

// picture is what draws lines from the upper left corner on and clears the rest.
func picture(lines []string) string {
	return "\x1b[H" + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K\x1b[J"
}

// redrawEvery is how often the screen is drawn.
const redrawEvery = 200 * time.Millisecond
