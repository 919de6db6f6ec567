package events

import (
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/composerp/composerp/store/trace"
)

// Two trees; what is not handled stands below them, with the last failure and the command that goes on from there.
func TestATreeAndWhatIsNotHandled(t *testing.T) {
	try := func(text string) trace.Try {
		return trace.Try{Attempt: 2, FailedAt: time.Date(2026, 2, 9, 12, 0, 0, 0, time.Local), Error: text}
	}
	events := []trace.Event{
		{Type: "A", Aggregate: "1"},
		{Type: "B", Aggregate: "2", Depth: 1, Deliveries: []trace.Delivery{{Consumer: "ledger", State: trace.Handled}, {Consumer: "lots", State: trace.Handled}}},
		{Type: "C", Aggregate: "3", Depth: 2, Named: true, Deliveries: []trace.Delivery{
			{Consumer: "procurement", State: trace.Dead, Tries: []trace.Try{try("first"), try("refused\nby the supplier")}},
			{Consumer: "stockview", State: trace.Parked}, {Consumer: "lots", State: trace.Quarantined}, {Consumer: "alert", State: trace.Unpublished},
		}},
		{Type: "D", Aggregate: "4", Depth: 3},
		{Type: "E", Aggregate: "5", Depth: 1},
		{Type: "F", Aggregate: "6", Depth: 2, Deliveries: []trace.Delivery{{Consumer: "lots", State: trace.Waiting}}},
		{Type: "G", Aggregate: "7"},
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	showTree(w, events)
	showUnhandled(w, events)
	_ = w.Flush()
	got := regexp.MustCompile(`([^│\s])  +`).ReplaceAllString(text.String(), "$1|")
	for _, line := range []string{
		"\nA|1|-|", "\n├─ B|2|-|2 handled|", "\n│  └─ C *|3|-|1 dead, 1 parked, 1 quarantined, 1 unpublished|", "\n│     └─ D|4|",
		"\n└─ E|5|-|no consumer|", "   └─ F|6|-|1 waiting|", "\nG|7|",
		"\nprocurement|C of 3|dead|attempt 2 at 2026-02-09 12:00:00 ", ": refused by the supplier|composerp dlq show 00000000-",
		"|composerp lanes describe stockview\n", "|composerp quarantine list\n", "|composerp doctor\n", "|composerp worker describe lots\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("want %q in\n%s", line, got)
		}
	}
	if strings.Contains(text.String(), "ledger") {
		t.Errorf("what is handled stands among what is not:\n%s", text.String())
	}
}
