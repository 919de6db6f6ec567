package cli

import (
	"fmt"
	"sync/atomic"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// walking shows how far walks through queues have come, a bar each.
type walking struct{ *progress }

func newWalking(cctx *cli.Context) walking { return walking{newProgress(cctx.App.ErrWriter)} }

// of gives what a walk through a queue tells.
func (p walking) of(queue string) func(deadletters.Progress) {
	if p.bars == nil {
		return nil
	}
	p.finish()
	p.bar = nil
	var latest atomic.Pointer[deadletters.Progress] // the bar is drawn by another goroutine
	return func(now deadletters.Progress) {
		latest.Store(&now)
		if p.bar == nil {
			p.bar = p.bars.AddBar(int64(now.Length),
				mpb.PrependDecorators(decor.Name(queue, decor.WCSyncSpaceR)),
				mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Any(func(decor.Statistics) string { return walkText(latest.Load()) })))
		}
		p.bar.SetCurrent(int64(now.Seen))
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
