package deadletter

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/composerp/composerp/store"
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

// grouped puts together what fails by the same kind of error, the most frequent
// first. It leaves them apart where the database can not be asked.
func grouped(ctx context.Context, db *store.DB, failures map[failure]int) []Failing {
	found := make([]Failing, 0, len(failures))
	texts := make([]string, 0, len(failures))
	for f, n := range failures {
		found, texts = append(found, Failing{Type: f.eventType, Error: f.text, Count: n}), append(texts, f.text)
	}
	if prints, err := db.Fingerprints(ctx, texts); err == nil {
		for i := range found {
			found[i].Fingerprint = prints[i]
		}
		found = together(found)
	}
	slices.SortFunc(found, func(a, b Failing) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Type, b.Type), strings.Compare(a.Error, b.Error))
	})
	return found
}

func together(found []Failing) []Failing {
	type kind struct{ eventType, fingerprint string }
	at := map[kind]int{}
	groups := []Failing{}
	for _, f := range found {
		k := kind{f.Type, f.Fingerprint}
		n, there := at[k]
		if !there {
			at[k] = len(groups)
			groups = append(groups, f)
			continue
		}
		groups[n].Count += f.Count
		groups[n].Error = min(groups[n].Error, f.Error) // whichever: the same each time
	}
	return groups
}
