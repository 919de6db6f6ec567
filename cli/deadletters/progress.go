package deadletters

import (
	"fmt"
	"sync/atomic"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// walking shows how far walks through queues have come, a bar each.
type walking struct{ *terminal.Progress }

func newWalking(cctx *cli.Context) walking { return walking{terminal.NewProgress(cctx.App.ErrWriter)} }

// of gives what a walk through a queue tells.
func (p walking) of(queue string) func(deadletters.Progress) {
	if p.Bars == nil {
		return nil
	}
	p.Finish()
	p.Bar = nil
	var latest atomic.Pointer[deadletters.Progress] // the bar is drawn by another goroutine
	return func(now deadletters.Progress) {
		latest.Store(&now)
		if p.Bar == nil {
			p.Bar = p.Bars.AddBar(int64(now.Length),
				mpb.PrependDecorators(decor.Name(queue, decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Any(func(decor.Statistics) string { return walkText(latest.Load()) })))
		}
		p.Bar.SetCurrent(int64(now.Seen))
	}
}

func walkText(now *deadletters.Progress) string {
	text := fmt.Sprintf("  %d done", now.Done)
	if now.Failed > 0 {
		text += fmt.Sprintf(", %d failed again", now.Failed)
	}
	if now.Rate > 0 {
		text += fmt.Sprintf(", %d/s", now.Rate)
	}
	return text
}
