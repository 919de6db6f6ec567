package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/workers/runtime/observer"
)

// Config says what to audit. DB, Broker and Topology are needed.
type Config struct {
	DB     *store.DB // one connection is enough
	Broker rabbitmq.Config
	// Management is nil where its URL is not known. Then the report names the checks that were skipped.
	Management *management.Client
	Topology   topology.Topology // what the fleet needs: names the queues to check

	// Full checks everything, and not only what is new since the last checkpoint.
	Full bool
	// Forget leaves no checkpoint and no result.
	Forget bool

	Wait time.Duration // how long the fleet may take to come to rest; 2 min
	// Settle is how long it must have been at rest: longer than the figures of the
	// management API may be old. 0 means 7 s.
	Settle   time.Duration
	Progress func(text string) // called with what is waited for and what is being checked; may be nil
}

const (
	defaultWait = 2 * time.Minute
	// RabbitMQ renews the figures of a queue every 5 s (collect_statistics_interval): a change of the unacknowledged
	// messages was seen in the management API after 3.6 to 5.1 s.
	defaultSettle = 7 * time.Second
	pause         = 500 * time.Millisecond
)

// Verdict is the result of an audit.
type Verdict string

// The verdicts.
const (
	Proven   Verdict = "proven"    // everything that could be checked adds up
	InFlight Verdict = "in flight" // nothing is wrong, and something is still on its way
	Findings Verdict = "findings"  // something does not add up
)

// Report is what the audit found.
type Report struct {
	Verdict Verdict       `json:"verdict"`
	Checks  []audit.Check `json:"checks"`
	Counts  audit.Counts  `json:"counts"`
	// ProvenUpTo is the moment up to which everything in the log is proven; zero beside findings.
	ProvenUpTo time.Time      `json:"provenUpTo,omitzero"`
	InFlight   []audit.Flight `json:"inFlight,omitempty"`
	// Since is what was proven before and not checked again; nil when everything was checked. Fresh is how many
	// events are new.
	Since *audit.Checkpoint `json:"since,omitempty"`
	Fresh int64             `json:"fresh"`
	// Unremembered says why no checkpoint was made of it.
	Unremembered string        `json:"unremembered,omitempty"`
	Elapsed      time.Duration `json:"-"`
	ElapsedMs    int64         `json:"elapsedMs"`
}

// Proven tells whether nothing was found.
func (r Report) Proven() bool { return r.Verdict == Proven }

// wrong is how many findings a report with findings has; what is in flight in another is none.
func (r Report) wrong() (findings int64) {
	if r.Verdict != Findings {
		return 0
	}
	for _, c := range r.Checks {
		findings += c.Wrong
	}
	return max(findings, 1)
}

// Run waits until the fleet is quiet and then proves it; if it does not become quiet, it proves all but what is on
// its way. An error means that the audit could not be made, because a server is away for instance; what does not add
// up is in the report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	began := time.Now()
	a, end, err := begin(ctx, cfg)
	if err != nil {
		return Report{}, err
	}
	defer end()
	report, err := a.run(ctx)
	if ctx.Err() != nil {
		return Report{}, fmt.Errorf("auditing: %w", ctx.Err())
	}
	if err != nil {
		return Report{}, err
	}
	if !cfg.Forget {
		if err := audit.NoteResult(ctx, cfg.DB, audit.Result{Result: string(report.Verdict), Findings: report.wrong()}); err != nil {
			return Report{}, err
		}
	}
	report.Elapsed = time.Since(began)
	report.ElapsedMs = report.Elapsed.Milliseconds()
	return report, nil
}

