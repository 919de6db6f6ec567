package procurement_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/procurement"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestACancellationAfterSendingIsRecorded(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	s.handle(created(t, "o-1"), approved(t, "o-1"), cancelled(t, "o-1"), approved(t, "o-1"))
	d := s.wantStatus("o-1", "CANCELLED_AFTER_SENDING")
	if d.Reference != "S-77" || len(potter.called()) != 1 {
		t.Errorf("want what the supplier said kept and one call, got %+v, %d calls", d, len(potter.called()))
	}
	if !strings.Contains(s.log.String(), "its supplier may have") {
		t.Errorf("want it said, got %s", s.log)
	}
}

// A cancellation that comes while the supplier works: the answer is recorded beside it.
func TestACancellationDuringTheCall(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	potter.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
		if _, err := workertest.Handle(t, s.DB, s.w, cancelled(t, "o-1")); err != nil {
			t.Error(err)
		}
		s.wantStatus("o-1", "CANCELLED_IN_DOUBT")
		_, _ = io.WriteString(w, confirmed)
	}
	s.handle(created(t, "o-1"), approved(t, "o-1"))
	s.wantStatus("o-1", "CANCELLED_AFTER_SENDING")
}

// Between two tries: it is not tried again, and whether the first arrived is unknown.
func TestACancellationBetweenTwoTries(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{http.StatusBadGateway: "CANCELLED_IN_DOUBT", http.StatusNotFound: "CANCELLED"} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			potter := newSupplier(t)
			potter.answers(status, "")
			s := newShop(t, potter.URL)
			s.handle(created(t, "o-1"))
			e := approved(t, "o-1")
			if _, err := workertest.Handle(t, s.DB, s.w, e); err == nil {
				t.Fatal("want a failure")
			}
			s.handle(cancelled(t, "o-1"))
			potter.answer = nil
			s.handle(e)
			if d := s.wantStatus("o-1", want); len(potter.called()) != 1 || d.Attempts != 1 {
				t.Errorf("want no second call, got %d, %+v", len(potter.called()), d)
			}
		})
	}
}

func TestAHangingSupplierIsTriedAgain(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	s.w = procurement.Hurried(signer(t), nil, 300*time.Millisecond, time.Second)
	potter.answer = func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }
	s.handle(created(t, "o-1"))
	e := approved(t, "o-1")
	if _, err := workertest.Handle(t, s.DB, s.w, e); err == nil || !strings.Contains(err.Error(), "no answer within 300ms") {
		t.Fatalf("want it given up, got %v", err)
	}
	s.wantStatus("o-1", "SENDING")
	potter.answer = nil
	s.endWait()
	s.handle(e)
	s.wantStatus("o-1", "SENT")
}

// Several slots, the two events of each order side by side in the queue, each twice.
func TestManySlotsBehindABroker(t *testing.T) {
	t.Parallel()
	const orders = 40
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	s.run(6)
	for i := range orders {
		order := fmt.Sprintf("o-%d", i)
		c, a := created(t, order), approved(t, order)
		s.Publish(c, a, a, c)
	}
	s.Eventually("every order is sent", func() bool {
		n := 0
		for i := range orders {
			if s.row(fmt.Sprintf("o-%d", i)) && s.dispatch(fmt.Sprintf("o-%d", i)).Status == "SENT" {
				n++
			}
		}
		return n == orders
	})
	keys := map[string]int{}
	for _, c := range potter.called() {
		keys[c.key]++
	}
	if len(keys) != orders {
		t.Errorf("want %d orders with the supplier, got %d", orders, len(keys))
	}
	if n := s.Depth(topology.DeadQueueName("procurement")); n != 0 {
		t.Errorf("want nothing dead, got %d", n)
	}
}

// A supplier that asks for time is called after it, and not before: the order takes the first retry delay that is long
// enough, and that is no attempt.
func TestRetryAfterTakesADelayThatIsLongEnough(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header func() string
		delay  time.Duration
	}{
		"seconds": {func() string { return "120" }, 10 * time.Minute},
		"a date":  {func() string { return time.Now().Add(50 * time.Minute).UTC().Format(http.TimeFormat) }, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			potter := newSupplier(t)
			potter.answer = func(w http.ResponseWriter, _ *http.Request, _ int) {
				w.Header().Set("Retry-After", c.header())
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			s := newShop(t, potter.URL)
			s.w = procurement.Hurried(signer(t), nil, 0, time.Minute, 10*time.Minute, time.Hour)
			s.run(1)
			s.Publish(created(t, "o-1"), approved(t, "o-1"))
			d := s.Receive(topology.RetryQueueName("procurement", c.delay), 1)[0]
			if d.Attempt() != 0 || d.Deferred() != 1 || d.Headers[rabbitmq.HeaderWaitsFor] != potter.URL {
				t.Errorf("want a wait for the supplier and no attempt, got %+v", d.Headers)
			}
			if order := s.wantStatus("o-1", "SENDING"); !strings.Contains(order.Failure, "503") || order.Attempts != 1 {
				t.Errorf("want the reason kept, got %+v", order)
			}
			if n := storetest.Value[int](t, s.URL, `SELECT count(*) FROM failure
				WHERE outcome = 'deferred' AND dependency = $1 AND error LIKE '%503%' AND class = ''`, potter.URL); n != 1 {
				t.Errorf("want the try written down once, got %d", n)
			}
		})
	}
}

func TestARefusedOrderDiesAtOnceWithTheReason(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	potter.answers(http.StatusBadRequest, "minimum order is 100\n"+strings.Repeat("x", 1000))
	s := newShop(t, potter.URL)
	s.run(1)
	s.Publish(approved(t, "o-1"), created(t, "o-1"))
	failure := s.Receive(topology.DeadQueueName("procurement"), 1)[0].Failure()
	if failure.Attempt != 1 || !strings.Contains(failure.Error, "400 Bad Request: minimum order is 100 xxx") || len(failure.Error) > 400 {
		t.Errorf("want the supplier's words, cut, got %+v", failure)
	}
	s.wantStatus("o-1", "REFUSED")
}
