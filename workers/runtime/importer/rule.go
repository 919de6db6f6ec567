package importer

import (
	"regexp"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// rule says what a row becomes when all its conditions hold.
type rule struct {
	when      []condition
	reason    string // of a rule that rejects
	line      int
	aggregate template
	payload   *payload // of a rule that makes an event
}

var (
	rejectKeys = []string{"when", "reject"}
	eventKeys  = []string{"when", "event", "aggregateId", "payload"}
	ruleKeys   = []string{"when", "reject", "event", "aggregateId", "payload"}
	reasonForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

func (m *Mapping) decodeRules(n node) {
	rules := n.list("rules")
	if len(rules) == 0 {
		n.fail("want a list of one rule or more")
	}
	for i, r := range rules {
		if i > 0 && len(m.rules[i-1].when) == 0 {
			r.fail("this rule is never reached: the one before it has no when, so it takes every row")
		}
		m.rules = append(m.rules, m.decodeRule(r))
	}
}

func (m *Mapping) decodeRule(n node) rule {
	keys := n.keyed("a rule with the keys "+strings.Join(ruleKeys, ", "), ruleKeys)
	made := rule{line: n.line}
	if when, ok := keys["when"]; ok {
		made.when = m.decodeConditions(when)
	}
	reason, rejects := keys["reject"]
	kind, makes := keys["event"]
	if rejects == makes {
		n.fail("want either reject with a reason, or event with a type")
		return made
	}
	allowed := eventKeys
	if rejects {
		allowed = rejectKeys
		if made.reason = reason.text("a reason"); !reasonForm.MatchString(made.reason) {
			reason.fail("want a reason of small letters, digits and _ such as not_stocked, got %q", made.reason)
		}
	}
	for _, k := range n.only("a rule", ruleKeys) {
		if !slices.Contains(allowed, k.key) {
			k.fail("has no meaning in a rule with %s; allowed there: %s", allowed[1], strings.Join(allowed, ", "))
		}
	}
	if makes {
		m.decodeEvent(n, kind, keys, &made)
	}
	return made
}

func (m *Mapping) decodeEvent(n, kind node, keys map[string]node, made *rule) {
	for _, must := range []string{"aggregateId", "payload"} {
		if _, ok := keys[must]; !ok {
			n.fail("the key %q is missing; a rule that makes an event has %s", must, strings.Join(eventKeys, ", "))
			return
		}
	}
	made.aggregate = m.decodeTemplate(keys["aggregateId"])
	made.payload = m.decodePayload(kind, keys["payload"])
}

// ruleOf gives the rule that makes an event of a row, or why none does.
func (m *Mapping) ruleOf(r *row) (*rule, *Rejection) {
	for i := range m.rules {
		met, problem := m.rules[i].matches(r)
		if problem != nil {
			return nil, problem
		}
		if !met {
			continue
		}
		if m.rules[i].payload == nil {
			return nil, rowfile.Reject(m.rules[i].reason, "rule %d of the mapping, line %d", i+1, m.rules[i].line)
		}
		return &m.rules[i], nil
	}
	return nil, rowfile.Reject(ReasonNoRule, "no rule of the mapping matches the row")
}

func (l *rule) matches(r *row) (bool, *Rejection) {
	for _, c := range l.when {
		if met, problem := c.holds(r); !met || problem != nil {
			return false, problem
		}
	}
	return true, nil
}

func (m *Mapping) fill(l *rule, r *row, id *identity, occurrence int64) (event.Any, *Rejection) {
	env := event.Envelope{}
	for _, field := range []struct {
		from template
		into *string
	}{
		{m.common.tenant, &env.TenantID}, {m.common.source, &env.Metadata.Source}, {l.aggregate, &env.AggregateID},
		{m.common.correlation, &env.Metadata.CorrelationID}, {m.common.user, &env.Metadata.UserID},
	} {
		text, problem := field.from.render(r)
		if problem != nil {
			return event.Any{}, problem
		}
		*field.into = text
	}
	var problem *Rejection
	if env.Timestamp, problem = m.common.timestamp.time(r, "timestamp"); problem != nil {
		return event.Any{}, problem
	}
	payload, problem := l.payload.fill(r, env.Timestamp)
	if problem != nil {
		return event.Any{}, problem
	}
	env.ID = id.rowID(env.TenantID, env.Metadata.Source, occurrence)
	made, err := event.Encode(env, payload)
	if err != nil {
		return event.Any{}, rowfile.Reject(ReasonInvalid, "%s", err)
	}
	return made, nil
}
