package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/audit"
)

// Table is the report as a page to read: the verdict, a line a check, what was
// found, and how much of everything there was.
func (r Report) Table() string {
	var page strings.Builder
	fmt.Fprintf(&page, "%s, after %s\n\n", r.headline(), r.Elapsed.Round(100*time.Millisecond))
	r.writeChecks(&page)
	r.writeFindings(&page)
	r.writeFlights(&page)
	r.writeCounts(&page)
	return page.String()
}

func (r Report) headline() string {
	skipped, reported := 0, ""
	for _, c := range r.Checks {
		if c.Reported > c.Acknowledged {
			reported = "; what was reported from outside does not, see below"
		}
		if c.Skipped != "" {
			skipped++
		}
	}
	switch {
	case r.Verdict == InFlight:
		return "IN FLIGHT: the fleet did not come to rest; all is proven up to " + at(r.ProvenUpTo) + ", and later all but what is on its way"
	case r.Verdict == Findings:
		return "FINDINGS: something does not add up"
	case skipped > 0:
		return fmt.Sprintf("PROVEN, as far as could be seen: %d of %d checks could not be made", skipped, len(r.Checks)) + reported
	}
	return "PROVEN: everything adds up" + reported
}

func (r Report) writeChecks(page *strings.Builder) {
	w := tabwriter.NewWriter(page, 0, 8, 2, ' ', 0)
	for _, c := range r.Checks {
		switch {
		case !c.OK && len(c.Findings) > 0:
			fmt.Fprintf(w, "  ✗ %s\t%s of %s %s\tNOT: %s\n", c.Name, wording.Thousands(c.Wrong), wording.Thousands(max(c.Count, c.Wrong)), c.Unit, c.What)
		case c.Reported > 0:
			fmt.Fprintf(w, "  ! %s\t%s of %s\tREPORTED OTHERWISE%s: %s\n", c.Name, wording.Thousands(c.Reported), wording.Count(c.Count, strings.TrimSuffix(c.Unit, "s")), acknowledged(c), c.What)
		case c.Skipped != "":
			fmt.Fprintf(w, "  – %s\tnot seen\t%s\n", c.Name, c.What)
		default:
			fmt.Fprintf(w, "  ✓ %s\t%s\t%s\n", c.Name, wording.Count(c.Count, strings.TrimSuffix(c.Unit, "s")), c.What)
		}
	}
	w.Flush()
}

// acknowledged tells how many findings of a check a person has looked at.
func acknowledged(c audit.Check) string {
	if c.Acknowledged == 0 {
		return ""
	}
	return ", " + wording.Thousands(c.Acknowledged) + " acknowledged"
}

func (r Report) writeFindings(page *strings.Builder) {
	for _, c := range r.Checks {
		if c.Skipped != "" {
			fmt.Fprintf(page, "\n%s could not be checked: %s\n", c.Name, c.Skipped)
		}
		if c.Repaired != "" {
			fmt.Fprintf(page, "\n%s was corrected: %s\n", c.Name, c.Repaired)
		}
		if len(c.Findings) == 0 {
			continue
		}
		fmt.Fprintf(page, "\n%s\n", c.Name)
		for _, f := range c.Findings {
			fmt.Fprintf(page, "  %s\n", f)
		}
		if more := max(c.Wrong, c.Reported) - int64(len(c.Findings)); more > 0 && r.Verdict != InFlight {
			fmt.Fprintf(page, "  ... and %s more\n", wording.Thousands(more))
		}
		if c.Do != "" {
			fmt.Fprintf(page, "  -> %s\n", c.Do)
		}
	}
}

func (r Report) writeFlights(page *strings.Builder) {
	for i, f := range r.InFlight {
		if i == 0 {
			page.WriteString("\non their way\n")
		}
		fmt.Fprintf(page, "  %s for %s", wording.Count(f.Events, "event"), f.Consumer)
		if f.Type != "" {
			fmt.Fprintf(page, ", the oldest %s %s, in the log since %s", f.Type, f.EventID, at(f.LoggedAt))
		}
		page.WriteString("\n")
	}
}

// at writes a moment.
func at(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

func (r Report) writeCounts(page *strings.Builder) {
	c := r.Counts
	fmt.Fprintf(page, "\n%s in the log, %s of them published from here\n", wording.Count(c.Events, "event"), wording.Thousands(c.Published))
	w := tabwriter.NewWriter(page, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, t := range slices.Sorted(maps.Keys(c.ByType)) {
		fmt.Fprintf(w, "%s\t  %s\n", wording.Thousands(c.ByType[t]), t)
	}
	w.Flush()
	for _, k := range c.Consumers {
		writeConsumer(page, k)
	}
	fmt.Fprintf(page, "%s of %s in %s; %s units on hand, net\n",
		wording.Count(c.Movements, "movement"), wording.Count(c.Items, "item"), wording.Count(c.Positions, "position"), wording.Grouped(c.UnitsNet.String()))
	if r.Since != nil {
		fmt.Fprintf(page, "%s new since the checkpoint of %s; the %s before it were proven then\n", wording.Count(r.Fresh, "event"), at(r.Since.MadeAt), wording.Thousands(r.Since.Events))
	}
	if r.Unremembered != "" {
		fmt.Fprintf(page, "no checkpoint was made of it: %s\n", r.Unremembered)
	}
}

func writeConsumer(page *strings.Builder, k audit.ConsumerCounts) {
	fmt.Fprintf(page, "%s has handled %s", k.Consumer, wording.Count(k.Handled, "event"))
	if k.Dead > 0 {
		fmt.Fprintf(page, "; %s", wording.Count(k.Dead, "dead letter"))
	}
	if k.Copies > 0 {
		fmt.Fprintf(page, ", %s of them copies", wording.Thousands(k.Copies))
	}
	page.WriteString("\n")
}
