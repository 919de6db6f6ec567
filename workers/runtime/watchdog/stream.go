package watchdog

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/stream"
)

// readStream brings the plan up to date with whether the stream is on, and finds what is wrong with it. While the
// database is away all stays as it was last.
func (v *monitor) readStream(ctx context.Context) {
	s, err := stream.ReadState(ctx, v.DB)
	if err != nil {
		return
	}
	if differs(s.Setting, v.Plan.stream) {
		v.replan(v.Plan.WithStream(s.Setting))
	}
	v.ofStream = StreamProblems(s)
}

// streamSwitched tells whether the stream is other than that of the plan, or cannot be read.
func (v *monitor) streamSwitched(ctx context.Context) bool {
	s, err := stream.Read(ctx, v.DB)
	if err != nil {
		return v.Plan.stream.On
	}
	return differs(s, v.Plan.stream)
}

func differs(a, b stream.Setting) bool { return a.On != b.On || a.Retention() != b.Retention() }

// StreamProblems judges whether a stream that is on follows the log. It is a warning: no worker waits for it.
func StreamProblems(s stream.State) []Problem {
	if !s.On || s.Behind <= behindLimit {
		return nil
	}
	behind := s.Behind.Round(time.Second)
	if s.Holder == "" {
		return []Problem{{Kind: Stream, Subject: topology.Stream, Warning: true, Do: "composerp up, or composerp relay",
			What: wording.Sprintf("no process feeds %s: %d events are not in it, the oldest for %s", topology.Stream, s.Waiting, behind)}}
	}
	return []Problem{{Kind: Stream, Subject: topology.Stream, Warning: true,
		Do:   "nothing while it catches up, which composerp stream status shows; else look at the log of " + s.Holder + " and at the broker",
		What: wording.Sprintf("%s is behind the log: %d events are not in it, the oldest for %s", topology.Stream, s.Waiting, behind)}}
}
