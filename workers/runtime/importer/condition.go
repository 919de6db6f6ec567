package importer

import (
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

var (
	testKeys      = []string{"equals", "oneOf", "prefix", "matches", "empty", "lessThan", "moreThan"}
	conditionKeys = append(slices.Clone(testKeys), "not")
)

// condition is what a rule asks of one column.
type condition struct {
	slot  int
	tests []test // all must hold
	not   []test // not all of these may hold; empty: nothing is asked
}

// test asks one thing of a value. The rejection says that the value cannot be asked: it should be a number and is none.
type test func(r *row, slot int) (bool, *Rejection)

// holds says whether a row meets the condition.
func (c condition) holds(r *row) (bool, *Rejection) {
	met, problem := all(c.tests, r, c.slot)
	if !met || problem != nil || len(c.not) == 0 {
		return met, problem
	}
	met, problem = all(c.not, r, c.slot)
	return !met, problem
}

func all(tests []test, r *row, slot int) (bool, *Rejection) {
	for _, t := range tests {
		if met, problem := t(r, slot); !met || problem != nil {
			return false, problem
		}
	}
	return true, nil
}

// decodeConditions reads a rule's when: columns with what is asked of them.
func (m *Mapping) decodeConditions(n node) []condition {
	var conditions []condition
	for _, column := range n.members("columns with what is asked of them") {
		c := condition{slot: m.names.slot(column.key)}
		asked := column.only("one of "+strings.Join(conditionKeys, ", ")+" with a value", conditionKeys)
		for _, k := range asked {
			if k.key != "not" {
				c.tests = append(c.tests, k.decodeTest())
				continue
			}
			for _, inner := range k.only("one of "+strings.Join(testKeys, ", ")+" with a value", testKeys) {
				c.not = append(c.not, inner.decodeTest())
			}
			if len(c.not) == 0 {
				k.fail("want one of %s", strings.Join(testKeys, ", "))
			}
		}
		if len(asked) == 0 {
			column.fail("want one of %s", strings.Join(conditionKeys, ", "))
		}
		conditions = append(conditions, c)
	}
	if len(conditions) == 0 {
		n.fail("want columns with what is asked of them; a rule for every row has no when")
	}
	return conditions
}

func (k member) decodeTest() test {
	switch k.key {
	case "equals":
		want := k.text("a text")
		return onText(func(s string) bool { return s == want })
	case "oneOf":
		want := k.texts("texts")
		return onText(func(s string) bool { return slices.Contains(want, s) })
	case "prefix":
		want := k.text("a text")
		return onText(func(s string) bool { return strings.HasPrefix(s, want) })
	case "matches":
		pattern := k.regexp(true)
		return onText(func(s string) bool { return pattern.MatchString(s) })
	case "empty":
		want := k.text("true or false")
		if want != "true" && want != "false" {
			k.fail("want true or false, got %q", want)
		}
		return onText(func(s string) bool { return (s == "") == (want == "true") })
	}
	sign := -1
	if k.key == "moreThan" {
		sign = 1
	}
	text := k.text("a number")
	bound, err := event.ParseDecimal(text)
	if err != nil {
		k.fail("%s", err)
	}
	return func(r *row, slot int) (bool, *Rejection) {
		number, problem := r.number(slot)
		return problem == nil && number.Cmp(bound) == sign, problem
	}
}

func onText(holds func(string) bool) test {
	return func(r *row, slot int) (bool, *Rejection) {
		text, problem := r.text(slot)
		return problem == nil && holds(text), problem
	}
}
