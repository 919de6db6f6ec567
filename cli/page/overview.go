package page

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/deploy/monitoring"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

// overview is whether events flow, where they do not, and why.
type overview struct {
	Log      *pools.Log // nil: not known
	Signs    []sign     // what needs a look, the worst first
	Ready    int        // messages in workers' queues
	Running  int        // slots
	Nodes    int
	Pending  int // dead letters
	Last     audit.LastProof
	Summary  stockview.TenantSummary
	Findings int
}

// sign is something that needs a look.
type sign struct {
	Bad     bool // events do not flow, or are lost unless an operator acts
	Text    string
	Path    string // the part that tells more
	Command string
}

func readOverview(ctx context.Context, p *Page, q question) (any, error) {
	var o overview
	var err error
	if o.Pending, err = pendingLetters(ctx, p, q.tenant); err != nil {
		return nil, err
	}
	if o.Last, err = audit.ReadLastProof(ctx, p.cfg.DB); err != nil {
		return nil, err
	}
	if o.Summary, err = stockview.SummarizeTenant(ctx, p.cfg.DB, q.tenant); err != nil {
		return nil, err
	}
	open, err := openFindings(ctx, p, q.tenant)
	if err != nil {
		return nil, err
	}
	o.Findings = len(open)
	circuits, err := failures.OpenCircuits(ctx, p.cfg.DB)
	if err != nil {
		return nil, err
	}
	classes, err := failures.Quarantined(ctx, p.cfg.DB, false)
	if err != nil {
		return nil, err
	}
	sample, judged, err := p.fleet.read(ctx)
	if err != nil {
		return nil, err
	}
	o.measure(sample)
	for _, problem := range judged {
		o.Signs = append(o.Signs, signOf(problem))
	}
	o.findSigns(sample, circuits, classes)
	return o, nil
}

// measure adds up what runs.
func (o *overview) measure(s pools.Sample) {
	o.Log = s.Log
	for _, n := range s.Nodes {
		if n.State != "lost" {
			o.Nodes++
		}
	}
	for _, q := range s.Queues {
		o.Ready += value(q.Ready)
		o.Running += value(q.Running)
	}
}

// findSigns finds what needs a look.
func (o *overview) findSigns(s pools.Sample, circuits []failures.CircuitState, classes []failures.Quarantine) {
	bad := func(path, command, format string, args ...any) {
		o.Signs = append(o.Signs, sign{true, fmt.Sprintf(format, args...), path, command})
	}
	look := func(path, command, format string, args ...any) {
		o.Signs = append(o.Signs, sign{false, fmt.Sprintf(format, args...), path, command})
	}
	for _, text := range s.Problems {
		bad("/workers", "composerp doctor", "%s", text)
	}
	if l := s.Log; l != nil && l.Relay == "" {
		bad("", "composerp doctor", "No relay leads: new events stay in the log.")
	} else if l != nil && l.Behind > monitoring.UnpublishedFor.Seconds() {
		bad("", "composerp doctor", "The relay is %s behind: %s log positions are not published.", wording.Seconds(l.Behind), wording.Thousands(l.Unpublished))
	}
	for _, c := range circuits {
		bad("/workers", command("worker list"), "%s does not answer since %s: %s", c.Name, c.Since.UTC().Format("15:04 UTC"), wording.Shortened(wording.OneLine(c.LastError), mostText))
	}
	for _, q := range s.Queues {
		o.lookAtQueue(q, bad, look)
	}
	if len(classes) > 0 {
		bad("/letters", "composerp quarantine list", "%s held back in quarantine.", wording.Count(int64(len(classes)), "kind")+" of failing events")
	}
	if o.Pending > 0 {
		look("/letters", "composerp dlq list", "%s for a decision.", wording.Count(int64(o.Pending), "dead letter")+waits(o.Pending))
	}
	switch {
	case o.Last.Since <= monitoring.UnprovenFor:
	case o.Last.ProvenAt.Valid:
		look("/proof", "composerp audit", "The log has gone on for %d hours since the last proof.", int(o.Last.Since.Hours()))
	default:
		look("/proof", "composerp audit", "No audit has proven anything yet.")
	}
	slices.SortStableFunc(o.Signs, func(a, b sign) int {
		switch {
		case a.Bad == b.Bad:
			return 0
		case a.Bad:
			return -1
		}
		return 1
	})
}

// signOf is what the watchdog says of the broker: publishing stops by its alarms, and by what is missing there.
func signOf(p watchdog.Problem) sign {
	s := sign{!p.Warning, p.What, "", "composerp doctor"}
	if p.Kind == watchdog.Alarm && !p.Warning {
		s.Text = "Publishing has stopped: " + s.Text
	}
	if strings.HasPrefix(p.Do, "composerp ") {
		s.Command = p.Do
	} else if p.Do != "" {
		s.Text += "; " + p.Do
	}
	return s
}

func (o *overview) lookAtQueue(q pools.Queue, bad, look func(path, command, format string, args ...any)) {
	switch {
	case q.Running == nil || *q.Running > 0:
	case q.Mode == "paused":
		look("/workers", command("worker resume", q.Worker), "%s is paused: %s", q.Worker, q.Why)
	case q.Ready == nil: // the broker does not answer, which is said already: no slot can run
	case q.Mode == scaling.Auto || value(q.Desired) == 0 && q.Desired != nil:
		if value(q.Ready) > 0 && q.Mode != scaling.Auto {
			look("/workers", command("scale", q.Worker+"=1"), "%s has no slots, and %s: %s", q.Worker, wording.Count(int64(*q.Ready), "message")+waits(*q.Ready), q.Why)
		}
	default:
		bad("/workers", command("worker describe", q.Worker), "%s does not run: %s", q.Worker, q.Why)
	}
}

// waits is the verb that goes with a number.
func waits(n int) string {
	if n == 1 {
		return " waits"
	}
	return " wait"
}

// value is a number, 0 where it is not known.
func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
