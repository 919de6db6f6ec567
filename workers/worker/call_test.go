package worker_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// partner is a server in the outside world, called by HTTP.
type partner struct {
	*httptest.Server
	answer func(call int) int // a status, by the number of the call, from 1

	mu   sync.Mutex
	keys []string
}

func newPartner(t testing.TB, answer func(call int) int) *partner {
	t.Helper()
	p := &partner{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.keys = append(p.keys, r.Header.Get("Idempotency-Key"))
		call := len(p.keys)
		p.mu.Unlock()
		w.WriteHeader(p.answer(call))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *partner) calls() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.keys)
}

func always(status int) func(int) int { return func(int) int { return status } }

// ordering is a worker that orders at the partner's what was sold, and says so;
// before, if given, runs in the transaction that records the answer.
func ordering(p *partner, before func(tx *worker.Tx) error) worker.Worker {
	return worker.New("echo", worker.RetryDelays(retryDelay), worker.OnCall(func(ctx context.Context, sale event.Of[event.SaleCompleted]) (worker.Record, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, strings.NewReader(sale.Payload.ItemID))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Idempotency-Key", webcall.IdempotencyKey(sale.Payload.SaleID, "order"))
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		_ = answer.Body.Close()
		switch {
		case answer.StatusCode >= 500:
			return nil, errors.New(answer.Status)
		case answer.StatusCode >= 400:
			return nil, worker.Reject(errors.New(answer.Status))
		}
		return func(_ context.Context, tx *worker.Tx) error {
			if before != nil {
				if err := before(tx); err != nil {
					return err
				}
			}
			return echo(tx, sale.Envelope)
		}, nil
	}))
}

func TestOnCallCallsOnceAndRecordsTheAnswer(t *testing.T) {
	t.Parallel()
	p := newPartner(t, always(http.StatusOK))
	w := ordering(p, nil)
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	sale := workertest.Sale(t, "cup", "shop", "1")
	h.Publish(sale, sale)
	h.Eventually("both copies are acknowledged", func() bool { return r.Messages("handled") == 1 && r.Messages("duplicate") == 1 })
	h.wantEffects(1)
	if keys := p.calls(); !slices.Equal(keys, []string{"sale-1:order"}) {
		t.Errorf("want one call, the second copy known to the inbox before it is made; got %q", keys)
	}
}

func TestOnCallHasNoTransactionOpen(t *testing.T) {
	t.Parallel()
	called, looked := make(chan struct{}), make(chan struct{})
	p := newPartner(t, func(int) int {
		called <- struct{}{}
		<-looked
		return http.StatusOK
	})
	w := ordering(p, nil)
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	h.Publish(workertest.Sale(t, "cup", "shop", "1"))
	workertest.Wait(h, "the call is made", called)
	open := storetest.Value[int](t, h.URL, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'`)
	close(looked)
	if open != 0 {
		t.Errorf("want no transaction open during the call, got %d", open)
	}
	h.wantEffects(1)
}

func TestOnCallRepeatsTheKeyAfterARecordThatFailed(t *testing.T) {
	t.Parallel()
	p := newPartner(t, always(http.StatusOK))
	w := ordering(p, func(*worker.Tx) error {
		if len(p.calls()) == 1 {
			return errors.New("the record is lost")
		}
		return nil
	})
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	h.Publish(workertest.Sale(t, "cup", "shop", "1"))
	h.wantEffects(1)
	h.Eventually("it is counted as retried", func() bool { return r.Messages("retried") == 1 })
	if keys := p.calls(); !slices.Equal(keys, []string{"sale-1:order", "sale-1:order"}) {
		t.Errorf("want the call again with the same key; got %q", keys)
	}
}

func TestOnCallFailsAsTheAnswerSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(call int) int
		calls  int
		dead   bool
	}{
		"once unavailable":   {func(call int) int { return map[int]int{1: 503, 2: 200}[call] }, 2, false},
		"always unavailable": {always(503), 2, true},
		"never":              {always(422), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPartner(t, c.answer)
			w := ordering(p, nil)
			h := newEnv(t, w)
			h.RunWorker(w, 1)
			h.Publish(workertest.Sale(t, "cup", "shop", "1"))
			if c.dead {
				h.Receive(topology.DeadQueueName("echo"), 1)
				h.wantEffects(0)
			} else {
				h.wantEffects(1)
			}
			if n := len(p.calls()); n != c.calls {
				t.Errorf("want %d calls, got %d", c.calls, n)
			}
		})
	}
}

// Two slots may call at the same moment for two copies of one event; what is
// recorded is recorded once.
func TestOnCallInTwoSlotsRecordsOnce(t *testing.T) {
	t.Parallel()
	both := make(chan struct{})
	p := newPartner(t, func(call int) int {
		if call == 2 {
			close(both)
		}
		<-both
		return http.StatusOK
	})
	w := ordering(p, nil)
	h := newEnv(t, w)
	r := h.RunWorker(w, 2)
	sale := workertest.Sale(t, "cup", "shop", "1")
	h.Publish(sale, sale)
	h.Eventually("both are acknowledged", func() bool { return r.Messages("handled") == 1 && r.Messages("duplicate") == 1 })
	h.wantEffects(1)
}
