package contracts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/contracts/catalogue"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventquery"
)

// logReport is what holding the log to the schemas has found.
type logReport struct {
	Events int64     `json:"events"`
	Breaks int64     `json:"breaks"`
	Types  []ofType  `json:"types"`
	First  []problem `json:"first"`
}

// ofType are the counts of a type in one version.
type ofType struct {
	Type      event.Type `json:"type"`
	Version   string     `json:"version"`
	Events    int64      `json:"events"`
	Breaks    int64      `json:"breaks"`
	Consumers []string   `json:"consumers"`
}

// problem is an event that breaks a schema.
type problem struct {
	Seq     int64      `json:"seq"`
	EventID uuid.UUID  `json:"eventId"`
	Tenant  string     `json:"tenantId"`
	Type    event.Type `json:"type"`
	Version string     `json:"version"`
	Field   string     `json:"field"`
	Problem string     `json:"problem"`
}

func checkLog(cctx *cli.Context) error {
	_, all, err := entries()
	if err != nil {
		return err
	}
	var types []event.Type
	holds := event.Validate
	if name := cctx.String(flagType); name != "" {
		e, err := typeNamed(all, name)
		if err != nil {
			return err
		}
		types = []event.Type{e.Type}
		if file := cctx.String(flagSchema); file != "" {
			_, proposal, err := proposed(file, e.Type)
			if err != nil {
				return err
			}
			holds = proposal.Check
		}
	}
	db, _, err := settings.OpenSchema(cctx, "contracts", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	folder, err := archive.Given(cctx.Context, cctx, db)
	if err != nil {
		return err
	}
	if folder != nil {
		defer folder.Close()
	}
	progress := terminal.NewProgress(cctx.App.ErrWriter)
	defer progress.End()
	q := eventquery.Query{Filter: eventquery.Filter{Types: types}, Archives: folder, Progress: progress.Reading}
	if err := archive.Tell(cctx, db, &q); err != nil {
		return err
	}
	report, err := holdLog(cctx.Context, db, q, cctx.Int(flagLimit), holds, all)
	if err != nil {
		return err
	}
	progress.End()
	if err := showLog(cctx, report); err != nil {
		return err
	}
	if report.Breaks > 0 {
		return exit.Findings("events of the log break the schemas")
	}
	return nil
}

// holdLog calls holds with each event's body, and names the first that break: limit of them, all where it is 0.
func holdLog(ctx context.Context, db *store.DB, q eventquery.Query, limit int, holds func([]byte) error, all []catalogue.Entry) (logReport, error) {
	report := logReport{Types: []ofType{}, First: []problem{}}
	counts := map[[2]string]*ofType{}
	_, err := eventquery.Each(ctx, db, q, func(events []eventquery.Event) error {
		for i := range events {
			report.hold(&events[i], counts, limit, holds, all)
		}
		return nil
	})
	for _, of := range counts {
		report.Types = append(report.Types, *of)
	}
	slices.SortFunc(report.Types, func(a, b ofType) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), strings.Compare(a.Version, b.Version))
	})
	return report, err
}

// hold holds an event to the schemas, and counts it by type and version.
func (r *logReport) hold(e *eventquery.Event, counts map[[2]string]*ofType, limit int, holds func([]byte) error, all []catalogue.Entry) {
	key, t := [2]string{e.Type, e.Version}, event.Type(e.Type)
	of := counts[key]
	if of == nil {
		of = &ofType{Type: t, Version: e.Version, Consumers: consumersOf(all, t)}
		counts[key] = of
	}
	of.Events++
	r.Events++
	err := holds(e.Body)
	if err == nil {
		return
	}
	of.Breaks++
	r.Breaks++
	if limit == 0 || len(r.First) < limit {
		p := problem{Seq: e.Seq, EventID: e.ID, Tenant: e.Tenant, Type: t, Version: e.Version, Problem: err.Error()}
		if field, is := errors.AsType[*event.FieldError](err); is {
			p.Field, p.Problem = field.Field, field.Problem
		}
		r.First = append(r.First, p)
	}
}

func consumersOf(all []catalogue.Entry, t event.Type) []string {
	for _, e := range all {
		if e.Type == t {
			return e.ConsumedBy
		}
	}
	return []string{}
}

func showLog(cctx *cli.Context, r logReport) error {
	return terminal.Show(cctx, r, func(w io.Writer) {
		terminal.Table(w, r.Types, []any{"TYPE", "VERSION", "EVENTS", "BREAK", "CONSUMERS"}, func(o *ofType) []any {
			return []any{o.Type, o.Version, o.Events, o.Breaks, orDash(o.Consumers)}
		})
		if len(r.First) > 0 {
			terminal.Row(w)
			terminal.Table(w, r.First, []any{"POSITION", "EVENT", "TENANT", "TYPE", "VERSION", "FIELD", "PROBLEM"}, func(p *problem) []any {
				return []any{fmt.Sprint(p.Seq), p.EventID, p.Tenant, p.Type, p.Version, cmp.Or(p.Field, "-"), p.Problem}
			})
		}
		fmt.Fprintln(w, wording.Sprintf("\n%d of %d events break the schemas", r.Breaks, r.Events))
	})
}
