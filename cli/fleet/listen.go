package fleet

import (
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
)

// listenMetrics opens the address of the metrics. Without a choice of the operator's, a free port will do.
func (f *fleet) listenMetrics(cctx *cli.Context) (err error) {
	addr := cctx.String(settings.FlagMetrics)
	f.page.Token = settings.Renewed(cctx, settings.FlagPageToken)
	if names := cctx.String(settings.FlagPageHosts); names != "" {
		f.page.Hosts = strings.Split(names, ",")
	}
	if f.with, err = settings.ParseMetricsWith(cctx.String(settings.FlagMetricsWith)); err != nil {
		return exit.Misconfigured("--%s: %v", settings.FlagMetricsWith, err)
	}
	if f.metrics, err = net.Listen("tcp", addr); err != nil && !cctx.IsSet(settings.FlagMetrics) {
		f.metrics, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return exit.Misconfigured("serving metrics on %s: %v; choose another with --%s", addr, err, settings.FlagMetrics)
	}
	if slices.Contains(f.with, settings.Profiles) && !f.metrics.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = f.metrics.Close()
		return exit.Misconfigured("--%s %s serves what is in memory, on loopback alone, and %s is not: leave it out, or set --%s 127.0.0.1:9464",
			settings.FlagMetricsWith, settings.Profiles, addr, settings.FlagMetrics)
	}
	return nil
}

// serveProfiles serves Go's profiles at /debug/pprof/, to programs that name the host by its address: a page of another
// site that had its name lead here would name that.
func serveProfiles(mux *http.ServeMux) {
	for path, handle := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/profile": pprof.Profile, "/debug/pprof/trace": pprof.Trace, "/debug/pprof/symbol": pprof.Symbol,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			host, _, err := net.SplitHostPort(r.Host)
			if err != nil {
				host = r.Host
			}
			if host != "localhost" && !net.ParseIP(host).IsLoopback() {
				http.Error(w, "profiles are served to loopback addresses alone", http.StatusForbidden)
				return
			}
			handle(w, r)
		})
	}
}
