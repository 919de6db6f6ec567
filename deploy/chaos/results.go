package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Append adds a run to a file of results, which has a line a run.
func Append(path string, r Report) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	_, err = file.Write(append(line, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing results to %s: %w", path, err)
	}
	return nil
}

// Read gives all runs of a file of results.
func Read(in io.Reader) ([]Report, error) {
	raw, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("reading results: %w", err)
	}
	var runs []Report
	for n, line := range bytes.Split(raw, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var r Report
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("reading line %d of the results: %w", n+1, err)
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// Markdown is the table of many runs: their totals, and each fault with its recoveries.
func Markdown(runs []Report) string {
	var text strings.Builder
	all, seeds := sum(runs)
	fmt.Fprintf(&text, "| runs | seeds | time | faults | events | lost | doubled | worst recovery | findings |\n|---|---|---|---|---|---|---|---|---|\n")
	var worst Seconds
	for _, t := range all.Faults {
		worst = max(worst, slices.Max(append(t.Recoveries, 0)))
	}
	injected := 0
	for _, s := range all.Steps {
		for _, f := range s.Faults {
			if f.Skipped == "" {
				injected++
			}
		}
	}
	fmt.Fprintf(&text, "| %d | %d | %s | %d | %d | %d | %d | %s | %d |\n\n",
		len(runs), seeds, time.Duration(all.Took).Round(time.Second), injected, all.Events, all.Lost, all.Doubled, worst, len(all.Findings))
	fmt.Fprintf(&text, "| fault | what it is | injected | recovery, median | worst |\n|---|---|---|---|---|\n")
	for _, f := range faults {
		if t, ok := all.Faults[f.Name]; ok {
			median, worst := spread(t.Recoveries)
			fmt.Fprintf(&text, "| %s | %s | %d | %s | %s |\n", f.Name, f.What, t.Injected, median, worst)
		}
	}
	return text.String()
}

// sum adds runs up and counts their seeds.
func sum(runs []Report) (Report, int) {
	all, seeds := Report{Faults: map[string]Tally{}}, map[uint64]bool{}
	for _, r := range runs {
		seeds[r.Seed] = true
		all.Took += r.Took
		all.Events, all.Lost, all.Doubled = all.Events+r.Events, all.Lost+r.Lost, all.Doubled+r.Doubled
		all.Findings = append(all.Findings, r.Findings...)
		for _, s := range r.Steps {
			all.add(s)
		}
	}
	return all, len(seeds)
}
