package deadletters_test

import (
	"context"
	"errors"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

func TestARehearsalTellsWhatWouldPass(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	ids := p.zoo()
	verdicts := map[string]deadletters.Verdict{ids[0]: deadletters.Passes, ids[1]: deadletters.Duplicate, ids[2]: deadletters.BeforeCall, ids[3]: deadletters.Passes}
	var order []string
	report, err := p.cfg.Rehearse(t.Context(), deadletters.Rehearsal{Queue: queue, Try: func(_ context.Context, d rabbitmq.Delivery) (deadletters.Verdict, error) {
		order = append(order, d.ID)
		if v := verdicts[d.ID]; v != "" {
			if d.Attempt() != 0 || d.RoutingKey != ledgerQueue || d.Headers[rabbitmq.HeaderDiedOf] == nil {
				t.Errorf("it comes as %+v", d.Message)
			}
			return v, nil
		}
		return deadletters.Fails, errors.New("order " + d.ID[:1] + "7 is gone")
	}})
	storetest.Must(t, err)
	if report.Rehearsed != 6 || report.Passes != 2 || report.Duplicates != 1 || report.BeforeCall != 1 || report.Fails != 2 || len(report.Failures) != 2 {
		t.Errorf("the report is %+v", report)
	}
	if len(order) != 6 || order[0] != "no event" || order[5] != ids[4] {
		t.Errorf("they come in the order %v", order)
	}
	if n := p.Depth(deadQueue); n != 6 {
		t.Errorf("%d letters are left of 6", n)
	}
}

func TestARehearsalWithoutADatabaseComesToNoEnd(t *testing.T) {
	t.Parallel()
	p := newEnv(t)
	p.zoo()
	_, err := p.cfg.Rehearse(t.Context(), deadletters.Rehearsal{Queue: queue, Limit: 2, Filter: failures.LetterFilter{Tenant: "acme"},
		Try: func(context.Context, rabbitmq.Delivery) (deadletters.Verdict, error) {
			return deadletters.Fails, errors.Join(deadletters.ErrNoVerdict, store.ErrUnavailable)
		}})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("it says %v", err)
	}
}
