package contract

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

func (c *comparison) enum(path string, was, is node) {
	before, now := texts(was["enum"]), texts(is["enum"])
	switch {
	case was["enum"] == nil:
		c.add(path, "is limited to "+strings.Join(now, ", "), true)
	case is["enum"] == nil:
		c.add(path, "takes any value now, it was one of "+strings.Join(before, ", "), true)
	default:
		if gone := without(before, now); len(gone) > 0 {
			c.add(path, "no longer takes "+strings.Join(gone, ", "), true)
		}
		if more := without(now, before); len(more) > 0 {
			c.add(path, "takes "+strings.Join(more, ", ")+" too: consumers that list the values must know them", false)
		}
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// exact refuses every change of a keyword: a consumer relies on it as a publisher does.
func exact(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) {
		if before, now := was[keyword], is[keyword]; !reflect.DeepEqual(before, now) {
			c.add(path, fmt.Sprintf("has the %s %s, it was %s", keyword, orNone(now), orNone(before)), true)
		}
	}
}

func orNone(value any) string {
	if value == nil {
		return "none"
	}
	return textOf(value)
}

// narrowing is a keyword that only refuses values: without it all are taken.
func narrowing(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) {
		before, now := c.was.expanded(was[keyword], 0), c.is.expanded(is[keyword], 0)
		switch {
		case reflect.DeepEqual(before, now):
		case now == nil:
			c.add(path, fmt.Sprintf("has no %s any more, it was %s", keyword, textOf(before)), false)
		default:
			c.add(path, fmt.Sprintf("has the %s %s, it was %s", keyword, textOf(now), orNone(before)), true)
		}
	}
}

// unless is a keyword that takes all values when it is absent or has the open value.
func unless(keyword string, open any) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) {
		before, now := c.was.expanded(was[keyword], 0), c.is.expanded(is[keyword], 0)
		if before == nil {
			before = open
		}
		if now == nil {
			now = open
		}
		if !reflect.DeepEqual(before, now) {
			c.add(path, fmt.Sprintf("has %s %s, it was %s", keyword, textOf(now), textOf(before)), now != open)
		}
	}
}

func least(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) { c.bound(path, keyword, one(keyword, 1), was, is) }
}

func most(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) { c.bound(path, keyword, one(keyword, -1), was, is) }
}

// limit is a bound of a value, nil where there is none. Upper bounds are negated, so that a greater one is narrower.
type limit struct {
	at        *big.Rat
	exclusive bool
	text      string
}

// one is the bound of a keyword of its own.
func one(keyword string, sign int64) func(node) (*limit, error) {
	return func(n node) (*limit, error) { return limitOf(n, keyword, sign, false) }
}

func limitOf(n node, keyword string, sign int64, exclusive bool) (*limit, error) {
	if n[keyword] == nil {
		return nil, nil //nolint:nilnil // there is no bound
	}
	at, ok := new(big.Rat).SetString(textOf(n[keyword]))
	if !ok {
		return nil, fmt.Errorf("%s is %s, no number", keyword, textOf(n[keyword]))
	}
	text := textOf(n[keyword])
	if exclusive {
		text += ", exclusive"
	}
	return &limit{at.Mul(at, big.NewRat(sign, 1)), exclusive, text}, nil
}

// lower and upper are the bounds of numbers, the narrower of two.
func lower(n node) (*limit, error) { return narrower(n, "minimum", "exclusiveMinimum", 1) }
func upper(n node) (*limit, error) { return narrower(n, "maximum", "exclusiveMaximum", -1) }

func narrower(n node, inclusive, exclusive string, sign int64) (*limit, error) {
	a, errA := limitOf(n, inclusive, sign, false)
	b, errB := limitOf(n, exclusive, sign, true)
	if compareLimits(b, a) > 0 {
		a = b
	}
	return a, errors.Join(errA, errB)
}

// compareLimits is positive where a is narrower than b.
func compareLimits(a, b *limit) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	inclusive := map[bool]int{true: 1}
	return cmp.Or(a.at.Cmp(b.at), inclusive[a.exclusive]-inclusive[b.exclusive])
}

func (c *comparison) bound(path, keyword string, of func(node) (*limit, error), was, is node) {
	before, errBefore := of(was)
	now, errNow := of(is)
	if err := cmp.Or(errBefore, errNow); err != nil {
		c.is.fail("%s: %v", path, err)
		return
	}
	name := func(l *limit) string {
		if l == nil {
			return "none"
		}
		return l.text
	}
	if order := compareLimits(now, before); order != 0 {
		c.add(path, fmt.Sprintf("has the %s %s, it was %s", keyword, name(now), name(before)), order > 0)
	}
}
