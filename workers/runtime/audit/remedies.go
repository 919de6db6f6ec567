package audit

const (
	tamper  = "a table was changed by hand, or by a fault of the program: keep the database as it is, and report the findings"
	rebuild = "composerp stock and the log say what is right; " + tamper
	apply   = "composerp topology apply declares what is missing; then composerp republish"
)

// remedies say what to do about the findings of each check.
var remedies = map[string]string{
	"log":        tamper,
	"published":  "start a relay: composerp up, or composerp relay; composerp doctor says what keeps it",
	"handled":    "composerp republish publishes again what no inbox has seen; --dry-run counts it",
	"implied":    "composerp dlq list may have the events; if not, " + tamper,
	"movements":  tamper,
	"positions":  tamper,
	"balance":    tamper,
	"told":       "composerp republish brings events that wait; if it finds none, " + tamper,
	"stock":      "composerp dlq list --queue stockview, and redrive what failed; if there is none, " + rebuild,
	"orders":     "composerp po show ID has the order's history; composerp dlq list has events that failed; if there are none, " + tamper,
	"planned":    "composerp dlq list --queue replenishment, and redrive what failed; if there is none, " + rebuild,
	"on order":   "composerp dlq list --queue replenishment, and redrive what failed; if there is none, " + rebuild,
	"in transit": "composerp dlq list --queue replenishment, and redrive what failed; if there is none, " + rebuild,
	"transfers":  "composerp doctor says what to do about each kind; composerp finding acknowledge, once it is done or needs nothing",
	"receipts":   "composerp doctor says what to do; composerp finding acknowledge, once it is done or needs nothing",
	"sent":       "composerp dlq list --queue procurement, and redrive what failed; composerp po show ID says what the supplier answered",
	"lots":       "composerp dlq list --queue lots, and redrive what failed; if there is none, " + rebuild,
	"queues":     "composerp doctor says which workers do not run; a queue that is not there: " + apply,
	"hands":      "wait, then look at the log of the worker that holds them: it may wait for the database or for a service it calls",
	"unrouted":   "composerp dlq list --queue unrouted says of each key why no queue was bound, and what to do",
	"stuck":      apply,
	"dead":       "composerp topology apply, if the queue is missing; then composerp audit again",
}

// withRemedies gives each check that has findings what to do about them.
func (r Report) withRemedies() Report {
	for i, c := range r.Checks {
		if len(c.Findings) > 0 {
			r.Checks[i].Do = remedies[c.Name]
		}
	}
	return r
}
