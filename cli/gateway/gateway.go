// Package gateway has the commands of the HTTP gateway: gateway, and keys for its API keys.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers/runtime/gateway"
)

// The settings of the gateway, by their flags.
const (
	flagAddr = "gateway-addr"
	flagRate = "gateway-rate"
	flagOpen = "gateway-open"
	flagCert = "gateway-tls-cert"
	flagKey  = "gateway-tls-key"
)

// Command is the command `gateway`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "gateway",
		Usage: "take events over HTTP into the log, and answer questions about events, stock and orders",
		Description: "POST /v1/events takes an event or a batch, in the envelope or as CloudEvents, and answers after the commit; GET\n" +
			"/openapi.json says what else there is. Requests need an API key: `composerp keys create` makes one. It needs the\n" +
			"database alone; the relay and the workers of `composerp up` do the rest. Any number may run. /readyz at its address and at\n" +
			"that of the metrics tells whether it takes requests. SIGTERM finishes what is in hand. A certificate that is replaced is\n" +
			"used from the next connection on.",
		Flags: []cli.Flag{
			settings.FlagOf(flagAddr), settings.FlagOf(flagCert), settings.FlagOf(flagKey), settings.FlagOf(flagRate), settings.FlagOf(flagOpen), settings.FlagOf(settings.FlagMetrics),
			settings.FlagOf(settings.FlagDatabase), settings.FlagOf(settings.FlagSecrets), settings.FlagOf(settings.FlagDir), settings.LogFlag("warn"),
		},
		Action: run,
	}
}

func run(cctx *cli.Context) error {
	if cctx.NArg() > 0 {
		return exit.Usage("`%s` takes no argument, got %q", cctx.Command.HelpName, cctx.Args().First())
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	rate, _ := strconv.Atoi(cctx.String(flagRate)) // the setting is checked
	open, _ := strconv.Atoi(cctx.String(flagOpen))
	secure, err := certificate(cctx)
	if err != nil {
		return err
	}
	db, _, err := settings.OpenSchemaAs(cctx, grants.Gateway, "gateway", gateway.Connections)
	if err != nil {
		return err
	}
	defer db.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), store.Collector(db, "gateway"))
	fleet.RegisterBuild(registry, cctx.App.Version)
	g := gateway.New(gateway.Config{DB: db, Log: log.With("part", "gateway"), Registry: registry, Rate: rate, Open: open})
	listener, err := net.Listen("tcp", cctx.String(flagAddr))
	if err != nil {
		return exit.Misconfigured("serving the gateway on %s: %v; choose another with --%s", cctx.String(flagAddr), err, flagAddr)
	}
	shown, err := listenMetrics(cctx)
	if err != nil {
		listener.Close()
		return err
	}
	scheme := "http"
	if secure != nil {
		scheme, listener = "https", tls.NewListener(listener, secure)
	} else if at, ok := listener.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		log.Warn("API keys reach the gateway unencrypted, unless a proxy in front of it ends TLS: set --" + flagCert)
	}
	terminal.Say(cctx, "gateway at %s://%s/", scheme, listener.Addr())
	terminal.Say(cctx, "metrics at http://%s/metrics", shown.Addr())
	group, ctx := errgroup.WithContext(cctx.Context)
	group.Go(func() error { return g.Run(ctx, listener) })
	group.Go(func() error { return serveMetrics(ctx, shown, g, registry) })
	return group.Wait()
}

// listenMetrics opens the address of the metrics; without a choice of the operator's, a free port will do.
func listenMetrics(cctx *cli.Context) (net.Listener, error) {
	listener, err := net.Listen("tcp", cctx.String(settings.FlagMetrics))
	if err != nil && !cctx.IsSet(settings.FlagMetrics) {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, exit.Misconfigured("serving metrics on %s: %v; choose another with --%s", cctx.String(settings.FlagMetrics), err, settings.FlagMetrics)
	}
	return listener, nil
}

// serveMetrics serves the metrics, and what probes ask, until ctx is done.
func serveMetrics(ctx context.Context, listener net.Listener, g *gateway.Gateway, registry *prometheus.Registry) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.Handle("GET /livez", g)
	mux.Handle("GET /readyz", g)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the metrics: %w", err)
	}
	return nil
}
