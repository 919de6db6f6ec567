package deadletters

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/composerp/composerp/store/failures"
)

// Failing is an error that letters fail with, or would.
type Failing struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	Error       string `json:"error"` // of one of them
	Count       int    `json:"count"`
}

// failure is how one letter failed.
type failure struct{ eventType, text string }

// grouped puts together what fails by the same kind of error, the most frequent first.
func grouped(kinds map[failure]int) []Failing {
	type kind struct{ eventType, fingerprint string }
	groups := map[kind]Failing{}
	for f, n := range kinds {
		k := kind{f.eventType, failures.Fingerprint(f.text)}
		g, there := groups[k]
		if !there || f.text < g.Error { // the same one each time
			g.Error = f.text
		}
		groups[k] = Failing{Type: k.eventType, Fingerprint: k.fingerprint, Error: g.Error, Count: g.Count + n}
	}
	found := slices.AppendSeq([]Failing{}, maps.Values(groups))
	slices.SortFunc(found, func(a, b Failing) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Type, b.Type), strings.Compare(a.Error, b.Error))
	})
	return found
}
