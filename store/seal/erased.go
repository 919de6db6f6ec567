package seal

import (
	"context"
	"maps"
	"slices"

	"github.com/composerp/composerp/store/erasure"
)

func (v *verification) readErasures(ctx context.Context) error {
	list, err := erasure.List(ctx, v.db)
	v.erasures = make(map[int64]*erasure.Erasure, len(list))
	for i := range list {
		v.erasures[list[i].Seq] = &list[i]
	}
	return err
}

// isErased tells whether the body of an event is the one that its newest erasure has left. It finds what is wrong with
// the erasure.
func (v *verification) isErased(e *entry, seal int64) bool {
	r := v.erasures[e.seq]
	if r == nil {
		return false
	}
	delete(v.erasures, e.seq)
	switch {
	case r.EventID != e.id || Hash(r.Body) != e.body:
		v.event(Erasure, e, seal, "the table erasure has another event at this position")
		return false
	case e.now == e.body:
		v.event(Erasure, e, seal, "what was erased on "+r.ErasedAt.UTC().Format(erasedLayout)+" is back: erase it again")
		return false
	case Hash(r.StandIn) != e.now:
		return false
	case v.key != nil && !r.IsSignedBy(v.key):
		v.event(Erasure, e, seal, "it is said to be erased by "+r.Operator+", and the key's owner has not signed that: it may be an edit; where it was erased without a key, `composerp events erase --signing-key` of the same fields signs it")
	case !r.Noted:
		v.event(Erasure, e, seal, "it is said to be erased by "+r.Operator+", and the operator log has no entry of that: it may be an edit")
	}
	v.report.Erased++
	if len(v.report.Erasures) < mostFindings {
		v.report.Erasures = append(v.report.Erasures, *r)
	}
	return true
}

const erasedLayout = "2006-01-02"

// unerased finds erasures of sealed positions without an event. Those of archives that were not given are not known.
func (v *verification) unerased(sealed int64) {
	for _, seq := range slices.Sorted(maps.Keys(v.erasures)) {
		if r := v.erasures[seq]; seq <= sealed && (v.archives != nil || seq >= v.cut) {
			v.report.find(Finding{Kind: Erasure, Seq: seq, EventID: &r.EventID, Type: r.Type, What: "the table erasure has an event that the log has not at this position"})
		}
	}
}
