package replay

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventquery"
	kept "github.com/composerp/composerp/store/replay"
	"github.com/composerp/composerp/workers/runtime/replay"
)

func replayAsked(cctx *cli.Context) error {
	a, err := asked(cctx)
	if err != nil {
		return err
	}
	db, e, err := settings.OpenSchema(cctx, "replay", 3)
	if err != nil {
		return err
	}
	defer db.Close()
	if a.Archives, err = archive.Given(cctx.Context, cctx, db); err != nil {
		return err
	}
	if a.Archives != nil {
		defer a.Archives.Close()
	}
	if err := checkProof(cctx.Context, db, a); err != nil {
		return err
	}
	q := eventquery.Query{Filter: a.Filter, Archives: a.Archives}
	if err := checkArchived(cctx, db, a, &q); err != nil {
		return err
	}
	switch {
	case cctx.Bool(settings.FlagDryRun):
		return forecast(cctx, db, a)
	case a.Target == kept.File && a.Name == "-":
		terminal.IgnorePipe()
		if _, err := replay.Write(cctx.Context, db, q, a.Rate, cctx.App.Writer); err != nil && !terminal.IsPipe(err) {
			return err
		}
		return nil
	}
	cfg, err := prepare(cctx, db, e, a.Target, a.Name)
	if err != nil {
		return err
	}
	if a.Target == kept.File {
		if err := replay.CheckNew(a.Name); err != nil {
			return exit.Usage("--%s: %v", flagFile, err)
		}
	}
	cfg.Archives = a.Archives
	if cfg.Replay, err = kept.Begin(cctx.Context, db, settings.By(cctx), a); err != nil {
		return err
	}
	return run(cctx, cfg)
}

// checkProof refuses a replay of events when the inbox cannot tell whether its worker has handled them.
func checkProof(ctx context.Context, db *store.DB, a kept.Asked) error {
	if a.Target != kept.Queue || a.Again {
		return nil
	}
	upto, err := kept.Unproven(ctx, db, a.Name)
	if err != nil || upto == 0 {
		return err
	}
	q := eventquery.Query{Filter: a.Filter, Archives: a.Archives}
	first, last, err := q.Bounds(ctx, db)
	if err == nil && first < min(upto, last) {
		err = unprovenError(a.Name, upto)
	}
	return err
}

// checkArchived tells what is left out without archives, and refuses to leave out what was asked for by name. What an
// archived event led to is archived too: handled again, it would be emitted and applied once more.
func checkArchived(cctx *cli.Context, db *store.DB, a kept.Asked, q *eventquery.Query) error {
	if a.Again && a.Archives != nil {
		return exit.Usage("--again cannot have --archives: what archived events led to is not in the log any more, and would count twice")
	}
	upto, err := q.Archived(cctx.Context, db)
	if err == nil && upto > 0 && cctx.IsSet(flagFrom) {
		return exit.Usage("--from %s: what is before position %d of the log is archived: give the directory of the files by --archives, or begin at --from %d", cctx.String(flagFrom), upto, upto-1)
	}
	if err != nil || upto == 0 {
		return err
	}
	return archive.Tell(cctx, db, q)
}

// prepare finds what the target needs of the broker, before anything is entered.
func prepare(cctx *cli.Context, db *store.DB, e settings.Endpoints, target kept.Target, name string) (cfg replay.Config, err error) {
	cfg.DB = db
	if target == kept.File {
		return cfg, nil
	}
	if cfg.Broker, err = settings.LoggedBroker(cctx, e, "replay"); err != nil {
		return cfg, err
	}
	if target == kept.Queue {
		w, err := workerOf(name)
		if err != nil {
			return cfg, err
		}
		cfg.Queue = w.Queue()
		return cfg, nil
	}
	wanted := topology.Topology{Exchanges: []topology.ExchangeSpec{{Name: name, Kind: "topic"}}}
	session, err := rabbitmq.Open(cctx.Context, cfg.Broker)
	if err != nil {
		return cfg, err
	}
	defer session.Close()
	have, _, err := session.InspectTopology(wanted)
	if err == nil && len(have.Exchanges) == 0 {
		err = missingExchange(name)
	}
	return cfg, err
}

