package scrape_test

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/workers/worker/scrape"
)

// What cannot be read has no series, and the rest of the scrape has.
func TestAnUnknownValueIsAbsent(t *testing.T) {
	t.Parallel()
	var away error
	registry := prometheus.NewRegistry()
	scrape.Register(registry, "asked", "", func(context.Context) (int64, error) { return 7, away })
	scrape.Register(registry, "known", "", func(context.Context) (int64, error) { return 0, nil })
	read := func() map[string]float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, f := range families {
			values[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		return values
	}
	if got := read(); len(got) != 2 || got["asked"] != 7 || got["known"] != 0 {
		t.Errorf("with an answer: %v", got)
	}
	away = errors.New("away")
	if got := read(); len(got) != 1 {
		t.Errorf("without an answer: %v", got)
	}
}
