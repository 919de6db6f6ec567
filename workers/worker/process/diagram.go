package process

import (
	"fmt"
	"regexp"
	"strings"
)

var notInState = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// Diagram draws the table as a Mermaid state diagram.
func (p *Process) Diagram() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	name := func(state string) string {
		if state == "" {
			return "[*]"
		}
		return notInState.ReplaceAllString(state, "_")
	}
	for i := range p.Transitions {
		t := &p.Transitions[i]
		from := t.From
		if len(from) == 0 {
			from = []string{""}
		}
		for _, state := range from {
			fmt.Fprintf(&b, "  %s --> %s: %s\n", name(state), name(t.To), t.On)
		}
	}
	for _, state := range p.Remaining("") {
		if p.Final(state) {
			fmt.Fprintf(&b, "  %s --> [*]\n", name(state))
		}
	}
	return b.String()
}
