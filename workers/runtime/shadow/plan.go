package shadow

import (
	"fmt"
	"slices"

	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
)

// plan is who works in the windows, on what.
type plan struct {
	worker worker.Worker
	all    map[string]worker.Worker // with those beside it
	tables []shadow.Table
}

// Check returns an error where a worker can have no shadow: it says why, and what else tells.
func Check(w worker.Worker) error {
	switch {
	case !w.TracksInbox():
		return fmt.Errorf("%s keeps no inbox, so that nothing tells which events the live worker has handled", w.Name())
	case len(w.Keeps) == 0:
		return fmt.Errorf("the declaration of %s names no tables that it keeps (keeps.Tables, workers/worker/keeps). A worker that makes calls can have no "+
			"shadow; of a read model `composerp projections diff` tells what its code would change", w.Name())
	}
	return nil
}

func planFor(fleet []worker.Worker, w worker.Worker) (p plan, err error) {
	if err := Check(w); err != nil {
		return p, err
	}
	p = plan{worker: w, all: map[string]worker.Worker{w.Name(): w}, tables: slices.Clone(w.Keeps)}
	for grown := true; grown; {
		grown = false
		for _, other := range fleet {
			if _, is := p.all[other.Name()]; is || !p.shares(other) {
				continue
			}
			if err := Check(other); err != nil {
				return p, fmt.Errorf("%s keeps tables of %s, and must work beside it: %w", other.Name(), w.Name(), err)
			}
			p.all[other.Name()], grown = other, true
			for _, t := range other.Keeps {
				if !has(p.tables, t.Name) {
					p.tables = append(p.tables, t)
				}
			}
		}
	}
	return p, nil
}

// shares reports whether a worker keeps a table of the plan.
func (p plan) shares(w worker.Worker) bool {
	return slices.ContainsFunc(w.Keeps, func(t shadow.Table) bool { return has(p.tables, t.Name) })
}

func has(tables []shadow.Table, name string) bool {
	return slices.ContainsFunc(tables, func(t shadow.Table) bool { return t.Name == name })
}

// names are the workers', sorted.
func (p plan) names() []string {
	names := make([]string, 0, len(p.all))
	for name := range p.all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
