package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/capacity"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/workers"
)

const (
	flagFresh   = "fresh"
	flagObserve = "observe"
)

// UpFlags are the flags of every command that brings up a fleet and logs from that level on.
func UpFlags(level string) []cli.Flag {
	return settings.FleetFlags(level,
		&cli.BoolFlag{Name: flagFresh, Usage: "delete the data of the private servers first"},
		&cli.BoolFlag{Name: flagObserve, Usage: "start a Prometheus on loopback, with dashboards and alerts"})
}

// UpCommand is `composerp up`.
func UpCommand() *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "run everything in this process until interrupted",
		Description: "Runs the ticker, the relay and every worker. With COMPOSERP_DATABASE_URL and COMPOSERP_AMQP_URL set it\n" +
			"uses those servers. Without, it starts a PostgreSQL and a RabbitMQ of its own from the installed programs,\n" +
			"on loopback, with their data under .composerp/, and stops them when it ends. It migrates the database and\n" +
			"applies the topology; a file of --secrets without DATABASE_URL_MIGRATOR leaves migrations to `composerp migrate up`.\n" +
			"SIGTERM finishes what is in hand; a second one leaves at once; neither loses anything. It prints the URLs that\n" +
			"clients need; passwords only of its own servers. With --detach it goes on in the background; `composerp down`\n" +
			"stops it.",
		Flags: append([]cli.Flag{&cli.BoolFlag{Name: flagDetach, Usage: "run in the background: return when the fleet is ready, log to up.log in --dir"}}, UpFlags("warn")...),
		Action: func(cctx *cli.Context) error {
			if cctx.Bool(flagDetach) {
				return detach(cctx)
			}
			return Up(cctx, func(context.Context, settings.Endpoints) error { return nil })
		},
	}
}

// ErrDone ends an `up` that has nothing more to do.
var ErrDone = errors.New("done")

// Up starts everything, calls then, and stays until interrupted, or until then returns an error; ErrDone is a good one.
func Up(cctx *cli.Context, then func(ctx context.Context, at settings.Endpoints) error) error {
	f := &fleet{relay: true, version: cctx.App.Version}
	var err error
	if f.log, err = settings.Logger(cctx); err != nil {
		return err
	}
	if f.collector, err = collectorOf(cctx); err != nil {
		return err
	}
	cfg, err := settings.WorkersConfig(cctx, f.log)
	if err != nil {
		return err
	}
	f.workers = workers.Fleet(cfg)
	if f.slots, err = capacity.ParseSlots(cctx.String(settings.FlagSlots)); err != nil {
		return err
	}
	if f.node, err = offered(cctx); err != nil {
		return err
	}
	dir := cctx.String(settings.FlagDir)
	lock, err := settings.Hold(dir)
	if errors.Is(err, settings.ErrUp) {
		return alreadyUp(dir)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	_ = os.Remove(filepath.Join(dir, settings.StateFile)) // of one that was killed
	if err := f.listenMetrics(cctx); err != nil {
		return err
	}
	defer f.metrics.Close()
	at, own, err := servers(cctx, f.log)
	if err != nil {
		return err
	}
	if own != nil {
		defer func() { _ = own.Stop(context.Background()) }()
	}
	f.at = at
	f.page.Private = own != nil
	if f.page.Dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("finding the directory %s: %w", dir, err)
	}
	if err := prepare(cctx.Context, at, f.log); err != nil {
		return err
	}
	if err := stay(cctx, f, own, then); err != nil {
		return err
	}
	terminal.Say(cctx, "composerp is down; what it knew is kept in %s", dir)
	return nil
}

// stay runs the fleet and then, and says where it is as long as it is there.
func stay(cctx *cli.Context, f *fleet, own *local.Servers, then func(ctx context.Context, at settings.Endpoints) error) error {
	dir := cctx.String(settings.FlagDir)
	state := settings.State{
		PID: os.Getpid(), Endpoints: f.at,
		PageURL: "http://" + f.metrics.Addr().String() + "/", MetricsURL: "http://" + f.metrics.Addr().String() + "/metrics", StartedAt: time.Now().UTC(),
	}
	var err error
	if state.SecretsFile, err = secretsFile(cctx); err != nil {
		return err
	}
	if err := state.Save(dir); err != nil {
		return err
	}
	var saving sync.Mutex
	f.at.OnRenewed(func(now settings.Endpoints) { // doctor compares it with the file
		saving.Lock()
		defer saving.Unlock()
		state.Endpoints = now
		if err := state.Save(dir); err != nil {
			f.log.Warn("where the fleet is was not written after its secrets were renewed", "error", err)
		}
	})
	defer os.Remove(filepath.Join(dir, settings.StateFile))
	ready := make(chan struct{})
	f.ready = func() { close(ready) }

	g, ctx := errgroup.WithContext(cctx.Context)
	if own != nil {
		g.Go(func() error {
			select {
			case <-own.Exited():
				return own.Err()
			case <-ctx.Done():
				return nil
			}
		})
	}
	g.Go(func() error { return f.run(ctx) })
	g.Go(func() error {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		}
		dashboards, err := observe(ctx, g, cctx, f, own)
		if err != nil {
			return err
		}
		saving.Lock()
		state.Dashboards, state.Ready = dashboards, true
		err = state.Save(dir)
		saving.Unlock()
		if err != nil {
			return err
		}
		announce(cctx.App.Writer, cctx.App.Version, state, own != nil, "Ctrl-C here, or "+downCommand(dir))
		if err := then(ctx, f.at); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	if err := g.Wait(); !errors.Is(err, ErrDone) {
		return err
	}
	return nil
}

// secretsFile is the path of the file of secrets, "" without one.
func secretsFile(cctx *cli.Context) (string, error) {
	file, err := settings.Configured(cctx).Value(settings.Named(settings.FlagSecrets))
	if err != nil || file.Text == "" {
		return "", err
	}
	return filepath.Abs(file.Text)
}

func alreadyUp(dir string) error {
	state, err := settings.Find(dir)
	if err != nil {
		return err
	}
	if state == nil || state.PID == 0 {
		return fmt.Errorf("composerp is %w in %s and still starting", settings.ErrUp, dir)
	}
	return fmt.Errorf("composerp is %w in %s as process %d, since %s; %s stops it", settings.ErrUp, dir, state.PID, terminal.Moment(state.StartedAt), downCommand(dir))
}
