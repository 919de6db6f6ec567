package importer

import (
	"regexp"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

var deriveKeys = []string{"text", "upper", "lower", "trim", "match", "product", "negate"}

// constant gives the same value for every row.
func constant(text string) derivation {
	return func(*row) cell { return cell{text: text} }
}

// decodeDerived reads how a value is made from others.
func (m *Mapping) decodeDerived(n node) derivation {
	ways := n.only("one of "+strings.Join(deriveKeys, ", ")+" with what it is applied to", deriveKeys)
	if len(ways) != 1 {
		n.fail("want exactly one of %s", strings.Join(deriveKeys, ", "))
		return constant("")
	}
	way := ways[0]
	switch way.key {
	case "upper":
		return m.textDerivation(way.node, strings.ToUpper)
	case "lower":
		return m.textDerivation(way.node, strings.ToLower)
	case "trim":
		return m.textDerivation(way.node, strings.TrimSpace)
	case "match":
		return m.decodeMatch(way.node)
	case "product":
		return m.decodeProduct(way.node)
	case "negate":
		slot := m.decodeName(way.node)
		return func(r *row) cell {
			number, problem := r.number(slot)
			return cell{number: number.Neg(), isNumber: problem == nil, problem: problem}
		}
	}
	t := m.decodeTemplate(way.node)
	return func(r *row) cell {
		text, problem := t.render(r)
		return cell{text: text, problem: problem}
	}
}

// decodeName reads a name that stands alone, without ${}.
func (m *Mapping) decodeName(n node) int {
	name := n.text("the name of a column")
	if strings.Contains(name, "${") || name == "" {
		n.fail("want the name of a column alone, as in StockCode, got %q", name)
	}
	return m.names.slot(name)
}

func (m *Mapping) textDerivation(n node, change func(string) string) derivation {
	slot := m.decodeName(n)
	return func(r *row) cell {
		text, problem := r.text(slot)
		return cell{text: change(text), problem: problem}
	}
}

var matchKeys = []string{"column", "pattern"}

// decodeMatch reads {column, pattern}: the pattern's first group, or all it matches when it has no group; nothing
// where it does not match.
func (m *Mapping) decodeMatch(n node) derivation {
	slot, pattern := -1, (*regexp.Regexp)(nil)
	for _, k := range n.only("a mapping with column and pattern", matchKeys) {
		if k.key == "column" {
			slot = m.decodeName(k.node)
		} else {
			pattern = k.regexp(false)
		}
	}
	if slot < 0 || pattern == nil {
		n.fail("want both column and pattern")
		return constant("")
	}
	return func(r *row) cell {
		text, problem := r.text(slot)
		found := pattern.FindStringSubmatch(text)
		switch len(found) {
		case 0:
			return cell{problem: problem}
		case 1:
			return cell{text: found[0], problem: problem}
		}
		return cell{text: found[1], problem: problem}
	}
}

// regexp reads a regular expression of Go's package regexp, which takes time linear in what it reads. whole means
// that all of a value must match.
func (n node) regexp(whole bool) *regexp.Regexp {
	text := n.text("a regular expression")
	if whole {
		text = "^(?:" + text + ")$"
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		n.fail("want a regular expression as Go's package regexp has them: %s", err)
		return nil
	}
	return pattern
}

// decodeProduct reads a list of columns whose exact product is wanted.
func (m *Mapping) decodeProduct(n node) derivation {
	var slots []int
	for _, factor := range n.list("column names") {
		slots = append(slots, m.decodeName(factor))
	}
	if len(slots) < 2 {
		n.fail("want a list of two column names or more")
	}
	return func(r *row) cell {
		product := event.NewDecimal(1)
		for _, slot := range slots {
			number, problem := r.number(slot)
			if problem != nil {
				return cell{problem: problem}
			}
			product = product.Mul(number)
		}
		return cell{number: product, isNumber: true}
	}
}