func (c Config) withDefaults() Config {
	if c.Wait <= 0 {
		c.Wait = defaultWait
	}
	if c.Settle <= 0 {
		c.Settle = defaultSettle
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// auditor is one audit.
type auditor struct {
	Config
	observer       observer.Observer
	deadline       time.Time
	history        history
	reconciliation reconciliation
}

// run waits and proves, and does both again if something has moved meanwhile.
func (a *auditor) run(ctx context.Context) (Report, error) {
	a.history.settle = a.Settle
	for {
		at, quiet, err := a.settle(ctx)
		if err != nil {
			return Report{}, err
		}
		if !quiet {
			return a.underLoad(ctx, at)
		}
		if err := a.reconcile(ctx, at, true); err != nil {
			return Report{}, err
		}
		proof, err := a.prove(ctx, audit.Scope{Settled: at.log.Position, SettledEpoch: at.log.Epoch})
		if err != nil {
			return Report{}, err
		}
		if proof.Moved == 0 || proof.Wrong() == 0 && len(proof.Flights) == 0 {
			return a.atRest(at, proof), nil
		}
		if time.Now().After(a.deadline) {
			at.log.Moved = proof.Moved
			return a.underLoad(ctx, at)
		}
		a.Progress(fmt.Sprintf("%s entered the log meanwhile; once more", wording.Count(proof.Moved, "event")))
	}
}

func (a *auditor) prove(ctx context.Context, scope audit.Scope) (audit.Proof, error) {
	scope.Full, scope.Forget = a.Full, a.Forget
	return audit.Run(ctx, a.DB, scope, func(check string) { a.Progress("checking " + check) })
}

// atRest judges a fleet that has come to rest.
func (a *auditor) atRest(at snapshot, proof audit.Proof) Report {
	r := reportOf(proof)
	r.Checks = append(r.Checks, at.restChecks()...)
	r.Checks = append(r.Checks, at.unroutedCheck(), at.stuckCheck(), a.reconciliation.check(at))
	r.Verdict = Proven
	for _, c := range r.Checks {
		if c.Wrong > 0 {
			r.Verdict = Findings
		}
	}
	return r.checked()
}

// underLoad proves what it can of a fleet that goes on working. Only what delay cannot explain is a finding.
func (a *auditor) underLoad(ctx context.Context, at snapshot) (Report, error) {
	if err := a.reconcile(ctx, at, false); err != nil {
		return Report{}, err
	}
	point, epoch := a.history.passed()
	proof, err := a.prove(ctx, audit.Scope{Settled: point, SettledEpoch: epoch, Fewest: a.history.fewest()})
	if err != nil {
		return Report{}, err
	}
	dead := a.reconciliation.check(at)
	r := reportOf(proof)
	r.Verdict = InFlight
	stuck := at.onlyStuck(a.history.stuck())
	for _, c := range slices.Concat(r.Checks, []audit.Check{at.missingCheck(), at.unroutedCheck(), stuck.stuckCheck(), dead}) {
		if c.Wrong > 0 {
			r.Verdict = Findings
		}
	}
	if waiting := at.relayCheck(); waiting.Wrong > 0 {
		r.Checks = slices.DeleteFunc(r.Checks, func(c audit.Check) bool { return c.Name == waiting.Name && c.Wrong == 0 })
		r.Checks = append([]audit.Check{waiting}, r.Checks...)
	}
	r.Checks = append(r.Checks, at.restChecks()...)
	r.Checks = append(r.Checks, at.unroutedCheck(), stuck.stuckCheck(), dead)
	return r.checked(), nil
}

func reportOf(proof audit.Proof) Report {
	r := Report{Checks: proof.Checks, Counts: proof.Counts, ProvenUpTo: proof.UpTo, InFlight: proof.Flights, Since: proof.Since, Fresh: proof.Fresh}
	if proof.Unmade != nil {
		r.Unremembered = proof.Unmade.Error()
	}
	return r
}

// checked leaves out what does not belong beside the verdict, and adds what to do.
func (r Report) checked() Report {
	if r.Verdict == Findings {
		r.ProvenUpTo = time.Time{}
	}
	return r.withRemedies()
}

// settle takes snapshots until the fleet has been quiet for long enough, or the deadline has passed and it is not
// quiet.
func (a *auditor) settle(ctx context.Context) (snapshot, bool, error) {
	var since time.Time
	var point, said string
	for {
		at, err := a.observe(ctx, point)
		if err != nil {
			return snapshot{}, false, err
		}
		point = at.log.Position
		a.history.add(at)
		late := at.at.After(a.deadline)
		switch calm := at.calm(late); {
		case !calm && late:
			return at, false, nil
		case !calm:
			since = time.Time{}
		case since.IsZero():
			since = at.at
		case at.at.Sub(since) >= a.Settle:
			return at, true, nil
		}
		if text := at.String(); text != said {
			said = text
			a.Progress(text)
		}
		if !clock.Sleep(ctx, min(pause, a.Settle)) {
			return snapshot{}, false, ctx.Err()
		}
	}
}
