package events

import (
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/trace"
)

func lateCommand() *cli.Command {
	return &cli.Command{
		Name: "late", Usage: "list the deliveries that were late, the last one first",
		Description: "A delivery is late when its effect was committed a second or more after its event was logged, or when it waited in a\n" +
			"retry queue, for a lock, for the database or behind another event. `composerp events explain-delay` explains each.",
		Flags: settings.DatabaseFlags(&cli.IntFlag{Name: "limit", Value: 20, Usage: "the most deliveries, the newest; 0: all that are kept"}),
		Action: settings.OnSchema("events", 1, terminal.Limit, func(cctx *cli.Context, db *store.DB, limit int) error {
			late, err := delays.Newest(cctx.Context, db, limit)
			if err != nil {
				return err
			}
			return terminal.ShowRows(cctx, late, []any{"EVENT", "QUEUE", "HANDLED", "AFTER", "MOSTLY IN"}, func(d *delays.Newly) []any {
				return []any{d.EventID, d.Queue, terminal.Moment(d.HandledAt), wording.Seconds(d.Seconds), d.Widest}
			})
		}),
	}
}

func explainDelayCommand() *cli.Command {
	return &cli.Command{
		Name: "explain-delay", Usage: "show where the time of an event's deliveries went", ArgsUsage: "EVENT-ID",
		Description: "For each queue that the event goes to: the time in each stage between its birth in the log and the commit of its effect,\n" +
			"which add up to the total, and the widest one. Of an event that is still on its way: where it has been until now.\n" +
			"Times are kept of late deliveries (composerp events late) for two weeks; the metric composerp_delivery_stage_seconds\n" +
			"counts all. It reads the log from its end: some seconds for a million events.",
		Flags: settings.DatabaseFlags(), Action: settings.OnSchema("events", 1, eventAsked, explainDelay),
	}
}

func explainDelay(cctx *cli.Context, db *store.DB, id uuid.UUID) error {
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	x, err := delays.Explain(cctx.Context, db, id, progress.Reading)
	progress.End()
	if err != nil {
		return err
	}
	if x == nil {
		return notLogged(cctx, db, id.String(), wording.Sprintf("the log has no event %s", id))
	}
	return terminal.Show(cctx, x, func(w io.Writer) { showDelay(w, x) })
}

func showDelay(w io.Writer, x *delays.Explanation) {
	terminal.Row(w, "event", x.EventID)
	terminal.Row(w, "type", x.Type)
	if x.LoggedAt != nil {
		terminal.Row(w, "logged", terminal.Moment(*x.LoggedAt))
	}
	if x.External {
		terminal.Row(w, "published", "over AMQP, before it was logged: its times begin when it came to each worker")
	}
	terminal.Row(w)
	terminal.Table(w, x.Deliveries, []any{"QUEUE", "STATE", "AFTER", "MOSTLY IN", "WHICH MEANS"}, func(d *delays.Delivery) []any {
		if len(d.Stages) == 0 {
			return []any{d.Queue, d.State, "-", "-", unkept(x, d)}
		}
		return []any{d.Queue, d.State, wording.Seconds(d.Seconds), d.Widest, meaning(d)}
	})
	headed := false
	for _, d := range x.Deliveries {
		for _, s := range d.Stages {
			if !headed {
				terminal.Row(w)
				terminal.Row(w, "QUEUE", "STAGE", "TIME", "SHARE")
				headed = true
			}
			terminal.Row(w, d.Queue, s.Stage, wording.Seconds(s.Seconds), fmt.Sprintf("%.0f %%", 100*s.Seconds/d.Seconds))
		}
	}
}

// unkept says why there are no times of a delivery.
func unkept(x *delays.Explanation, d *delays.Delivery) string {
	switch {
	case d.State != trace.Handled, x.LoggedAt == nil:
		return "a version before this one logged it: no times are known"
	case time.Since(*x.LoggedAt) > delays.Life:
		return "times are kept for two weeks"
	}
	return "it was not late: its effect came within a second of its message"
}

// meaning says the widest stage in words.
func meaning(d *delays.Delivery) string {
	switch d.Widest {
	case delay.Relay.String():
		return "no relay published it, or the transaction that logged it was open for long: composerp doctor"
	case delay.Queue.String():
		return "no slot took it: composerp worker describe " + d.Consumer
	case delay.Buffer.String():
		return "its slot was busy with messages before it"
	case delay.Handling.String():
		return "its batch took that long"
	case delay.Locks.String():
		return "another transaction held a lock that its batch needed"
	case delay.Database.String():
		return "the database did not serve"
	case delay.Breaker.String():
		return "a dependency was away" + lastTry(d)
	case delay.Retry.String():
		return "it waited for its next attempt" + lastTry(d)
	case delay.Parked.String():
		return "it waited behind an event of its aggregate that failed"
	case delay.DeadLetter.String():
		return "it was among the dead letters" + lastTry(d)
	case delay.Republish.String():
		return "no queue had it until it was published again (watchdog, republish or dlq redrive): the log of the watchdog says what was missing"
	case delays.Tried:
		return "its attempts until the last one that failed" + lastTry(d)
	case delays.Published:
		return "it is in its queue, in a retry queue for an open circuit, or in hand: composerp worker describe " + d.Consumer
	}
	return "its message says nothing of it: a version before this one published it"
}

// lastTry is the last attempt that failed, behind what it explains.
func lastTry(d *delays.Delivery) string {
	if len(d.Tries) == 0 {
		return ""
	}
	return ": " + Why(trace.Delivery{Tries: d.Tries})
}
