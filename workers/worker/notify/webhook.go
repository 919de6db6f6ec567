package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// hook is the body that a webhook gets. text is what chat systems show.
type hook struct {
	Text      string        `json:"text"`
	About     string        `json:"about"`
	EventID   uuid.UUID     `json:"eventId"`
	EventType event.Type    `json:"eventType"`
	TenantID  string        `json:"tenantId"`
	Timestamp time.Time     `json:"timestamp"` // business time
	Payload   event.Payload `json:"payload"`
}

// Webhook is a channel that posts JSON to a URL.
func Webhook(url string, caller webcall.Caller) Channel {
	return Channel{Name: "webhook", Notify: func(ctx context.Context, m Message) (webcall.Answer, error) {
		body, err := json.Marshal(hook{m.Summary, m.About, m.ID, m.Type, m.TenantID, m.Timestamp.UTC(), m.Payload})
		if err != nil {
			return webcall.Answer{}, worker.Reject(fmt.Errorf("writing of event %s: %w", m.ID, err))
		}
		return caller.Post(ctx, url, m.Key, body)
	}}
}
