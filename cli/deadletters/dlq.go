// Package deadletters has the commands dlq and quarantine.
package deadletters

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/deadletters"
	"github.com/composerp/composerp/workers/worker"
)

// Command is the command `dlq`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "dlq",
		Usage: "dead letters: messages that failed every attempt, and events that no queue was bound for",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list dead letters by queue, type and fingerprint of the error",
				Description: "IN QUEUE is the broker's count; the rest comes from the dead-letter log, so that no queue is read.\n" +
					"FINGERPRINT is the same for errors that differ only in numbers, ids and quoted texts; --error takes it.",
				Flags: settings.ConnectionFlags(letterFlags(
					&cli.BoolFlag{Name: "each", Usage: "list single letters, the oldest first"},
					allFlag(),
				)...),
				Action: orUnrouted(settings.On(openLog, letters, dlqList), settings.On(openUnrouted, letters, listUnrouted)),
			},
			{
				Name: "show", Usage: "show a letter: error, disposition, headers and body", ArgsUsage: "ID...",
				Description: "ID is the letter's or its event's. An event may have several dead letters: one for each worker and each redrive.",
				Flags:       settings.ConnectionFlags(queueFlag(), terminal.OutputFlag()),
				Action:      orUnrouted(settings.On(openLog, lettersNamed, dlqShow), settings.On(openUnrouted, idsNamed, showUnrouted)),
			},
			{
				Name: "export", Usage: "write dead letters to stdout, one JSON object a line, with headers and body",
				Flags:  settings.ConnectionFlags(chooseFlags(allFlag())...),
				Action: orUnrouted(settings.On(openLog, letters, dlqExport), settings.On(openUnrouted, letters, exportUnrouted)),
			},
			dlqRedriveCommand(), dlqDiscardCommand(),
		},
	}
}

func queueFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "queue", Aliases: []string{"worker"}, Usage: "dead letters of this worker, or unrouted for the events that no queue was bound for; may be repeated"}
}

func allFlag() cli.Flag {
	return &cli.BoolFlag{Name: "all", Usage: "also letters that were redriven, discarded or lost"}
}

// chooseFlags are those that choose letters.
func chooseFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		queueFlag(),
		&cli.StringFlag{Name: "type", Usage: "of this event type only"},
		&cli.StringFlag{Name: "error", Usage: "with this text in the error, or of this fingerprint (see list)"},
		&cli.StringFlag{Name: "tenant", Usage: "of this tenant only"},
		&cli.StringFlag{Name: "aggregate", Usage: "of this aggregate only, such as an order or a sale"},
		&cli.StringFlag{Name: "quarantine", Usage: "of this class in quarantine"},
		&cli.StringFlag{Name: "since", Usage: "dead-lettered at this time or later: 2026-02-09T12:00:00Z, 2026-02-09, or 2h for two hours ago"},
		&cli.StringFlag{Name: "until", Usage: "dead-lettered before this time"},
		&cli.StringSliceFlag{Name: "id", Usage: "id of the letter, its event or its message; may be repeated"},
		&cli.IntFlag{Name: "limit", Usage: "at most this many; 0: all"},
	)
}

func letterFlags(more ...cli.Flag) []cli.Flag {
	return append(chooseFlags(more...), terminal.OutputFlag())
}

// chosen are the letters that a command line chooses.
type chosen struct {
	failures.LetterFilter
	limit int // 0: all of them
}

func letters(cctx *cli.Context) (of chosen, err error) {
	of.LetterFilter = failures.LetterFilter{
		Type: cctx.String("type"), Error: cctx.String("error"), Tenant: cctx.String("tenant"), Aggregate: cctx.String("aggregate"),
		Quarantine: cctx.String("quarantine"), IDs: cctx.StringSlice("id"), Consumers: consumers(cctx), IncludeResolved: cctx.Bool("all"),
	}
	if of.Since, err = pointOfTime("since", cctx.String("since")); err != nil {
		return of, err
	}
	if of.Until, err = pointOfTime("until", cctx.String("until")); err != nil {
		return of, err
	}
	of.limit, err = terminal.Limit(cctx)
	return of, err
}

// consumers are the workers of --queue.
func consumers(cctx *cli.Context) []string {
	var names []string
	for _, q := range cctx.StringSlice("queue") {
		names = append(names, workerOf(q))
	}
	return names
}

// checkConsumers refuses workers that neither the fleet nor the dead-letter log knows. A worker that is gone from the
// fleet may have left letters.
func checkConsumers(cctx *cli.Context, db *store.DB) error {
	known := append(DeadNames(), UnroutedName)
	var unknown []string
	for _, name := range consumers(cctx) {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	logged, err := failures.LettersByConsumer(cctx.Context, db, failures.LetterFilter{Consumers: unknown, IncludeResolved: true})
	if err != nil {
		return err
	}
	for _, name := range unknown {
		if !slices.ContainsFunc(logged, func(l failures.ConsumerLetters) bool { return l.Consumer == name }) {
			return unknownWorker(name, known)
		}
	}
	return nil
}

func unknownWorker(name string, known []string) error {
	return exit.Usage("--queue %q: %sthere are %s", name, terminal.Suggest(name, known), strings.Join(known, ", "))
}

// workerOf gives the worker of a name that is the worker's, its queue's or its dead-letter queue's.
func workerOf(queue string) string {
	return strings.TrimSuffix(strings.TrimPrefix(queue, topology.QueueName("")), ".dead")
}

// pointOfTime reads a point of time: an instant, a day, or how long ago.
func pointOfTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, exit.Usage("--%s %q: want 2026-02-09T12:00:00Z, 2026-02-09, or 2h for two hours ago", flag, text)
}

// letterLog is the dead-letter log, with the broker where one is known.
type letterLog struct {
	deadletters.Config
	endpoints settings.Endpoints
}

func (c letterLog) Close() error { return c.DB.Close() }

func openLog(cctx *cli.Context) (c letterLog, err error) {
	db, e, err := settings.OpenSchema(cctx, "dlq", 2)
	if err != nil {
		return c, err
	}
	c.DB, c.endpoints = db, e
	if cctx.String(settings.FlagLogLevel) != "" && e.AMQP != "" {
		if c.Log, err = settings.Logger(cctx); err == nil {
			c.Broker, err = settings.BrokerConfig(e, c.Log)
		}
	}
	if err == nil {
		err = checkConsumers(cctx, db)
	}
	if err == nil {
		err = failures.FingerprintDeadLetters(cctx.Context, db)
	}
	if err != nil {
		db.Close()
	}
	return c, err
}

// openLetters is openLog for those that act on the queues.
func openLetters(cctx *cli.Context) (letterLog, error) {
	c, err := openLog(cctx)
	if err == nil && len(c.Broker.URLs) == 0 {
		c.Close()
		_, err = settings.BrokerConfig(settings.Endpoints{}, nil) // says what is missing
	}
	return c, err
}

// actingWorkers are the workers whose dead letters are named, each a worker of the fleet with a queue of its own.
func actingWorkers(names []string, fleet []worker.Worker) ([]worker.Worker, error) {
	var found []worker.Worker
	for _, name := range names {
		i := slices.IndexFunc(fleet, func(w worker.Worker) bool { return w.Name() == name && w.Queue() == topology.QueueName(name) })
		if i < 0 {
			return nil, unknownWorker(name, DeadNames())
		}
		found = append(found, fleet[i])
	}
	return found, nil
}

// DeadNames are the workers that have dead letters.
func DeadNames() []string {
	var names []string
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() == topology.QueueName(w.Name()) {
			names = append(names, w.Name())
		}
	}
	return names
}
