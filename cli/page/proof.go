package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/deploy/chaos"
	"github.com/composerp/composerp/deploy/monitoring"
	"github.com/composerp/composerp/store/audit"
)

const (
	// ChaosFile holds results of `composerp chaos --results` in --dir.
	ChaosFile = "chaos.ndjson"
	// mostChaos is how many bytes of it are read, mostRuns how many of the last runs are listed.
	mostChaos, mostRuns = 16 << 20, 20
)

// proof is what was proven, and when.
type proof struct {
	Last    audit.LastProof
	Covers  *audit.Proven // nil: no audit has proven anything yet
	Types   []sum
	Workers []sum
	Chaos   chaosRuns
}

// Old reports whether the log has gone on for long without a proof.
func (p proof) Old() bool { return p.Last.Since > monitoring.UnprovenFor }

// sum is a number with its name.
type sum struct {
	Name string
	N    int64
}

// chaosRuns are the runs of a file of results.
type chaosRuns struct {
	File                         string // "": the process has no directory
	Problem                      string
	Runs                         []chaos.Report // the newest first
	All, Clean                   int
	Faults, Events, Lost, Double int
}

func readProof(ctx context.Context, p *Page, _ question) (any, error) {
	var of proof
	var err error
	if of.Last, err = audit.ReadLastProof(ctx, p.cfg.DB); err != nil {
		return nil, err
	}
	if of.Covers, err = audit.ReadProven(ctx, p.cfg.DB); err != nil {
		return nil, err
	}
	if of.Covers != nil {
		of.Types, of.Workers = sums(of.Covers.ByType), sums(of.Covers.Handled)
	}
	if p.cfg.Dir != "" {
		of.Chaos = readChaos(filepath.Join(p.cfg.Dir, ChaosFile))
	}
	return of, nil
}

// sums are numbers by name, the largest first.
func sums(of map[string]int64) (list []sum) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, sum{name, of[name]})
	}
	slices.SortStableFunc(list, func(a, b sum) int { return int(min(1, max(-1, b.N-a.N))) })
	return list
}

// readChaos adds up the runs of a file. That there is none is no problem.
func readChaos(path string) (c chaosRuns) {
	c.File = path
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c
	}
	var runs []chaos.Report
	if err == nil {
		defer file.Close()
		if info, of := file.Stat(); of == nil && info.Size() > mostChaos {
			err = fmt.Errorf("it is larger than %d MiB", mostChaos>>20)
		} else {
			runs, err = chaos.Read(io.LimitReader(file, mostChaos))
		}
	}
	if err != nil {
		c.Problem = "the runs cannot be read: " + exit.OneLine(err)
		return c
	}
	for _, r := range runs {
		c.All++
		if r.Verdict == chaos.Clean {
			c.Clean++
		}
		for _, t := range r.Faults {
			c.Faults += t.Injected
		}
		c.Events, c.Lost, c.Double = c.Events+r.Events, c.Lost+r.Lost, c.Double+r.Doubled
	}
	slices.Reverse(runs)
	c.Runs, _ = first(runs, mostRuns)
	return c
}
