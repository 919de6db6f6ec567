package audit_test

import (
	"encoding/json"
	"testing"
	"time"

	storeaudit "github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/audit"
)

func TestReportJSON(t *testing.T) {
	t.Parallel()
	r := audit.Report{Verdict: audit.Findings, ElapsedMs: 5, Checks: []storeaudit.Check{{
		Name: "implied", What: "it is so", Count: 2, Unit: "events", Wrong: 1, Findings: []storeaudit.Finding{{EventID: "e", Type: "T", Problem: "is not"}},
	}}}
	got, err := json.Marshal(r)
	storetest.Must(t, err)
	const want = `{"verdict":"findings","checks":[{"name":"implied","what":"it is so","ok":false,"count":2,"unit":"events","wrong":1,` +
		`"findings":[{"eventId":"e","type":"T","problem":"is not"}]}],` +
		`"counts":{"events":0,"published":0,"byType":null,"consumers":null,"movements":0,"positions":0,"items":0,"unitsNet":0},"fresh":0,"elapsedMs":5}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	r := audit.Report{Verdict: audit.Findings, Elapsed: 4236 * time.Millisecond, Checks: []storeaudit.Check{
		{Name: "log", What: "every event is in the log", OK: true, Count: 641_410, Unit: "events"},
		{Name: "implied", What: "stock moved as the log says", Count: 320_705, Unit: "events", Wrong: 1_204, Findings: []storeaudit.Finding{
			{EventID: "45f10bf1", Type: "SALE_COMPLETED", Tenant: "acme", Item: "85123A", Location: "UK-WH", Problem: "has moved -5 instead of -6"}}},
		{Name: "stuck", What: "no message is stuck", Unit: "queues", Skipped: "no access"},
	}}
	r.Counts = storeaudit.Counts{Events: 641_410, Published: 641_410, ByType: map[string]int64{"SALE_COMPLETED": 320_705},
		Consumers: []storeaudit.ConsumerCounts{{Consumer: "ledger", Handled: 320_704, Dead: 2, Copies: 1}}, Movements: 2, Positions: 2, Items: 1}
	const want = `FINDINGS: something does not add up, after 4.2s

  ✓ log      641,410 events           every event is in the log
  ✗ implied  1,204 of 320,705 events  NOT: stock moved as the log says
  – stuck    not seen                 no message is stuck

implied
  SALE_COMPLETED event 45f10bf1 acme/85123A/UK-WH has moved -5 instead of -6
  ... and 1,203 more

stuck could not be checked: no access

641,410 events in the log, 641,410 of them published from here
  320,705  SALE_COMPLETED
ledger has handled 320,704 events; 2 dead letters, 1 of them copies
2 movements of 1 item in 2 positions; 0 units on hand, net
`
	if got := r.Table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What was reported from outside is shown with what to do, and everything adds up all the same.
func TestTableOfWhatWasReported(t *testing.T) {
	t.Parallel()
	r := audit.Report{Verdict: audit.Proven, Checks: []storeaudit.Check{
		{Name: "transfers", What: "what was received was sent", OK: true, Count: 30, Unit: "transfer legs", Reported: 12, Do: "look", Findings: []storeaudit.Finding{
			{Tenant: "acme", Item: "A", Location: "depot", Problem: "3 came"}}},
	}}
	const want = `PROVEN: everything adds up; what was reported from outside does not, see below, after 0s

  ! transfers  12 of 30 transfer legs  REPORTED OTHERWISE: what was received was sent

transfers
  acme/A/depot 3 came
  ... and 11 more
  -> look

0 events in the log, 0 of them published from here
0 movements of 0 items in 0 positions; 0 units on hand, net
`
	if got := r.Table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
