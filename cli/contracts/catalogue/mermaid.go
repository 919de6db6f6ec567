package catalogue

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// notInID are the characters that a name in Mermaid cannot have.
var notInID = regexp.MustCompile(`[^A-Za-z0-9_]+`)

func id(kind, name string) string { return kind + "_" + notInID.ReplaceAllString(name, "_") }

// Mermaid draws who publishes and consumes what as a Mermaid flowchart: workers are boxes, commands and external
// systems are rounded, events are hexagons.
func Mermaid(entries []Entry) string {
	var nodes, edges []string
	node := func(kind, name, shape string) string {
		n := id(kind, name)
		if line := fmt.Sprintf("  %s"+shape, n, name); !slices.Contains(nodes, line) {
			nodes = append(nodes, line)
		}
		return n
	}
	shapes := map[Kind]string{Worker: "[%s]", Command: `(["%s"])`, External: `(["%s"])`}
	for _, e := range entries {
		typ := node("event", string(e.Type), "{{%s}}")
		for _, p := range e.PublishedBy {
			edges = append(edges, "  "+node(string(p.Kind), p.Name, shapes[p.Kind])+" --> "+typ)
		}
		for _, name := range e.ConsumedBy {
			edges = append(edges, "  "+typ+" --> "+node(string(Worker), name, shapes[Worker]))
		}
	}
	return "flowchart LR\n" + strings.Join(append(nodes, edges...), "\n") + "\n"
}
