package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/workers"
)

const (
	flagFresh = "fresh"
	flagSlots = "slots"
)

func upFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.BoolFlag{Name: flagFresh, Usage: "delete the data of the private servers first"},
		slotsFlag(),
		metricsFlag(),
		databaseFlag(),
	}
	return append(append(flags, brokerFlags()...), dirFlag(), logFlag("warn"))
}

func metricsFlag() cli.Flag {
	return &cli.StringFlag{Name: flagMetrics, Value: defaultMetrics, EnvVars: []string{"COMPOSERP_METRICS_ADDR"}, Usage: "where Prometheus finds the metrics; another free port when the default is taken"}
}

func slotsFlag() cli.Flag {
	return &cli.StringFlag{Name: flagSlots, EnvVars: []string{"COMPOSERP_SLOTS"}, Usage: "consumers a worker, N for all or worker=N,worker=N"}
}

func upCommand() *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "run everything in this process until interrupted",
		Description: "Runs the ticker, the relay and every worker. With COMPOSERP_DATABASE_URL and COMPOSERP_AMQP_URL set it\n" +
			"uses those servers. Without, it starts a PostgreSQL and a RabbitMQ of its own from the installed programs,\n" +
			"on loopback, with their data under .composerp/, and stops them when it ends. It migrates the database and\n" +
			"applies the topology. SIGTERM finishes what is in hand; a second one leaves at once; neither loses anything.",
		Flags: upFlags(),
		Action: func(cctx *cli.Context) error {
			if err := noArguments(cctx); err != nil {
				return err
			}
			return up(cctx, func(context.Context, *running) error { return nil })
		},
	}
}

// running is a fleet that is up.
type running struct {
	endpoints
	state   fleetState
	console io.Writer
}

// up brings everything up, calls then, and stays until interrupted, or until
// then returns errDone.
func up(cctx *cli.Context, then func(ctx context.Context, r *running) error) error {
	log, err := logger(cctx)
	if err != nil {
		return err
	}
	slots, err := parseSlots(cctx.String(flagSlots))
	if err != nil {
		return err
	}
	dir := cctx.String(flagDir)
	lock, err := holdFleet(dir)
	if errors.Is(err, errUp) {
		return alreadyUp(dir)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	defer os.Remove(filepath.Join(dir, fleetFile))
	metrics, err := listenMetrics(cctx.String(flagMetrics), cctx.IsSet(flagMetrics))
	if err != nil {
		return err
	}
	defer metrics.Close()

	at, stop, err := servers(cctx, log)
	if err != nil {
		return err
	}
	defer stop.stop()
	state := fleetState{PID: os.Getpid(), DatabaseURL: at.database, AMQPURL: at.amqp, ManagementURL: at.management,
		MetricsURL: "http://" + metrics.Addr().String() + "/metrics", StartedAt: time.Now().UTC()}
	if err := prepare(cctx.Context, at, log); err != nil {
		return err
	}
	if err := state.save(dir); err != nil {
		return err
	}

	ctx, cancel := context.WithCancelCause(cctx.Context)
	defer cancel(nil)
	go func() {
		select {
		case <-stop.exited():
			cancel(stop.servers.Err())
		case <-ctx.Done():
		}
	}()
	ready := make(chan struct{})
	f := &fleet{at: at, relay: true, workers: workers.Fleet(), slots: slots, metrics: metrics, log: log, ready: func() { close(ready) }}
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		return errors.Join(context.Cause(ctx), err)
	}
	state.Ready = true
	if err := state.save(dir); err != nil {
		return err
	}
	r := &running{endpoints: at, state: state, console: cctx.App.Writer}
	r.announce()
	if err := then(ctx, r); err != nil {
		if ctx.Err() == nil {
			cancel(nil)
			return errors.Join(ignoreDone(err), <-ended)
		}
	}
	err = <-ended
	if cause := context.Cause(ctx); cctx.Context.Err() == nil && cause != nil {
		return errors.Join(cause, err)
	}
	say(cctx, "composerp is down; what it knew is kept in %s", dir)
	return err
}

// errDone ends an `up` that has nothing more to do.
var errDone = errors.New("done")

