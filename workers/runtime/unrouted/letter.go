package unrouted

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/deadletters"
)

// Letter is an unrouted message, in the shape of a dead letter. DiedAt is the message's own timestamp, because the
// broker keeps no time of arrival.
type Letter struct {
	deadletters.Entry
	Reason Reason `json:"reason"`
	Do     string `json:"do"` // what helps

	delivery rabbitmq.Delivery
}

// envelope is what a body may say of its event.
type envelope struct {
	EventType event.Type `json:"eventType"`
	Tenant    string     `json:"tenantId"`
	Aggregate string     `json:"aggregateId"`
}

func envelopeOf(d rabbitmq.Delivery) (e envelope) {
	_ = json.Unmarshal(d.Body, &e) // a body that is no event says nothing
	return e
}

// Redatable returns nil when the event may be published with this business time, else why not.
func (l Letter) Redatable(at time.Time) error {
	_, err := deadletters.Redated(l.delivery.Message, at)
	if err == nil && !at.IsZero() && l.delivery.LogSeq() > 0 {
		err = deadletters.ErrHeld
	}
	if err != nil {
		return fmt.Errorf("message %s: %w", l.MessageID, err)
	}
	return nil
}

// typeOf is the event type by which workers dispatch: the message's, else its body's.
func typeOf(d rabbitmq.Delivery) event.Type {
	if d.Type != "" {
		return event.Type(d.Type)
	}
	return envelopeOf(d).EventType
}

// letterOf reads an unrouted message, whatever is in it.
func (r Routes) letterOf(d rabbitmq.Delivery) Letter {
	known := deadletters.LetterOf(d)
	body := envelopeOf(d)
	key, eventType := keyOf(d), typeOf(d)
	known.Consumer, known.RoutingKey, known.Type, known.Tenant, known.Aggregate = "", key, string(eventType), body.Tenant, body.Aggregate
	known.Error = "no queue is bound for " + key
	l := Letter{Entry: deadletters.EntryOf(known), Reason: r.Reason(key, eventType), delivery: d}
	l.Queue, l.Fingerprint, l.Do = topology.Unrouted, "", l.Reason.Advice()
	return l
}

// Matches tells whether the filter selects the letter. An error is looked for in its reason too.
func (l Letter) Matches(of failures.LetterFilter) bool {
	is := func(wanted, have string) bool { return wanted == "" || wanted == have }
	switch {
	case !is(of.Type, l.Type), !is(of.Tenant, l.Tenant), !is(of.Aggregate, l.Aggregate), of.Quarantine != "":
		return false
	case !strings.Contains(strings.ToLower(string(l.Reason)+" "+l.Error), strings.ToLower(of.Error)):
		return false
	case !of.Since.IsZero() && l.DiedAt.Before(of.Since), !of.Until.IsZero() && !l.DiedAt.Before(of.Until):
		return false
	}
	return len(of.IDs) == 0 || slices.ContainsFunc(of.IDs, func(id string) bool {
		return id == l.ID.String() || id == l.MessageID || l.EventID != nil && id == l.EventID.String()
	})
}
