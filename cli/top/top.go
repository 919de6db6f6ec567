package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store/scaling"
)

const (
	flagInterval = "interval"
	flagOnce     = "once"

	defaultInterval = 2 * time.Second
	// readTimeout bounds a reading, and an act: a server that hangs is away.
	readTimeout = 10 * time.Second
)

// Command is the command `top`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "top", Usage: "show queues, nodes and scale decisions live, and pause, resume and scale by keys",
		Description: "The columns are those of `composerp worker list`, as many as there is room for. ? lists the keys. A key asks before it\n" +
			"changes anything; who does it and why is asked where --operator or --reason are not given. When stdout is no terminal\n" +
			"it writes the table at each interval, with -o json a line of JSON.",
		Flags: pools.ListFlags(
			&cli.DurationFlag{Name: flagInterval, Value: defaultInterval, Usage: "time between two readings"},
			&cli.BoolFlag{Name: flagOnce, Usage: "write one table, or one JSON, and end"},
			settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
		),
		Action: top,
	}
}

func top(cctx *cli.Context) error {
	if !cctx.Bool(flagOnce) && cctx.String(terminal.FlagOutput) != "json" && isTerminal(cctx.App.Writer) {
		return screen(cctx)
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	r := pools.NewReader(cctx, log)
	defer r.Close()
	return plain(cctx, r)
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
}

// plain writes a sample at each interval, or one.
func plain(cctx *cli.Context, r *pools.Reader) error {
	for {
		s, err := sample(cctx.Context, r)
		if err != nil {
			return err
		}
		if cctx.Bool(flagOnce) {
			if err := s.Told(cctx); err != nil {
				return err
			}
			return terminal.Show(cctx, s, func(w io.Writer) { table(w, s) })
		}
		if cctx.Context.Err() == nil {
			err = s.write(cctx)
		}
		if err != nil || !clock.Sleep(cctx.Context, cctx.Duration(flagInterval)) {
			return err
		}
	}
}

// one is a sample that is written among others.
type one struct{ pools.Sample }

func sample(ctx context.Context, r *pools.Reader) (one, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s, err := r.ReadAll(ctx)
	return one{s}, err
}

func (s one) write(cctx *cli.Context) error {
	if cctx.String(terminal.FlagOutput) == "json" {
		encoder := json.NewEncoder(cctx.App.Writer)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(s)
	}
	for _, p := range s.Problems {
		terminal.Say(cctx, "%s", p)
	}
	return terminal.Show(cctx, nil, func(w io.Writer) {
		table(w, s)
		fmt.Fprintln(w)
	})
}

// table is a line of what the fleet does as a whole, and the table of `worker list`.
func table(w io.Writer, s one) {
	fmt.Fprintf(w, "%s  %s\n", terminal.Moment(s.At), strings.Join(heading(s.Sample), ", "))
	s.Table(w)
}

// screen shows the fleet on the terminal until the operator quits.
func screen(cctx *cli.Context) error {
	r := pools.NewReader(cctx, slog.New(slog.DiscardHandler)) // the screen has no place for a log
	defer r.Close()
	ctx, cancel := context.WithCancel(cctx.Context)
	defer cancel() // before the reader is closed: what is being read is not shown any more
	m := &model{
		interval: cctx.Duration(flagInterval), style: colours(), by: settings.By(cctx), operatorGiven: operatorGiven(cctx),
		read: func() tea.Msg {
			s, err := sample(ctx, r)
			return sampled{s.Sample, err}
		},
		act: func(d deed) (string, error) { return d.do(ctx, r) },
	}
	_, err := tea.NewProgram(m, tea.WithContext(cctx.Context), tea.WithoutSignalHandler(), tea.WithOutput(cctx.App.Writer)).Run()
	if cctx.Context.Err() != nil {
		return nil
	}
	return errors.Join(err, m.err)
}

func operatorGiven(cctx *cli.Context) bool {
	v, err := settings.Configured(cctx).Value(settings.Named(settings.FlagOperator))
	return err == nil && v.Text != ""
}

// do carries out what the operator has confirmed, and says what came of it.
func (d deed) do(ctx context.Context, r *pools.Reader) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	db, err := r.DB(ctx)
	if err != nil {
		return "", err
	}
	if d.what == scales {
		_, _, err := scaling.Scale(ctx, db, d.by, []scaling.Change{d.change})
		return d.change.Queue + " is to have " + slots(d.change.Desired), err
	}
	changed, err := scaling.Pause(ctx, db, d.by, d.change.Queue, d.what == pauses)
	return pools.PauseText(d.change.Queue, "on every node", d.what == pauses, changed), err
}
