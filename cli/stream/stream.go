// Package stream has the command stream, which switches composerp.stream on and off.
package stream

import (
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/stream"
)

const (
	flagFrom      = "from"
	flagMaxAge    = "max-age"
	flagSegmentMB = "segment-mb"
	flagMaxMB     = "max-mb"
	flagDelete    = "delete"

	fromNow       = "now"
	fromBeginning = "beginning"

	megabyte = 1 << 20
	// mostSegmentMB is below RabbitMQ's own limit of 3 GB.
	mostSegmentMB = 2000
)

// Command is the command `stream`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "stream", Usage: "a copy of the log in a RabbitMQ stream, from which other programs replay",
		Subcommands: []*cli.Command{
			{
				Name: "enable", Usage: "declare composerp.stream and have the log copied into it",
				Description: "Any AMQP 0-9-1 client reads it from where it likes: docs/howto/read-the-stream.md. A running fleet begins within\n" +
					"seconds. What the stream keeps is set when it is declared; to change that, `composerp stream disable --delete` first.\n" +
					"RabbitMQ drops whole segments, and only when one is full: a small log stays longer than --max-age.",
				Flags: changeFlags(
					&cli.StringFlag{Name: flagFrom, Value: fromNow, Usage: "copy events logged from `WHERE` on: now or beginning"},
					&cli.DurationFlag{Name: flagMaxAge, Value: 7 * 24 * time.Hour, Usage: "how long the stream keeps an event"},
					&cli.IntFlag{Name: flagSegmentMB, Value: 64, Usage: "size of a segment in `MB`"},
					&cli.IntFlag{Name: flagMaxMB, Usage: "size of the whole stream in `MB`; 0: no bound but --max-age"},
				),
				Action: settings.OnSchema("stream", 1, asked, enable),
			},
			{
				Name: "disable", Usage: "end the copying; the stream stays and can be read, unless --delete",
				Flags: changeFlags(
					&cli.BoolFlag{Name: flagDelete, Usage: "delete the stream with what it holds, too"},
				),
				Action: settings.OnSchema("stream", 1, settings.Nothing, disable),
			},
			{
				Name: "status", Usage: "show whether the stream is on, what it keeps and how far it is behind the log",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("stream", 1, settings.Nothing, status),
			},
		},
	}
}

func changeFlags(more ...cli.Flag) []cli.Flag {
	more = append(more, &cli.BoolFlag{Name: settings.FlagDryRun, Usage: "say what would be done"}, terminal.OutputFlag())
	return append(settings.BrokerFlags(more...), settings.FlagOf(settings.FlagDatabase), settings.FlagOf(settings.FlagDir), settings.LogFlag("warn"), settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator))
}

// wanted is what `stream enable` asks for.
type wanted struct {
	retention topology.Retention
	beginning bool
}

func asked(cctx *cli.Context) (w wanted, err error) {
	switch from := cctx.String(flagFrom); from {
	case fromNow:
	case fromBeginning:
		w.beginning = true
	default:
		return w, exit.Usage("--%s %q: want %s or %s", flagFrom, from, fromNow, fromBeginning)
	}
	age, segment, most := cctx.Duration(flagMaxAge), cctx.Int(flagSegmentMB), cctx.Int(flagMaxMB)
	if age < time.Second || age%time.Second != 0 {
		return w, exit.Usage("--%s %s: want whole seconds, such as 90m or 168h", flagMaxAge, age)
	}
	if segment < 1 || segment > mostSegmentMB {
		return w, exit.Usage("--%s %d: want 1 to %d", flagSegmentMB, segment, mostSegmentMB)
	}
	if most < 0 {
		return w, exit.Usage("--%s %d: want a number of MB, or 0 for no bound", flagMaxMB, most)
	}
	w.retention = topology.Retention{MaxAge: age, SegmentBytes: int64(segment) * megabyte, MaxBytes: int64(most) * megabyte}
	return w, nil
}

// declarer is the broker, as the user that may declare.
func declarer(cctx *cli.Context) (rabbitmq.Config, error) {
	e, err := settings.Discover(cctx)
	if err != nil {
		return rabbitmq.Config{}, err
	}
	return settings.LoggedBroker(cctx, e.As(roles.Topology), "stream")
}

// enable declares first: a queue with other arguments then leaves the setting as it was.
func enable(cctx *cli.Context, db *store.DB, w wanted) error {
	before, err := stream.Read(cctx.Context, db)
	if err != nil {
		return err
	}
	if before.On && before.Retention() != w.retention {
		return stream.ErrOn
	}
	if cctx.Bool(settings.FlagDryRun) {
		if before.On {
			terminal.Say(cctx, "nothing would change: the stream is on already")
		} else {
			terminal.Say(cctx, "%s would be declared, and the log copied into it from %s on", topology.Stream, cctx.String(flagFrom))
		}
		return status(cctx, db, struct{}{})
	}
	broker, err := declarer(cctx)
	if err != nil {
		return err
	}
	if err := rabbitmq.Apply(cctx.Context, topology.StreamOf(w.retention), broker); err != nil {
		return err
	}
	changed, err := stream.Enable(cctx.Context, db, settings.By(cctx), w.retention, w.beginning)
	if err != nil {
		return err
	}
	if changed {
		terminal.Say(cctx, "the stream is on; a running fleet begins to copy the log within seconds")
	} else {
		terminal.Say(cctx, "nothing changes: the stream is on already")
	}
	return status(cctx, db, struct{}{})
}

// disable deletes last: the watchdog declares what is missing of a stream that is on.
func disable(cctx *cli.Context, db *store.DB, _ struct{}) error {
	if cctx.Bool(settings.FlagDryRun) {
		what := "it would stay"
		if cctx.Bool(flagDelete) {
			what = "it would be deleted with what it holds"
		}
		terminal.Say(cctx, "the copying into %s would end, and %s", topology.Stream, what)
		return status(cctx, db, struct{}{})
	}
	changed, err := stream.Disable(cctx.Context, db, settings.By(cctx))
	if err != nil {
		return err
	}
	if changed {
		terminal.Say(cctx, "the stream is off")
	} else {
		terminal.Say(cctx, "nothing changes: the stream is off already")
	}
	if cctx.Bool(flagDelete) {
		if err := remove(cctx); err != nil {
			return err
		}
		terminal.Say(cctx, "%s is deleted", topology.Stream)
	}
	return status(cctx, db, struct{}{})
}

func remove(cctx *cli.Context) error {
	broker, err := declarer(cctx)
	if err != nil {
		return err
	}
	session, err := rabbitmq.Open(cctx.Context, broker)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	return session.Delete(topology.StreamOf(topology.Retention{}))
}

func status(cctx *cli.Context, db *store.DB, _ struct{}) error {
	s, err := stream.ReadState(cctx.Context, db)
	if err != nil {
		return err
	}
	shown := struct {
		stream.State
		BehindMs int64 `json:"behindMs"`
	}{s, s.Behind.Milliseconds()}
	return terminal.Show(cctx, shown, func(w io.Writer) {
		terminal.Row(w, "STREAM", "STATE", "KEEPS", "FED BY", "POSITION", "WAITING", "BEHIND")
		state, keeps := "off", ""
		if s.On {
			state, keeps = "on", wording.Span(s.Retention().MaxAge)
		}
		terminal.Row(w, topology.Stream, state, keeps, s.Holder, wording.Sprintf("%d", s.Position), wording.Sprintf("%d", s.Waiting), wording.Span(s.Behind))
	})
}