func resume(cctx *cli.Context) error {
	id, err := idAsked(cctx)
	if err != nil {
		return err
	}
	db, e, err := settings.OpenSchema(cctx, "replay", 3)
	if err != nil {
		return err
	}
	defer db.Close()
	was, err := kept.Get(cctx.Context, db, id)
	if err != nil {
		return err
	}
	cfg, err := prepare(cctx, db, e, was.Target, was.Name)
	if err != nil {
		return err
	}
	if cfg.Archives, err = archive.Given(cctx.Context, cctx, db); err != nil {
		return err
	}
	if cfg.Archives != nil {
		defer cfg.Archives.Close()
	}
	if cfg.Replay, err = kept.Resume(cctx.Context, db, settings.By(cctx), id); err != nil {
		return err
	}
	return run(cctx, cfg)
}

// run runs a replay that is entered, and shows it.
func run(cctx *cli.Context, cfg replay.Config) error {
	bar := newBar(cctx.App.ErrWriter, cfg.Replay)
	cfg.Progress = bar.tell
	r, err := replay.Run(cctx.Context, cfg)
	bar.end()
	if err == nil {
		return report(cctx, r)
	}
	if !errors.Is(err, kept.ErrTakenOver) {
		err = fmt.Errorf("%w; %s went out by then, and `composerp replay resume %d` goes on", err, wording.Count(r.Events, "event"), r.ID)
	}
	return err
}

func report(cctx *cli.Context, r kept.Replay) error {
	return terminal.Show(cctx, r, func(w io.Writer) {
		terminal.Row(w, "REPLAY", r.ID)
		terminal.Row(w, "TO", string(r.Target)+" "+r.Name)
		terminal.Row(w, "STATE", stateOf(&r))
		terminal.Row(w, "EVENTS", r.Events)
		if r.Target == kept.Exchange {
			terminal.Row(w, "NO QUEUE TOOK", r.Unrouted)
		}
		terminal.Row(w, "POSITION", fmt.Sprintf("%d of %d..%d", r.At, r.First, r.Last))
		terminal.Row(w, "AGAIN", terminal.YesNo(r.Again))
		terminal.Row(w, "ASKED", fmt.Sprintf("%s by %s", terminal.Moment(r.AskedAt), r.Operator))
		terminal.Row(w, "WHY", r.Reason)
	})
}

func forecast(cctx *cli.Context, db *store.DB, a kept.Asked) error {
	consumer := ""
	if a.Target == kept.Queue {
		consumer = a.Name
	}
	counts, err := replay.Count(cctx.Context, db, eventquery.Query{Filter: a.Filter, Archives: a.Archives}, consumer)
	if err != nil {
		return err
	}
	err = terminal.ShowRows(cctx, counts, []any{"TYPE", "EVENTS", "HANDLED BEFORE"}, func(f *replay.Forecast) []any {
		return []any{f.Type, f.Events, f.Handled}
	})
	if err != nil {
		return err
	}
	var events, handled int64
	for _, f := range counts {
		events, handled = events+f.Events, handled+f.Handled
	}
	text := wording.Sprintf("would replay %d events to %s %s", events, a.Target, a.Name)
	switch {
	case a.Again:
		text += wording.Sprintf("; it would handle all of them, %d once more", handled)
	case a.Target == kept.Queue:
		text += wording.Sprintf("; it would acknowledge %d as duplicates, and handle %d", handled, events-handled)
	}
	terminal.Say(cctx, "%s", text)
	return nil
}

// bar shows how far a replay is: a bar on a terminal, elsewhere a line now and then.
type bar struct {
	bars   *mpb.Progress
	bar    *mpb.Bar
	status interface {
		Say(text string)
		End()
	}
}

func newBar(out io.Writer, r kept.Replay) *bar {
	if !terminal.IsTerminal(out) {
		return &bar{status: terminal.NewStatus(out)}
	}
	bars := mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))
	return &bar{bars: bars, bar: bars.AddBar(r.Last-r.First, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("replay %d", r.ID))), mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.EwmaETA(decor.ET_STYLE_GO, 30, decor.WC{W: 8})))}
}

func (b *bar) tell(done, all, events int64) {
	if b.bar != nil {
		b.bar.SetCurrent(done)
		return
	}
	b.status.Say(wording.Sprintf("replayed %d of %d positions of the log, %d events", done, all, events))
}

func (b *bar) end() {
	if b.bar == nil {
		b.status.End()
		return
	}
	b.bar.Abort(true)
	b.bars.Wait()
}
