package deadletters_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// generations opens a second generation of the inbox now, and drops the first.
func (p *env) generations() {
	p.Helper()
	if rotated, err := inbox.Rotate(p.Context(), p.DB, 0); err != nil || !rotated {
		p.Fatalf("the inbox is not rotated: %v", err)
	}
	p.count(`WITH gone AS (DELETE FROM inbox_generation WHERE generation = 1 RETURNING 1) SELECT count(*) FROM gone`)
	p.Exec(`DROP TABLE inbox_1`)
}

// tick makes one, as the ticker does.
func (p *env) tick() {
	p.Helper()
	p.Exec(`INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq)
		SELECT max(id) + 1, 1, pg_current_snapshot(), 0, coalesce(pg_sequence_last_value('event_log_seq'), 0) FROM tick`)
}

// logged is an event from outside that is in the log, and its place there.
func (p *env) logged() (event.Any, int64) {
	p.Helper()
	e := p.sale("acme", uuid.NewString())
	p.Admit(e)
	places, err := eventlog.AdmittedAt(p.Context(), p.DB, []uuid.UUID{e.ID})
	p.Must(err)
	return e, places[e.ID]
}

func TestWhatTheInboxCanNotProveIsRefused(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	said := func(e event.Any, seq int64) rabbitmq.Message {
		m := dead(e, ledger, errNoCup)
		m.Headers[rabbitmq.HeaderLogSeq] = seq
		return m
	}
	old, oldSeq := p.logged()
	admitted, _ := p.logged()
	p.tick()
	p.generations()
	p.tick()
	young, youngSeq := p.logged()
	youngAdmitted, _ := p.logged()
	unknown := p.sale("acme", "never logged")
	p.Send(said(old, oldSeq), dead(admitted, ledger, errNoCup), said(young, youngSeq), dead(youngAdmitted, ledger, errNoCup), dead(unknown, ledger, errNoCup))
	p.Send(rabbitmq.Message{ID: "no event", Exchange: topology.Dead, RoutingKey: ledgerQueue, Body: []byte("?"), Timestamp: noon})

	for range 2 { // refused once is refused again
		report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: deadletters.Steady(0)})
		storetest.Must(t, err)
		var refused []string
		for _, r := range report.Refused {
			refused = append(refused, r.EventID.String())
			if !strings.Contains(r.Why, "generation 2") {
				t.Errorf("it is refused because %s", r.Why)
			}
		}
		want := []string{old.ID.String(), admitted.ID.String(), unknown.ID.String()}
		if !slices.Equal(refused, want) {
			t.Errorf("refused are %v, want %v", refused, want)
		}
		if !strings.Contains(report.Refused[0].Why, fmt.Sprintf("place %d", oldSeq)) || !strings.Contains(report.Refused[2].Why, "not known") {
			t.Errorf("the reasons are %+v", report.Refused)
		}
		p.Eventually("the refused are back", func() bool { return p.Depth(deadQueue) == 3 })
	}
	if n := p.Depth(ledgerQueue); n != 3 {
		t.Errorf("put back were %d", n)
	}
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: deadletters.Steady(0), Force: true})
	storetest.Must(t, err)
	if report.Redriven != 3 || len(report.Refused) != 0 {
		t.Errorf("by force %+v", report)
	}
}

// Without a tick since, nothing is known to be younger; and a worker that keeps no inbox needs no proof.
func TestWhenNothingIsKnownAllIsOld(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.generations()
	e, seq := p.logged()
	m := dead(e, ledger, errNoCup)
	m.Headers[rabbitmq.HeaderLogSeq] = seq
	p.Send(m)
	report, err := p.cfg.Redrive(t.Context(), deadletters.Redrive{Queue: queue, Pace: deadletters.Steady(0)})
	storetest.Must(t, err)
	if len(report.Refused) != 1 || report.Redriven != 0 {
		t.Errorf("the report is %+v", report)
	}
	report, err = p.cfg.Redrive(t.Context(), deadletters.Redrive{
		Queue: deadletters.Queue{Worker: ledger}, Pace: deadletters.Pace{Steps: []int{0}, Timeout: time.Millisecond},
	})
	storetest.Must(t, err)
	if report.Redriven != 1 {
		t.Errorf("without an inbox %+v", report)
	}
}
