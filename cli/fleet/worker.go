package fleet

import (
	"cmp"
	"slices"
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

// WorkerCommand is the command `worker`.
func WorkerCommand() *cli.Command {
	return &cli.Command{
		Name:  "worker",
		Usage: "the workers of the fleet",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list workers with their event types and the state of their queues",
				Flags: append(settings.BrokerFlags(terminal.OutputFlag()), settings.FlagOf(settings.FlagDir), settings.LogFlag("error")), Action: workerList,
			},
			{
				Name: "run", Usage: "run some workers in this process until interrupted", ArgsUsage: "WORKER...",
				Description: "--slots sets the consumers of each worker. More consumers, in this or other processes, share the worker's\n" +
					"queue. The relay must run too: `composerp relay`, or `composerp up`.",
				Flags: settings.FleetFlags("warn"), Action: workerRun,
			},
			newworker.Command(),
		},
	}
}

// workerRow is one line of `worker list`.
type workerRow struct {
	Worker    string   `json:"worker"`
	Queue     string   `json:"queue"`
	Consumes  []string `json:"consumes"`
	Consumers *int     `json:"consumers"`
	Ready     *int     `json:"ready"`
	Retrying  *int     `json:"retrying"`
	Dead      *int     `json:"dead"`
}

func workerList(cctx *cli.Context) error {
	session, err := lookAtBroker(cctx)
	if err != nil {
		return err
	}
	if session != nil {
		defer session.Close()
	}
	var rows []workerRow
	for _, w := range workers.Fleet(workers.Config{}) {
		r := workerRow{Worker: w.Name(), Queue: w.Queue(), Consumes: []string{}}
		for _, t := range w.Types() {
			r.Consumes = append(r.Consumes, t.RoutingKey())
		}
		if session != nil {
			if err := r.count(session, w); err != nil {
				return err
			}
		}
		rows = append(rows, r)
	}
	header := []any{"WORKER", "QUEUE", "SLOTS", "READY", "RETRYING", "DEAD", "CONSUMES"}
	return terminal.ShowRows(cctx, rows, header, func(r *workerRow) []any {
		types := cmp.Or(strings.Join(r.Consumes, " "), "every dead letter")
		return []any{r.Worker, r.Queue, terminal.NumberOr(r.Consumers), terminal.NumberOr(r.Ready), terminal.NumberOr(r.Retrying), terminal.NumberOr(r.Dead), types}
	})
}

// lookAtBroker opens a session that counts messages; nil, with a message, when no broker is known.
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
		terminal.Say(cctx, "no fleet runs here, so queues are not counted")
		return nil, nil
	}
	broker, err := settings.BrokerConfig(e, log)
	if err != nil {
		return nil, err
	}
	broker.Name = "list"
	return rabbitmq.Open(cctx.Context, broker)
}

// count asks the broker itself, whose statistics lag behind.
func (r *workerRow) count(session *rabbitmq.Session, w worker.Worker) error {
	ready, consumers, err := session.Depth(r.Queue)
	if err != nil {
		return err
	}
	r.Ready, r.Consumers = &ready, &consumers
	if r.Queue != topology.QueueName(w.Name()) {
		return nil // its queue has neither retry queues nor dead letters
	}
	dead, _, err := session.Depth(topology.DeadQueueName(w.Name()))
	if err != nil {
		return err
	}
	retrying := 0
	for _, delay := range w.Subscription().RetryDelays {
		n, _, err := session.Depth(topology.RetryQueueName(w.Name(), delay))
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
		return exit.Usage("name the workers to run: %s", strings.Join(workers.Names(), ", "))
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	f := &fleet{slots: slots}
	for _, name := range cctx.Args().Slice() {
		i := slices.Index(workers.Names(), name)
		if i < 0 {
			return exit.Usage("there is no worker %q; %sthere are %s", name, terminal.Suggest(name, workers.Names()), strings.Join(workers.Names(), ", "))
		}
		f.workers = append(f.workers, workers.Fleet(settings.WorkersConfig(cctx, log))[i])
	}
	return runPart(cctx, f)
}
