package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/notify"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// # Alertmanager
//
// POST /api/v2/alerts takes a list of alerts, and each post here has one
// (api/v2/openapi.yaml of prometheus/alertmanager, definition postableAlert). An
// alert is known by its labels: posted again with the same it is the same alert,
// so that a second post for an event is no second alert.
//
// An alert without an endsAt is resolved when it is not posted again within the
// Alertmanager's resolve_timeout (five minutes). Low stock is posted once and not
// every minute, so each alert is given a day to be seen. An Alertmanager keeps its
// alerts in memory: those it loses in a restart are not posted again, and stand in
// the table notification.
//
// Business time may be later than the Alertmanager's clock, when a demo runs fast:
// an alert that starts after it ends would be refused. It starts now then.

// alertTime is how long an alert burns.
const alertTime = 24 * time.Hour

// posted is an alert as the API takes it.
type posted struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// alertmanager is a channel to the Alertmanager whose base URL is given.
func alertmanager(base string, caller webcall.Caller, clock func() time.Time) notify.Channel {
	to := strings.TrimRight(base, "/") + "/api/v2/alerts"
	return notify.Channel{Name: "alertmanager", Notify: func(ctx context.Context, m notify.Message) (webcall.Answer, error) {
		body, err := json.Marshal([]posted{alertOf(m, clock())})
		if err != nil {
			return webcall.Answer{}, worker.Reject(fmt.Errorf("writing of event %s: %w", m.ID, err))
		}
		return caller.Post(ctx, to, m.Key, body)
	}}
}

func alertOf(m notify.Message, now time.Time) posted {
	starts := m.Timestamp
	if starts.After(now) {
		starts = now
	}
	return posted{
		Labels: m.Labels,
		Annotations: map[string]string{
			"summary": m.Summary, "businessTime": m.Timestamp.UTC().Format(time.RFC3339), "event": m.ID.String(),
		},
		StartsAt: starts.UTC(), EndsAt: now.Add(alertTime).UTC(),
		// It leads to the event, which has no page: composerp is no web site.
		GeneratorURL: "urn:uuid:" + m.ID.String(),
	}
}
