package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// result is what became of one event of a request.
type result struct {
	// Index is the event's place in the request, from 0.
	Index   int    `json:"index"`
	EventID string `json:"eventId,omitempty"`
	// Status is that of the answer, had the event come alone.
	Status  int    `json:"status"`
	Outcome string `json:"outcome"`
	// Location is where the event's deliveries can be read.
	Location string   `json:"location,omitempty"`
	Problem  *problem `json:"problem,omitempty"`
}

// batchResult is the answer to a batch.
type batchResult struct {
	Results []result `json:"results"`
}

// publish brings the events of a request into the log.
func (g *Gateway) publish(w http.ResponseWriter, r *http.Request, k *holder) *problem {
	body, in, p := g.body(w, r)
	if p != nil {
		return p
	}
	defer in.leave()
	docs, batch, p := documents(r.Header, body)
	if p != nil {
		return p
	}
	if len(docs) > MaxEvents {
		return newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("%d events are more than the %d of a request: send several", len(docs), MaxEvents))
	}
	if !k.events.AllowN(time.Now(), len(docs)) {
		return limited(fmt.Sprintf("this key may send %d events a second", g.cfg.Rate))
	}
	results, p := g.enter(r.Context(), docs, k, in)
	if p != nil {
		return p
	}
	if batch {
		writeJSON(w, batchStatus(results), batchResult{results})
		return nil
	}
	only := results[0]
	if only.Problem != nil {
		return only.Problem
	}
	w.Header().Set("Location", only.Location)
	writeJSON(w, only.Status, only)
	return nil
}

// batchStatus is 207 as soon as an event is refused, 200 where nothing is new, else 202.
func batchStatus(results []result) int {
	status := http.StatusOK
	for _, r := range results {
		if r.Problem != nil {
			return http.StatusMultiStatus
		}
		status = max(status, r.Status)
	}
	return status
}

// enter has what can be read of the documents committed, and returns the results of all.
func (g *Gateway) enter(ctx context.Context, docs []document, k *holder, in *room) ([]result, *problem) {
	results := make([]result, len(docs))
	var events []event.Any
	var at []int
	for i, d := range docs {
		results[i].Index = i
		e, p := k.read(d)
		if p != nil {
			results[i].Status, results[i].Outcome, results[i].Problem = p.Status, p.reason, p
			continue
		}
		events, at = append(events, e), append(at, i)
	}
	if len(events) > 0 {
		verdicts, err := g.commits.commit(ctx, events, in)
		if err != nil {
			return nil, g.uncommitted(err)
		}
		for n, v := range verdicts {
			results[at[n]] = resultOf(at[n], events[n], v)
		}
	}
	for _, r := range results {
		g.metrics.events.WithLabelValues(r.Outcome).Inc()
	}
	return results, nil
}

// resultOf is the result of an event by its outcome.
func resultOf(index int, e event.Any, v eventlog.Admission) result {
	r := result{Index: index, EventID: e.ID.String(), Outcome: v.String(), Status: http.StatusAccepted}
	switch v {
	case eventlog.Duplicate:
		r.Status = http.StatusOK
	case eventlog.Conflict:
		r.Problem = newProblem(http.StatusConflict, fmt.Sprintf("the log has event %s with another body: give each event an id of its own", e.ID)).of("eventId")
	case eventlog.Untimely:
		r.Problem = newProblem(http.StatusUnprocessableEntity, v.Refusal(e).Error()).of("timestamp")
	case eventlog.ForeignCurrency:
		r.Problem = newProblem(http.StatusUnprocessableEntity, v.Refusal(e).Error()).of("payload.currency")
	}
	if r.Problem != nil {
		r.Status = r.Problem.Status
		return r
	}
	r.Location = "/v1/events/" + r.EventID
	return r
}

// uncommitted is the problem of a request whose events may not be in the log.
func (g *Gateway) uncommitted(err error) *problem {
	switch {
	case errors.Is(err, errFull):
		return unavailable("the log is slower than what comes: nothing was taken, send it again")
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrRetryable), errors.Is(err, errLate), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable("the log has not answered: send it again with the same ids, it is taken once")
	}
	g.cfg.Log.Error("the log refuses events of an HTTP request", "error", err)
	return unavailable("the log refuses this; its operator finds the reason in the gateway's log")
}
