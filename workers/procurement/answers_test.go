package procurement_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestARefusalIsKeptAndMayBeCorrected(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	potter.answers(http.StatusUnprocessableEntity, `{"error":"no cups of clay this year"}`)
	s := newShop(t, potter.URL)
	s.handle(approved(t, "o-1"))
	e := created(t, "o-1")
	_, err := workertest.Handle(t, s.DB, s.w, e)
	if !errors.Is(err, worker.ErrRejected) || !strings.Contains(err.Error(), "sending order o-1 to supplier potter") || !strings.Contains(err.Error(), "no cups of clay this year") {
		t.Fatalf("want the supplier's words, got %v", err)
	}
	if d := s.wantStatus("o-1", "REFUSED"); d.Failure != err.Error() || d.Attempts != 1 {
		t.Errorf("want the reason kept, got %+v", d)
	}
	potter.answer = nil
	s.handle(e)
	if d := s.wantStatus("o-1", "SENT"); d.Failure != "" || d.Attempts != 2 {
		t.Errorf("want the refusal forgotten, got %+v", d)
	}
}

// What a supplier answers is a stranger's: the order is taken, and of the answer is kept what can be.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	for name, c := range map[string]struct {
		status              int
		body                string
		reference, promised string
		warned              bool
	}{
		"nothing":          {204, ``, "", "", false},
		"no reference":     {200, `{}`, "", "", false},
		"no JSON":          {200, `<html>thanks</html>`, "", "", true},
		"a number":         {200, `{"supplierReference":77,"promisedDate":"2026-03-09"}`, "", "2026-03-09", true},
		"no date":          {200, `{"supplierReference":"S","promisedDate":"soon"}`, "S", "", true},
		"a day in no year": {200, `{"supplierReference":"S","promisedDate":"0000-01-01"}`, "S", "", true},
		"NUL and escapes":  {200, `{"supplierReference":"S\u0000\u001b[31m 7\n\ud800"}`, "S [31m 7", "", false},
		"known already":    {409, confirmed, "S-77", "2026-03-09", false},
		"a long one":       {201, `{"supplierReference":"` + strings.Repeat("ß", 5000) + `"}`, strings.Repeat("ß", 100), "", false},
		"without an end":   {200, strings.Repeat(" ", 1<<20) + confirmed, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			potter.answers(c.status, c.body)
			s.log.Reset()
			s.handle(created(t, name), approved(t, name))
			d := s.wantStatus(name, "SENT")
			if d.Reference != c.reference || d.Promised.String != c.promised || int(d.AnswerStatus.Int64) != c.status {
				t.Errorf("want %q and %q, got %+v", c.reference, c.promised, d)
			}
			if warned := strings.Contains(s.log.String(), "level=WARN"); warned != c.warned {
				t.Errorf("want a warning: %t, got %s", c.warned, s.log)
			}
		})
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	strange, potter := newSupplier(t), newSupplier(t)
	s := newShop(t, potter.URL)
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, int){
		"unavailable": func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a redirect": func(w http.ResponseWriter, r *http.Request, _ int) {
			http.Redirect(w, r, strange.URL, http.StatusTemporaryRedirect)
		},
		"half an answer": func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"supplierRef`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			potter.answer = answer
			s.handle(created(t, name))
			e := approved(t, name)
			_, err := workertest.Handle(t, s.DB, s.w, e)
			if err == nil || errors.Is(err, worker.ErrRejected) {
				t.Fatalf("want to try again, got %v", err)
			}
			if d := s.wantStatus(name, "SENDING"); d.Failure != err.Error() {
				t.Errorf("want the reason kept, got %+v", d)
			}
			potter.answer = nil
			s.endWait()
			s.handle(e)
			s.wantStatus(name, "SENT")
			if calls := strange.called(); len(calls) != 0 {
				t.Errorf("the redirect was followed: %+v", calls)
			}
		})
	}
}

// While a supplier is away no call is made, and an order that was not sent counts no attempt.
func TestASupplierThatIsAwayIsLeftAlone(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL+"/orders")
	potter.answers(http.StatusServiceUnavailable, "")
	for i, order := range []string{"o-1", "o-2", "o-3"} {
		s.handle(created(t, order))
		_, err := workertest.Handle(t, s.DB, s.w, approved(t, order))
		if !errors.Is(err, worker.ErrUnavailable) || errors.Is(err, worker.ErrCircuitOpen) != (i > 0) {
			t.Fatalf("order %s: want it to wait, called if it is the first, got %v", order, err)
		}
	}
	if calls := potter.called(); len(calls) != 1 {
		t.Errorf("want one call, got %+v", calls)
	}
	if d := s.wantStatus("o-1", "SENDING"); d.Attempts != 1 || !strings.Contains(d.Failure, "503") {
		t.Errorf("want the call and its end kept, got %+v", d)
	}
	if d := s.wantStatus("o-2", "WAITING"); d.Attempts != 0 || !strings.Contains(d.Failure, "circuit open: "+potter.URL+" is away") {
		t.Errorf("want no call counted, and why, got %+v", d)
	}
	s.handle(cancelled(t, "o-2")) // the supplier was not called: there is no doubt
	s.wantStatus("o-2", "CANCELLED")
	potter.answer = nil
	s.endWait()
	for _, order := range []string{"o-1", "o-3"} {
		s.handle(approved(t, order))
		if d := s.wantStatus(order, "SENT"); d.Failure != "" {
			t.Errorf("want the wait forgotten, got %+v", d)
		}
	}
}

// An order whose request was not sent counts no attempt, and is cancelled without a doubt; one that a call before may
// have brought stays in doubt.
func TestAnOrderThatCouldNotBeSent(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	down := newSupplier(t)
	down.Close()
	send := func(order string) {
		t.Helper()
		if _, err := workertest.Handle(t, s.DB, s.w, approved(t, order)); !errors.Is(err, worker.ErrUnavailable) {
			t.Fatalf("want order %s to wait, got %v", order, err)
		}
		s.endWait()
	}
	potter.answer = func(http.ResponseWriter, *http.Request, int) { panic(http.ErrAbortHandler) }
	s.handle(created(t, "o-1"), created(t, "o-2"))
	send("o-1")
	s.endpoint(down.URL)
	send("o-1")
	send("o-2")
	if d := s.wantStatus("o-1", "SENDING"); d.Attempts != 1 {
		t.Errorf("want the call counted that may have arrived, got %+v", d)
	}
	if d := s.wantStatus("o-2", "WAITING"); d.Attempts != 0 || !strings.HasSuffix(d.Failure, "the request was not sent") {
		t.Errorf("want no call counted, and why, got %+v", d)
	}
	s.handle(cancelled(t, "o-1"), cancelled(t, "o-2"))
	s.wantStatus("o-1", "CANCELLED_IN_DOUBT")
	s.wantStatus("o-2", "CANCELLED")
}
