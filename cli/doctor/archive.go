package doctor

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
)

// archiveAfter reads the setting; 0: it is not set.
func archiveAfter(cctx *cli.Context) (time.Duration, error) {
	v, err := settings.Configured(cctx).Value(settings.Named(settings.FlagArchiveAfter))
	if err != nil || v.Text == "" {
		return 0, err
	}
	return settings.Age(v.Text)
}

// examineArchives warns of partitions that are older than the setting archive-after; without it it says nothing.
func (x *Examination) examineArchives(ctx context.Context, db *store.DB) {
	if x.archiveAfter == 0 {
		return
	}
	partitions, err := archive.Partitions(ctx, db)
	if err != nil {
		x.unasked("archives", err)
		return
	}
	old := int64(0)
	var oldest time.Time
	for _, p := range partitions {
		if p.LoggedUpto != nil && time.Since(*p.LoggedUpto) > x.archiveAfter {
			if old == 0 {
				oldest = *p.LoggedUpto
			}
			old++
		}
	}
	if old == 0 {
		x.ok("archives", "no partition of the log is older than the setting archive-after")
		return
	}
	x.warn("archives", "composerp log archive --to DIRECTORY; --dry-run shows what it waits for",
		"older than the setting archive-after: %s of the log, the oldest of %s", wording.Count(old, "partition"), terminal.Moment(oldest))
}
