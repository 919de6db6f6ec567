package fleet

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/newworker"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

func WorkerCommand() *cli.Command {
	return &cli.Command{
		Name:  "worker",
		Usage: "the workers of the fleet",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "what each hears, and how its queue stands",
				Flags: append([]cli.Flag{terminal.OutputFlag()}, append(settings.BrokerFlags(), settings.DirFlag(), settings.LogFlag("error"))...), Action: workerList,
			},
			{
				Name: "run", Usage: "run some workers in this process until interrupted", ArgsUsage: "WORKER...",
				Description: "Slots are consumers that work side by side. More of them, here or in other processes, take more off the\n" +
					"same queue. The relay must run somewhere: `composerp relay`, or `composerp up`.",
				Flags: settings.FleetFlags(), Action: workerRun,
			},
			newworker.Command(),
		},
	}
}

// workerRow is one line of `worker list`.
type workerRow struct {
	Worker    string   `json:"worker"`
	Queue     string   `json:"queue"`
	Hears     []string `json:"hears"`
	Consumers *int     `json:"consumers"`
	Ready     *int     `json:"ready"`
	Retrying  *int     `json:"retrying"`
	Dead      *int     `json:"dead"`
}

func workerList(cctx *cli.Context) error {
	if err := settings.NoArguments(cctx); err != nil {
		return err
	}
	session, err := lookAtBroker(cctx)
	if err != nil {
		return err
	}
	if session != nil {
		defer session.Close()
	}
	var rows []workerRow
	for _, w := range workers.Fleet(workers.Config{}) {
		r := workerRow{Worker: w.Name(), Queue: w.Queue(), Hears: []string{}}
		for _, t := range w.Types() {
			r.Hears = append(r.Hears, t.RoutingKey())
		}
		if session != nil {
			if err := r.count(session, w); err != nil {
				return err
			}
		}
		rows = append(rows, r)
	}
	return terminal.Show(cctx, rows, func(w io.Writer) {
		terminal.Row(w, "WORKER", "QUEUE", "SLOTS", "READY", "RETRYING", "DEAD", "HEARS")
		for _, r := range rows {
			hears := strings.Join(r.Hears, " ")
			if hears == "" {
				hears = "everything that died"
			}
			terminal.Row(w, r.Worker, r.Queue, terminal.NumberOr(r.Consumers), terminal.NumberOr(r.Ready), terminal.NumberOr(r.Retrying), terminal.NumberOr(r.Dead), hears)
		}
	})
}

// lookAtBroker opens a session to count with; nil when no broker is known, and then says so.
func lookAtBroker(cctx *cli.Context) (*rabbitmq.Session, error) {
	log, err := settings.Logger(cctx)
	if err != nil {
		return nil, err
	}
	e, err := settings.Discover(cctx)
	if err != nil {
		return nil, err
	}
	if e.AMQP == "" {
		terminal.Say(cctx, "nothing is up here, so no queue could be looked at")
		return nil, nil
	}
	broker, err := settings.BrokerConfig(e, log)
	if err != nil {
		return nil, err
	}
	broker.Name = "list"
	return rabbitmq.Open(cctx.Context, broker)
}

// count asks the broker itself, not its statistics, so that the numbers are of now.
func (r *workerRow) count(session *rabbitmq.Session, w worker.Worker) error {
	ready, consumers, err := session.Depth(r.Queue)
	if err != nil {
		return err
	}
	r.Ready, r.Consumers = &ready, &consumers
	if r.Queue != topology.QueueName(w.Name()) {
		return nil // it drains a queue that has neither ladder nor dead letters
	}
	dead, _, err := session.Depth(topology.DeadQueueName(w.Name()))
	if err != nil {
		return err
	}
	retrying := 0
	for _, rung := range w.Subscription().RetryDelays {
		n, _, err := session.Depth(topology.RetryQueueName(w.Name(), rung))
		if err != nil {
			return err
		}
		retrying += n
	}
	r.Dead, r.Retrying = &dead, &retrying
	return nil
}

func workerRun(cctx *cli.Context) error {
	slots, err := settings.ParseSlots(cctx.String(settings.FlagSlots))
	if err != nil {
		return err
	}
	if cctx.NArg() == 0 {
		return exit.Usage("name the workers to run: %s", strings.Join(WorkerNames(), ", "))
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	f := &fleet{slots: slots}
	for _, name := range cctx.Args().Slice() {
		found := false
		for _, w := range workers.Fleet(settings.WorkersConfig(cctx, log)) {
			if w.Name() == name {
				f.workers, found = append(f.workers, w), true
			}
		}
		if !found {
			return exit.Usage("there is no worker %q; there are %s", name, strings.Join(WorkerNames(), ", "))
		}
	}
	return runPart(cctx, f)
}

func WorkerNames() []string {
	var names []string
	for _, w := range workers.Fleet(workers.Config{}) {
		names = append(names, w.Name())
	}
	return names
}
