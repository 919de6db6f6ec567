package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// # Policies
//
// A policy or an operator policy changes what a queue does, and not its arguments: Diff does not see it. Where argument
// and policy name the same setting, a quorum queue takes the smaller of both for message-ttl, max-length and
// delivery-limit, the policy's for expires and overflow, and the argument's for dead-letter-*.

// PolicyEffect is what a setting of a policy does to queues of the fleet.
type PolicyEffect struct {
	Policy  string // "policy ttl", "operator policy limits", or both
	Setting string // "message-ttl"
	Value   any
	Queues  []string // in the order of the topology
	Effect  string   // a sentence's end
	Loses   bool     // it can lose messages
}

// String describes the effect in words.
func (e PolicyEffect) String() string {
	return fmt.Sprintf("%s gives %s %s %s: %s", e.Policy, e.Where(), e.Setting, Literal(e.Value), e.Effect)
}

// Difference is the effect as one of Diff's.
func (e PolicyEffect) Difference() Difference {
	return Difference{Kind: "policy", Name: e.Policy, State: Changed, Property: e.Setting, Have: e.Value, Effect: e.Where() + ": " + e.Effect}
}

// Where names the first queue, and how many more there are.
func (e PolicyEffect) Where() string {
	if more := len(e.Queues) - 1; more > 0 {
		return fmt.Sprintf("%s and %d more", e.Queues[0], more)
	}
	return e.Queues[0]
}

// PolicyEffects returns what the policies of a broker do to the queues of t, by their states there: one effect for all
// queues that a policy changes in the same way.
func (t Topology) PolicyEffects(states map[string]QueueState) []PolicyEffect {
	var found []PolicyEffect
	for _, spec := range t.Queues {
		for _, e := range spec.policyEffects(states[spec.Name]) {
			same := slices.IndexFunc(found, func(f PolicyEffect) bool {
				return f.Policy == e.Policy && f.Setting == e.Setting && f.Effect == e.Effect && Literal(f.Value) == Literal(e.Value)
			})
			if same < 0 {
				found = append(found, e)
			} else {
				found[same].Queues = append(found[same].Queues, spec.Name)
			}
		}
	}
	return found
}

// policySettings are those that an effect is known of, in the order in which effects are told.
var policySettings = []string{"expires", "message-ttl", "max-length", "max-length-bytes", "overflow", "delivery-limit"}

func (q QueueSpec) policyEffects(state QueueState) []PolicyEffect {
	var found []PolicyEffect
	for _, setting := range policySettings {
		value, set := state.Policy[setting]
		if !set {
			continue
		}
		if effect, loses := q.effect(setting, value, state.Policy); effect != "" {
			found = append(found, PolicyEffect{state.PolicyName, setting, value, []string{q.Name}, effect, loses})
		}
	}
	return found
}

// effect is what a setting does to the queue, "" for nothing.
func (q QueueSpec) effect(setting string, value any, policy map[string]any) (effect string, loses bool) {
	number, _ := value.(float64)
	deadLettered := q.Arguments["x-dead-letter-exchange"] != nil
	dropHead := policy["overflow"] == "drop-head" || policy["overflow"] == nil && q.Arguments["x-overflow"] == nil
	switch setting {
	case "expires":
		return fmt.Sprintf("a queue without a consumer for %s is deleted, with its messages", milliseconds(number)), true
	case "message-ttl":
		return q.shorterTTL(number, deadLettered)
	case "max-length", "max-length-bytes":
		switch {
		case !dropHead:
			return "a full queue refuses messages: the relay waits, and external publishers are refused", false
		case deadLettered:
			return "a full queue makes its oldest messages dead letters, at most once", true
		}
		return "a full queue deletes its oldest messages", true
	case "overflow":
		if deadLettered && dropHead {
			return "messages become dead letters, or return from a retry queue, at most once", true
		}
	case "delivery-limit":
		return q.lowerLimit(number, deadLettered)
	}
	return "", false
}

// shorterTTL is the effect of message-ttl. A retry queue has a TTL of its own, and the smaller one counts.
func (q QueueSpec) shorterTTL(number float64, deadLettered bool) (effect string, loses bool) {
	own, retries := q.Arguments["x-message-ttl"].(int64)
	switch {
	case retries && number >= float64(own):
		return "", false
	case retries:
		return "retries come sooner than their delay says", false
	case deadLettered:
		return fmt.Sprintf("a message that waits for %s becomes a dead letter", milliseconds(number)), false
	}
	return fmt.Sprintf("a message that waits for %s is deleted", milliseconds(number)), true
}

// lowerLimit is the effect of delivery-limit.
func (q QueueSpec) lowerLimit(number float64, deadLettered bool) (effect string, loses bool) {
	own, limited := q.Arguments["x-delivery-limit"].(int64)
	switch {
	case limited && number >= float64(own):
		return "", false
	case deadLettered:
		return fmt.Sprintf("a message becomes a dead letter after %.0f deliveries, and each lost connection counts", number), false
	}
	return fmt.Sprintf("a message is deleted after %.0f deliveries, and each look at the queue counts", number), true
}

func milliseconds(n float64) string {
	return shortDuration(time.Duration(n) * time.Millisecond)
}

// Policies names the policies of the queue and what they set of that which has an effect: "policy ttl: message-ttl
// 3000 ms"; "" without a policy.
func (q QueueState) Policies() string {
	if q.PolicyName == "" {
		return ""
	}
	var settings []string
	for _, setting := range policySettings {
		if value, set := q.Policy[setting]; set {
			text := strings.TrimSpace(fmt.Sprintf("%s %s %s", setting, strings.Trim(Literal(value), `"`), settingUnits[setting]))
			settings = append(settings, text)
		}
	}
	if len(settings) == 0 {
		return q.PolicyName
	}
	return q.PolicyName + ": " + strings.Join(settings, ", ")
}

var settingUnits = map[string]string{"expires": "ms", "message-ttl": "ms", "max-length-bytes": "bytes"}

// PolicyNames is how an effect names the policies of a queue.
func PolicyNames(policy, operatorPolicy string) string {
	var names []string
	if policy != "" {
		names = append(names, "policy "+policy)
	}
	if operatorPolicy != "" {
		names = append(names, "operator policy "+operatorPolicy)
	}
	return strings.Join(names, " with ")
}
