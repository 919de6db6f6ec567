package terminal

import (
	"io"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/runtime/importer"
)

// Progress shows how far a long command has come: a bar on a terminal, nothing
// elsewhere, where the result alone is of interest.
type Progress struct {
	Bars  *mpb.Progress
	Bar   *mpb.Bar
	phase importer.Phase
	rows  *atomic.Int64 // of the bar in hand; it is drawn by another goroutine
}

// NewProgress draws on stderr when that is a terminal.
func NewProgress(out io.Writer) *Progress {
	if !IsTerminal(out) {
		return &Progress{}
	}
	return &Progress{Bars: mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))}
}

// Importing is told by the importer, from one goroutine.
func (p *Progress) Importing(now importer.Progress) {
	if p.Bars == nil {
		return
	}
	if p.Bar == nil || p.phase != now.Phase {
		p.Finish()
		rows := new(atomic.Int64)
		p.phase, p.rows = now.Phase, rows
		p.Bar = p.Bars.AddBar(now.Size,
			mpb.PrependDecorators(decor.Name(string(now.Phase), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Any(func(decor.Statistics) string { return wording.Sprintf("  %d rows", rows.Load()) }), decor.EwmaETA(decor.ET_STYLE_GO, 30, decor.WC{W: 8})))
	}
	p.rows.Store(now.Tally.Rows)
	p.Bar.SetCurrent(now.Bytes)
}

// Finish completes the bar.
func (p *Progress) Finish() {
	if p.Bar != nil {
		p.Bar.SetTotal(-1, true)
	}
}

// End removes what was drawn.
func (p *Progress) End() {
	p.Finish()
	if p.Bars != nil {
		p.Bars.Wait()
	}
}

// Reading is told how much of the log has been read, from one goroutine.
func (p *Progress) Reading(read, all int64) {
	if p.Bars == nil {
		return
	}
	if p.Bar == nil {
		p.Bar = p.Bars.AddBar(all, mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name("searching the log")), mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5})))
	}
	p.Bar.SetCurrent(read)
}
