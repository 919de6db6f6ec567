package pools

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/worker"
)

// Queue is one line of `worker list` and of `top`. What is not known is nil.
type Queue struct {
	Worker   string   `json:"worker"`
	Queue    string   `json:"queue"`
	Consumes []string `json:"consumes"`
	Mode     string   `json:"mode,omitempty"` // flags, manual or paused; "" without a database
	// Desired is what `composerp scale` has set, Running the slots of all nodes, Consumers what the broker counts.
	Desired   *int     `json:"desired"`
	Running   *int     `json:"running"`
	Busy      *int     `json:"busy"`
	Consumers *int     `json:"consumers"`
	Ready     *int     `json:"ready"`
	Unacked   *int     `json:"unacked"`
	In        *float64 `json:"inPerSecond"`
	Acked     *float64 `json:"acksPerSecond"`
	DrainETA  *float64 `json:"drainEtaSeconds"`
	Oldest    *float64 `json:"oldestSeconds"`
	Retrying  *int     `json:"retrying"`
	Dead      *int     `json:"dead"`
	Why       string   `json:"why"`
}

func list(cctx *cli.Context) error {
	if cctx.Bool(flagNodes) {
		return listNodes(cctx)
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	r := NewReader(cctx, log)
	defer r.Close()
	s, err := r.Read(cctx.Context)
	if err != nil {
		return err
	}
	if err := s.Told(cctx); err != nil {
		return err
	}
	return terminal.Show(cctx, s.Queues, s.Table)
}

func queueOf(w worker.Worker) Queue {
	r := Queue{Worker: w.Name(), Queue: w.Queue(), Consumes: []string{}}
	for _, t := range w.Types() {
		r.Consumes = append(r.Consumes, t.RoutingKey())
	}
	return r
}

// drainETA is how long the queue takes to empty at the present rates, where it does.
func (q *Queue) drainETA() {
	if q.Ready == nil || q.Unacked == nil || q.In == nil || q.Acked == nil {
		return
	}
	backlog, gain := float64(*q.Ready+*q.Unacked), *q.Acked-*q.In
	if backlog == 0 {
		gain = 1
	}
	if gain > 0 {
		eta := math.Round(backlog / gain)
		q.DrainETA = &eta
	}
}

// length writes whole seconds: what it is for is known no better.
func length(seconds float64) string { return wording.Seconds(math.Trunc(seconds)) }

// slotsKnown is what the database knows of the fleet's slots; nothing without one.
type slotsKnown struct {
	known   bool
	state   scaling.State
	reports []scaling.Report
	ages    map[string]float64
	decided map[string]scaling.Decision
	sets    []lanes.Set
}

// readSlots reads the database.
func readSlots(ctx context.Context, db *store.DB) (k slotsKnown, err error) {
	if k.state, k.reports, err = scaling.Read(ctx, db); err != nil {
		return slotsKnown{}, err
	}
	if k.ages, err = scaling.Ages(ctx, db, k.reports, typesOf()); err != nil {
		return slotsKnown{}, err
	}
	if k.decided, err = scaling.Decisions(ctx, db); err != nil {
		return slotsKnown{}, err
	}
	if k.sets, err = lanes.Sets(ctx, db); err != nil {
		return slotsKnown{}, err
	}
	k.known = true
	return k, nil
}

// typesOf are the event types of each queue, by its worker.
func typesOf() map[string][]string {
	types := map[string][]string{}
	for _, w := range workers.Fleet(workers.Config{}) {
		for _, t := range w.Types() {
			types[w.Name()] = append(types[w.Name()], string(t))
		}
	}
	return types
}

func (k slotsKnown) fill(r *Queue) {
	if !k.known {
		return
	}
	p := k.state.Pool(r.Worker)
	r.Mode, r.Desired = p.Mode, p.Desired
	running, busy := 0, 0
	for _, report := range k.state.Living(k.reports) {
		if report.Queue == r.Worker {
			running, busy = running+report.Running, busy+report.Busy
		}
	}
	r.Running, r.Busy = &running, &busy
	if age, found := k.ages[r.Worker]; found && r.Ready != nil && *r.Ready > 0 {
		r.Oldest = &age
	}
	if p.Desired == nil && p.Mode != scaling.Auto {
		r.Mode = byFlags
	}
	if p.Paused {
		r.Mode = "paused"
	}
	r.Why = k.why(r, p)
}

// why says what stands behind the numbers, what needs attention first.
func (k slotsKnown) why(r *Queue, p scaling.Pool) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if s := lanes.Of(k.sets, r.Worker); s.Switching() {
		add("switching from %s to %s lanes", lanesOrOff(s.Consumed), lanesOrOff(s.Routed))
	} else if s.On() {
		add("%d lanes", s.Consumed)
	}
	if p.Paused {
		add("paused by %s", p.UpdatedBy)
	}
	if obstacle := scaler.Why(k.state, r.Worker); obstacle != "" {
		add("%s", obstacle)
	}
	if p.Desired == nil && *r.Running == 0 && !p.Paused {
		add("no node runs it")
	}
	for _, n := range k.state.Nodes {
		if _, offered := n.Offers(r.Worker); !offered || !n.Alive {
			continue
		}
		if n.Draining {
			add("node %s drains", n.ID)
		} else if slices.Contains(n.Paused, r.Worker) {
			add("paused on %s", n.ID)
		}
	}
	if r.Consumers != nil && *r.Consumers > *r.Running {
		add("%d consumers of processes that are no nodes, or that end", *r.Consumers-*r.Running)
	}
	if p.Mode == scaling.Auto && p.Until == nil && !p.Paused {
		add("%s", k.reason(r.Worker))
		return strings.Join(parts, "; ")
	}
	if p.Desired != nil && !p.Paused {
		add("set by %s", p.UpdatedBy)
	}
	if p.Until != nil {
		add("until %s", terminal.Moment(*p.Until))
	}
	if p.Reason != "" && (p.Desired != nil || p.Paused) {
		add("%s", p.Reason)
	}
	return strings.Join(parts, "; ")
}

// reason is what stands behind the autoscaler's last decision for a queue.
func (k slotsKnown) reason(queue string) string {
	last, found := k.decided[queue]
	var d autoscaler.Decision
	if !found || json.Unmarshal(last.Decision, &d) != nil {
		return "nothing is decided yet"
	}
	return scaler.Reason(d)
}
