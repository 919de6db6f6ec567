package audit_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
)

func (a *audited) rotate() {
	a.Helper()
	if opened, err := inbox.Rotate(a.Context(), a.Env.DB, 0); err != nil || !opened {
		a.Fatalf("rotated: %t, %v", opened, err)
	}
}

func (a *audited) drop(age time.Duration, want int) {
	a.Helper()
	if dropped, err := inbox.Drop(a.Context(), a.Env.DB, age); err != nil || dropped != want {
		a.Fatalf("generation %d was dropped, %v; want %d", dropped, err, want)
	}
}

func TestAProvenGenerationIsDropped(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	old := a.appendEvents(2)
	a.handle(old...)
	a.audit(audit.Scope{}, "")
	a.drop(0, 0) // there is no other
	a.rotate()
	a.drop(0, 0) // the checkpoint has not seen that nothing more is written to it
	a.audit(audit.Scope{}, "")
	a.drop(time.Hour, 0)
	a.drop(0, 1)
	a.drop(0, 0)
	if there := storetest.One[bool](t, a.SQL(), `SELECT to_regclass('inbox_1') IS NOT NULL`); there {
		t.Error("its table is there")
	}
	young := a.appendEvents(2)
	a.handle(young...)
	for _, scope := range []audit.Scope{{}, {Full: true}, {}} {
		if p := a.audit(scope, ""); p.Counts.Consumers[0].Handled != 4 || checkOf(p, "handled").Count != 4 {
			t.Errorf("%+v: handled are %+v, %d deliveries are handled", scope, p.Counts.Consumers, checkOf(p, "handled").Count)
		}
	}
	if o := storetest.MustGet(eventlog.FindNewestPending(t.Context(), a.Env.DB, 0, math.MaxInt64, []string{"one"}))(t); o != nil {
		t.Errorf("%+v is pending", o)
	}
	forgotten := func(id uuid.UUID) bool {
		return storetest.One[bool](t, a.SQL(), `SELECT `+eventlog.ForgottenSQL+` FROM event_log e WHERE e.event_id = $1`, id)
	}
	if !forgotten(old[0]) || forgotten(young[0]) {
		t.Error("the dropped generation is not the one whose events count as forgotten")
	}
	// A younger one is not taken for proven.
	a.Exec(`DELETE FROM inbox WHERE event_id = $1`, young[1])
	a.audit(audit.Scope{Full: true}, "handled")
}

// What the checkpoint left open does not count as handled when the generation is dropped.
func TestWhatIsOpenOutlivesAGeneration(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	ids := a.appendEvents(2)
	a.handle(ids[0])
	a.rotate()
	a.audit(besideLoad(map[string]int64{}), "")
	a.drop(0, 1)
	for _, full := range []bool{false, true} {
		p := a.audit(audit.Scope{Full: full}, "handled")
		if c := checkOf(p, "handled"); c.Wrong != 1 || c.Findings[0].EventID != ids[1].String() {
			t.Errorf("full %t: lost are %+v", full, c.Findings)
		}
	}
	a.handle(ids[1])
	a.audit(audit.Scope{}, "")
	a.audit(audit.Scope{Full: true}, "")
}

// A row of an event that moved stock and is still to be logged prevents the drop.
func TestWhatIsStillToBeLoggedIsRemembered(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	straight := uuid.New()
	a.handle(straight)
	a.rotate()
	a.audit(audit.Scope{}, "")
	a.Exec(`INSERT INTO audit_open (checkpoint, consumer, event_id) SELECT max(id), 'intake', $1 FROM audit_checkpoint`, straight)
	a.drop(0, 0)
	a.audit(audit.Scope{}, "")
	a.drop(0, 1)
}

// Drop waits for open claims and audits, for a bounded time; then all is as before.
func TestDropWaitsForClaimsAndAudits(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.handle(a.appendEvents(1)...)
	a.rotate()
	a.audit(audit.Scope{}, "")
	tx := a.OpenTx()
	a.Claims(tx, a.worker, uuid.New())
	_, err := inbox.Drop(t.Context(), a.Env.DB, 0)
	storetest.IsError(t, err, store.ErrRetryable)
	storetest.Must(t, tx.Commit())
	tried := false
	_, err = audit.Run(t.Context(), a.Env.DB, audit.Scope{Full: true}, func(check string) {
		if !tried { // the audit has its snapshot, and has not read the inbox yet
			tried = true
			_, err := inbox.Drop(t.Context(), a.Env.DB, 0)
			storetest.IsError(t, err, store.ErrRetryable)
		}
	})
	storetest.Must(t, err)
	if n := storetest.One[int](t, a.SQL(), `SELECT count(*) FROM inbox_generation`); n != 2 || !tried {
		t.Errorf("%d generations are left", n)
	}
	a.drop(0, 1)
}
