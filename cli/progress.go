package cli

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/composerp/composerp/workers/runtime/importer"
)

// progress shows how far a long command has come: a bar on a terminal, nothing
// elsewhere, where the result alone is of interest.
type progress struct {
	bars  *mpb.Progress
	bar   *mpb.Bar
	phase importer.Phase
	rows  *atomic.Int64 // of the bar in hand; it is drawn by another goroutine
}

func newProgress(out io.Writer) *progress {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{bars: mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))}
}

// importing is told by the importer, from one goroutine.
func (p *progress) importing(now importer.Progress) {
	if p.bars == nil {
		return
	}
	if p.bar == nil || p.phase != now.Phase {
		p.finish()
		rows := new(atomic.Int64)
		p.phase, p.rows = now.Phase, rows
		p.bar = p.bars.AddBar(now.Size,
			mpb.PrependDecorators(decor.Name(string(now.Phase), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Any(func(decor.Statistics) string { return fmt.Sprintf("  %d rows", rows.Load()) }), decor.EwmaETA(decor.ET_STYLE_GO, 30, decor.WC{W: 8})))
	}
	p.rows.Store(now.Tally.Rows)
	p.bar.SetCurrent(now.Bytes)
}

func (p *progress) finish() {
	if p.bar != nil {
		p.bar.SetTotal(-1, true)
	}
}

func (p *progress) end() {
	p.finish()
	if p.bars != nil {
		p.bars.Wait()
	}
}