func ignoreDone(err error) error {
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

func alreadyUp(dir string) error {
	state, err := findFleet(dir)
	if err != nil {
		return err
	}
	if state == nil || state.PID == 0 {
		return fmt.Errorf("composerp is %w in %s and still starting", errUp, dir)
	}
	return fmt.Errorf("composerp is %w in %s as process %d, since %s; `composerp down` stops it", errUp, dir, state.PID, state.StartedAt.Local().Format(time.DateTime))
}

// private are servers that this process started, if any.
type private struct{ servers *local.Servers }

func (p private) exited() <-chan struct{} {
	if p.servers == nil {
		return nil
	}
	return p.servers.Exited()
}

func (p private) stop() {
	if p.servers != nil {
		_ = p.servers.Stop(context.Background())
	}
}

// servers gives the servers that were named, or starts private ones.
func servers(cctx *cli.Context, log *slog.Logger) (endpoints, private, error) {
	at, err := given(cctx)
	if err != nil {
		return at, private{}, err
	}
	switch {
	case at.database != "" && at.amqp != "":
		if cctx.Bool(flagFresh) {
			return at, private{}, usage("--%s deletes the data of private servers only; these are yours", flagFresh)
		}
		return at, private{}, nil
	case at.database != "" || at.amqp != "":
		return at, private{}, misconfigured("of COMPOSERP_DATABASE_URL and COMPOSERP_AMQP_URL only one is set: set both, or none to have private servers")
	}
	dir := cctx.String(flagDir)
	if cctx.Bool(flagFresh) {
		if err := local.Remove(cctx.Context, dir); err != nil {
			return at, private{}, fmt.Errorf("deleting the servers' data in %s: %w", dir, err)
		}
	}
	say(cctx, "starting PostgreSQL and RabbitMQ on loopback, data in %s ...", dir)
	s, err := local.Start(cctx.Context, local.Config{Dir: dir, Log: log})
	if err != nil {
		return at, private{}, err
	}
	return endpoints{database: s.DatabaseURL, amqp: s.AMQPURL, management: s.ManagementURL}, private{s}, nil
}

// prepare migrates the database and applies the topology.
func prepare(ctx context.Context, at endpoints, log *slog.Logger) error {
	db, err := openDatabase(ctx, at, "migrate", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Migrate(ctx); err != nil {
		return err
	}
	if err := db.EnsurePartitions(ctx); err != nil {
		return err
	}
	broker, err := brokerConfig(at, log)
	if err != nil {
		return err
	}
	broker.Name = "topology"
	return workers.Topology().Apply(ctx, broker)
}

// announce says where everything is.
func (r *running) announce() {
	w := tabwriter.NewWriter(r.console, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "composerp %s is up\n", version())
	if u, err := url.Parse(r.management); err == nil && r.management != "" {
		password, _ := u.User.Password()
		user := u.User.Username()
		u.User = nil
		row(w, "  management UI", u, fmt.Sprintf("user %s, password %s", user, password))
	}
	row(w, "  metrics", r.state.MetricsURL)
	var names []string
	for _, worker := range workers.Fleet() {
		names = append(names, worker.Name())
	}
	row(w, "  workers", strings.Join(names, " "))
	row(w, "  stop", "Ctrl-C here, or `composerp down`")
	w.Flush()
}

// parseSlots reads "2" or "ledger=2,intake=1". The empty name stands for all workers.
func parseSlots(text string) (map[string]int, error) {
	slots := map[string]int{}
	if text == "" {
		return slots, nil
	}
	known := map[string]bool{}
	for _, w := range workers.Fleet() {
		known[w.Name()] = true
	}
	for _, part := range strings.Split(text, ",") {
		name, number, named := strings.Cut(part, "=")
		if !named {
			name, number = "", part
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 64 {
			return nil, usage("--%s %q: want a number of 1 to 64, or worker=number, separated by commas", flagSlots, part)
		}
		if named && !known[name] {
			return nil, usage("--%s: there is no worker %q; `composerp worker list` shows them", flagSlots, name)
		}
		slots[name] = n
	}
	return slots, nil
}

func downCommand() *cli.Command {
	return &cli.Command{
		Name:  "down",
		Usage: "stop the `up` of this directory",
		Flags: []cli.Flag{dirFlag(), &cli.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "how long to wait for it"}},
		Action: func(cctx *cli.Context) error {
			if err := noArguments(cctx); err != nil {
				return err
			}
			return down(cctx, cctx.String(flagDir), cctx.Duration("timeout"))
		},
	}
}

func down(cctx *cli.Context, dir string, patience time.Duration) error {
	state, err := findFleet(dir)
	if err != nil {
		return err
	}
	if state == nil {
		say(cctx, "nothing is up in %s", dir)
		return nil
	}
	if state.PID == 0 {
		return fmt.Errorf("the fleet of %s is still starting; try again in a moment", dir)
	}
	if err := syscall.Kill(state.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping process %d: %w", state.PID, err)
	}
	ctx, cancel := context.WithTimeout(cctx.Context, patience)
	defer cancel()
	for {
		if lock, err := holdFleet(dir); err == nil {
			say(cctx, "composerp is down")
			return lock.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d has not ended within %s; it may be finishing a batch: try again, or send it a second SIGTERM", state.PID, patience)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
