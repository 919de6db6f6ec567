package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/workers"
)

const flagFresh = "fresh"

func upFlags() []cli.Flag {
	return fleetFlags(&cli.BoolFlag{Name: flagFresh, Usage: "delete the data of the private servers first"})
}

func metricsFlag() cli.Flag { return flagOf(flagMetrics) }

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

// errDone ends an `up` that has nothing more to do.
var errDone = errors.New("done")

// up brings everything up, calls then, and stays until interrupted, or until
// then returns an error; errDone is a good one.
func up(cctx *cli.Context, then func(ctx context.Context, r *running) error) error {
	f := &fleet{relay: true}
	var err error
	if f.log, err = logger(cctx); err != nil {
		return err
	}
	f.workers = workers.Fleet(fleetConfig(cctx, f.log))
	if f.slots, err = parseSlots(cctx.String(flagSlots)); err != nil {
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
	_ = os.Remove(filepath.Join(dir, fleetFile)) // of one that was killed
	if f.metrics, err = listenMetrics(cctx.String(flagMetrics), cctx.IsSet(flagMetrics)); err != nil {
		return err
	}
	defer f.metrics.Close()
	at, own, err := servers(cctx, f.log)
	if err != nil {
		return err
	}
	defer own.stop()
	f.at = at
	if err := prepare(cctx.Context, at, f.log); err != nil {
		return err
	}
	if err := stay(cctx, f, own, then); err != nil {
		return err
	}
	say(cctx, "composerp is down; what it knew is kept in %s", dir)
	return nil
}

// stay runs the fleet and then, and says where it is as long as it is there.
func stay(cctx *cli.Context, f *fleet, own private, then func(ctx context.Context, r *running) error) error {
	dir := cctx.String(flagDir)
	r := &running{endpoints: f.at, console: cctx.App.Writer, state: fleetState{
		PID: os.Getpid(), DatabaseURL: f.at.database, AMQPURL: f.at.amqp, ManagementURL: f.at.management,
		MetricsURL: "http://" + f.metrics.Addr().String() + "/metrics", StartedAt: time.Now().UTC()}}
	if err := r.state.save(dir); err != nil {
		return err
	}
	defer os.Remove(filepath.Join(dir, fleetFile))
	ready := make(chan struct{})
	f.ready = func() { close(ready) }

	g, ctx := errgroup.WithContext(cctx.Context)
	g.Go(func() error {
		select {
		case <-own.exited():
			return own.servers.Err()
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error { return f.run(ctx) })
	g.Go(func() error {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		}
		r.announce()
		if err := then(ctx, r); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
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

// announce says where everything is.
func (r *running) announce() {
	var text bytes.Buffer // one write: whoever has read the first line can read them all
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "composerp %s is up\n", version())
	if u, err := url.Parse(r.management); err == nil && r.management != "" {
		password, _ := u.User.Password()
		user := u.User.Username()
		u.User = nil
		row(w, "  management UI", u, fmt.Sprintf("user %s, password %s", user, password))
	}
	row(w, "  metrics", r.state.MetricsURL)
	var names []string
	for _, worker := range workers.Fleet(workers.Config{}) {
		names = append(names, worker.Name())
	}
	row(w, "  workers", strings.Join(names, " "))
	row(w, "  stop", "Ctrl-C here, or `composerp down`")
	w.Flush()
	_, _ = text.WriteTo(r.console)
}
