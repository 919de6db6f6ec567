package fleet

import (
	"cmp"
	"context"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/workers/worker/spans"
)

// collectorOf says where spans go; without an endpoint they go nowhere. OpenTelemetry's own variables name one too, and
// whatever else its exporter needs: headers, certificates, a timeout.
func collectorOf(cctx *cli.Context) (spans.Config, error) {
	endpoint := cmp.Or(cctx.String(settings.FlagOTLP), os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if endpoint == "" {
		return spans.Config{}, nil
	}
	if _, err := spans.Endpoint(endpoint); err != nil {
		return spans.Config{}, exit.Misconfigured("--%s, or OTEL_EXPORTER_OTLP_ENDPOINT: %w", settings.FlagOTLP, err)
	}
	ratio, _ := strconv.ParseFloat(cctx.String(settings.FlagTraceRatio), 64) // checked by its setting
	return spans.Config{Endpoint: endpoint, Ratio: ratio, Version: cctx.App.Version}, nil
}

// lastSpans is how long the end waits for a collector.
const lastSpans = 5 * time.Second

// sendSpans sends the spans that wait.
func (f *fleet) sendSpans() {
	ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
	defer cancel()
	_ = f.spans.Close(ctx)
}
