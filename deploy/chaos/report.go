package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict is the result of a run.
type Verdict string

// The verdicts.
const (
	Clean Verdict = "clean"    // nothing lost, nothing doubled, every recovery in time
	Found Verdict = "findings" // something did not hold
)

// Seconds is a duration, in JSON a number of seconds.
type Seconds time.Duration

// MarshalJSON writes 1.234.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Round(time.Millisecond).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads it.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	*s = Seconds(time.Duration(seconds * float64(time.Second)).Round(time.Millisecond))
	return err
}

// String is 1.2 s.
func (s Seconds) String() string { return fmt.Sprintf("%.1f s", time.Duration(s).Seconds()) }

// Report is the result of a run, a line of the file of results.
type Report struct {
	Seed      uint64            `json:"seed"`
	Duration  Seconds           `json:"duration"`
	Version   string            `json:"version"`
	Machine   string            `json:"machine"`
	Servers   map[string]string `json:"servers,omitempty"` // the version by the server's name
	At        time.Time         `json:"at"`
	Took      Seconds           `json:"took"`
	Faults    map[string]Tally  `json:"faults"`    // by kind
	Published int               `json:"published"` // messages of all kinds, confirmed or committed
	Repeated  int               `json:"repeated"`
	Events    int               `json:"events"` // distinct events, each to be applied once
	Lost      int               `json:"lost"`
	Doubled   int               `json:"doubled"`
	Dead      int               `json:"dead"`    // messages that are not events
	InLanes   int               `json:"inLanes"` // movements that stockview handled in lanes, each position's in order
	Orders    supplierCalls     `json:"orders"`
	Restarts  int               `json:"restarts"` // exits of processes by themselves, most of them before they were up
	Audit     Audit             `json:"audit"`
	Verdict   Verdict           `json:"verdict"`
	Findings  []string          `json:"findings"`
	Steps     []StepResult      `json:"steps"`
	Dir       string            `json:"dir,omitempty"` // data and logs, where something was found
}

// Tally counts one fault.
type Tally struct {
	Injected   int       `json:"injected"`
	Skipped    int       `json:"skipped,omitempty"`
	Recoveries []Seconds `json:"recoveries"`
}

// Audit is the part of Composerp's audit that a report keeps.
type Audit struct {
	Verdict  string           `json:"verdict"`
	Logged   int64            `json:"logged"`
	Handled  map[string]int64 `json:"handled"`
	Copies   int64            `json:"copies"` // further copies of dead letters: harmless
	Findings []string         `json:"findings,omitempty"`
	Repaired []string         `json:"repaired,omitempty"` // what the audit has repaired itself
}

// StepResult is a step that was executed.
type StepResult struct {
	Faults   []Injected `json:"faults"`
	Recovery Seconds    `json:"recovery"`
	Late     bool       `json:"late,omitempty"`
}

// Injected is a fault of a step.
type Injected struct {
	Fault   string  `json:"fault"`
	Hold    Seconds `json:"hold"`
	Skipped string  `json:"skipped,omitempty"` // why it could not be injected
}

func (s StepResult) names() string {
	names := make([]string, len(s.Faults))
	for i, f := range s.Faults {
		names[i] = f.Fault
	}
	return strings.Join(names, " and ")
}

// line is the step on one line.
func (s StepResult) line() string {
	parts := make([]string, len(s.Faults))
	for i, f := range s.Faults {
		parts[i] = fmt.Sprintf("%s for %s", f.Fault, f.Hold)
		if f.Skipped != "" {
			parts[i] = fmt.Sprintf("%s (skipped: %s)", f.Fault, f.Skipped)
		}
	}
	return fmt.Sprintf("%s; recovered in %s", strings.Join(parts, " and "), s.Recovery)
}

// add counts a step.
func (r *Report) add(s StepResult) {
	r.Steps = append(r.Steps, s)
	for _, f := range s.Faults {
		t := r.Faults[f.Fault]
		if f.Skipped != "" {
			t.Skipped++
		} else {
			t.Injected++
			t.Recoveries = append(t.Recoveries, s.Recovery)
		}
		r.Faults[f.Fault] = t
	}
}

// conclude completes the report with the verdict.
func (r *Report) conclude(env *environment, took time.Duration) {
	r.Took = Seconds(took)
	if env.supplier != nil {
		r.Orders, _, _ = env.supplier.account()
	}
	for _, m := range env.fleet {
		r.Restarts += m.restarts()
	}
	r.Findings = append(r.Findings, env.found()...)
	r.Verdict = Clean
	if len(r.Findings) > 0 || r.Lost+r.Doubled > 0 || r.Audit.Verdict == "" {
		r.Verdict = Found
	}
}

// Table is the report for people.
func (r Report) Table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FAULT\tINJECTED\tRECOVERY, MEDIAN\tWORST")
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		t := r.Faults[name]
		median, worst := spread(t.Recoveries)
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", name, t.Injected, median, worst)
	}
	_ = w.Flush()
	fmt.Fprintf(&text, "\nSeed %d, %s: %d events, each applied once unless listed below; %d messages published, %d published again in doubt, %d dead letters as expected.\n",
		r.Seed, time.Duration(r.Duration), r.Events, r.Published, r.Repeated, r.Dead)
	fmt.Fprintf(&text, "The log has %d events; %d orders were sent in %d calls, %d of them refused or cut off. The audit says: %s.\n",
		r.Audit.Logged, r.Orders.Taken, r.Orders.All, r.Orders.Refused, r.Audit.Verdict)
	fmt.Fprintf(&text, "Lost %d, doubled %d. Took %s.\n", r.Lost, r.Doubled, r.Took)
	if r.InLanes > 0 {
		fmt.Fprintf(&text, "stockview handled %d movements in lanes, those of each position in order unless listed below.\n", r.InLanes)
	}
	for _, repaired := range r.Audit.Repaired {
		fmt.Fprintf(&text, "The audit has repaired: %s.\n", repaired)
	}
	const most = 20
	for i, problem := range append(slices.Clone(r.Findings), r.Audit.Findings...) {
		if i == most {
			fmt.Fprintf(&text, "✗ and %d more\n", len(r.Findings)+len(r.Audit.Findings)-most)
			break
		}
		fmt.Fprintf(&text, "✗ %s\n", problem)
	}
	if r.Verdict == Clean {
		fmt.Fprintln(&text, "CLEAN: nothing lost, nothing applied twice, and every recovery in time")
	} else {
		fmt.Fprintf(&text, "FINDINGS: data and logs are kept in %s\n", r.Dir)
	}
	return text.String()
}

// spread gives the median and the worst, dashes for no values.
func spread(values []Seconds) (median, worst string) {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return "-", "-"
	}
	return ((s[(len(s)-1)/2] + s[len(s)/2]) / 2).String(), s[len(s)-1].String()
}
