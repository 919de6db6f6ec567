package settings

import (
	"cmp"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/workers/worker/spans"
)

// CollectorFlags are for commands that run a part of the fleet.
func CollectorFlags() []cli.Flag { return []cli.Flag{FlagOf(flagOTLP), FlagOf(flagTraceRatio)} }

// Collector says where spans go; without an endpoint they go nowhere. OpenTelemetry's own variables name one too, and
// whatever else its exporter needs: headers, certificates, a timeout.
func Collector(cctx *cli.Context) (spans.Config, error) {
	endpoint := cmp.Or(cctx.String(flagOTLP), os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if endpoint == "" {
		return spans.Config{}, nil
	}
	if _, err := spans.Endpoint(endpoint); err != nil {
		return spans.Config{}, exit.Misconfigured("--%s, or OTEL_EXPORTER_OTLP_ENDPOINT: %w", flagOTLP, err)
	}
	ratio, _ := strconv.ParseFloat(cctx.String(flagTraceRatio), 64) // checked by its setting
	return spans.Config{Endpoint: endpoint, Ratio: ratio, Version: cctx.App.Version}, nil
}
