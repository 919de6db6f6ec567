package findings_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/storetest"
)

// An acknowledgement holds for a finding as it was seen: one that changes is open, and the former is kept as past.
func TestAcknowledgedFindings(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	p.Exec(`INSERT INTO replenishment_state (tenant_id, item_id, location_id, latest_at) VALUES ('acme', 'cup', 'north', '2026-03-20Z')`)
	p.Exec(`INSERT INTO transfer (tenant_id, item_id, transfer_id, location_id, sent, received, sent_at, received_at) VALUES
		('acme', 'cup', 't1', 'north', 5, 6, '2026-03-01Z', '2026-03-02Z'), ('acme', 'cup', 't2', 'north', 0, 2, NULL, '2026-03-02Z')`)
	list := func() map[string]findings.Finding {
		t.Helper()
		found, err := findings.List(t.Context(), p.DB)
		storetest.Must(t, err)
		byProblem := map[string]findings.Finding{}
		for _, f := range found {
			byProblem[f.Problem] = f
		}
		return byProblem
	}
	const surplus, unknown = "6 came by transfer t1, and 5 was sent", "2 came by transfer t2, which no TRANSFER_INITIATED names"
	first := list()
	if len(first) != 2 || first[surplus].State != findings.Open || first[unknown].State != findings.Open {
		t.Fatalf("before anything is said: %+v", first)
	}
	if err := findings.Acknowledge(t.Context(), p.DB, operatorlog.By{Operator: "ann", Reason: "counted"}, []string{first[surplus].ID, "nope"}); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "nope") {
		t.Errorf("of an unknown one: %v", err)
	}
	if got := list()[surplus]; got.State != findings.Open {
		t.Errorf("together with an unknown one it was acknowledged: %+v", got)
	}
	for _, reason := range []string{"counted", "counted twice"} {
		storetest.Must(t, findings.Acknowledge(t.Context(), p.DB, operatorlog.By{Operator: "ann", Reason: reason}, []string{first[surplus].ID}))
	}
	if got := list(); got[surplus].State != findings.Acknowledged || got[surplus].Reason != "counted twice" || got[surplus].By != "ann" || got[surplus].At == nil || got[unknown].State != findings.Open {
		t.Errorf("acknowledged: %+v", got)
	}
	proof, err := audit.Run(t.Context(), p.DB, audit.Scope{Full: true, Forget: true}, nil)
	storetest.Must(t, err)
	for _, c := range proof.Checks {
		if c.Name == findings.Transfers && (c.Reported != 2 || c.Acknowledged != 1 || len(c.Findings) != 2 || c.Findings[0].Problem != unknown ||
			c.Findings[1].Problem != surplus+" (acknowledged by ann: counted twice)") {
			t.Errorf("the audit has %+v", c)
		}
	}
	p.Exec(`UPDATE transfer SET received = 7 WHERE transfer_id = 't1'`)
	if got := list(); got[surplus].State != findings.Past || got["7 came by transfer t1, and 5 was sent"].State != findings.Open {
		t.Errorf("changed: %+v", got)
	}
}
