package events

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/eventquery"
)

// filterFlags select events, for commands that write any number of them.
func filterFlags(more ...cli.Flag) []cli.Flag {
	return append(selectFlags(more...), terminal.LinesFlag(), settings.FlagOf(settings.FlagDatabase), settings.FlagOf(settings.FlagDir))
}

// selectFlags are the conditions of filterFlags alone.
func selectFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "type", Usage: "types or routing keys, separated by commas, * for any characters: SALE_COMPLETED, purchase_order.*"},
		&cli.StringFlag{Name: "tenant", Usage: "only the events of this tenant"},
		&cli.StringFlag{Name: "item", Usage: "only what names this item"},
		&cli.StringFlag{Name: "location", Usage: "only what names this location"},
		&cli.StringFlag{Name: "order", Usage: "only what names this purchase order, by id or number"},
		&cli.StringFlag{Name: "sale", Usage: "only what names this sale"},
		&cli.StringFlag{Name: "aggregate", Usage: "only events with this aggregateId"},
		&cli.StringFlag{Name: "correlation", Usage: "only events with this correlationId, and the event that began it"},
		&cli.StringFlag{Name: "id", Usage: "only the event with this id"},
		&cli.StringFlag{Name: flagSince, Usage: "only events logged since: 2h, 2026-02-09T12:00:00Z, or a position of the log"},
		&cli.StringFlag{Name: "until", Usage: "only events logged before: 2h, or 2026-02-09T12:00:00Z"},
		&cli.StringFlag{Name: "occurred-since", Usage: "only events whose business time is not before `TIME`"},
		&cli.StringFlag{Name: "occurred-until", Usage: "only events whose business time is before `TIME`"},
		&cli.StringFlag{Name: "date", Usage: "only events of a business date, by the clock of their location: 2026-02-09, or the first and last, 2026-02-01..2026-02-28"},
		&cli.StringFlag{Name: "where", Usage: "only events for which a `PATH` of SQL/JSON holds: 'payload.quantity > 10', '$.payload.lines[*] ? (@.quantity > 10)'"},
	)
}

// filterAsked reads selectFlags.
func filterAsked(cctx *cli.Context) (f eventquery.Filter, err error) {
	f = eventquery.Filter{
		Tenant: cctx.String("tenant"), Aggregate: cctx.String("aggregate"), Correlation: cctx.String("correlation"), Item: cctx.String("item"),
		Location: cctx.String("location"), Order: cctx.String("order"), Sale: cctx.String("sale"), Path: pathOf(cctx.String("where")),
	}
	if id := cctx.String("id"); id != "" {
		if f.ID.UUID, err = uuid.Parse(id); err != nil {
			return f, exit.Usage("--id %q is no event's id; `composerp events trace` finds events by what they tell of", id)
		}
		f.ID.Valid = true
	}
	if f.Types, err = TypesOf(cctx.String("type")); err != nil {
		return f, err
	}
	if place, err := strconv.ParseInt(cctx.String(flagSince), 10, 64); err == nil && place >= 0 {
		f.After = place
	} else if f.LoggedFrom, err = timeOf(cctx, flagSince, ", or a position of the log"); err != nil {
		return f, err
	}
	for name, at := range map[string]*time.Time{"until": &f.LoggedTo, "occurred-since": &f.OccurredFrom, "occurred-until": &f.OccurredTo} {
		if *at, err = timeOf(cctx, name, ""); err != nil {
			return f, err
		}
	}
	f.DateFrom, f.DateTo, err = datesOf(cctx.String("date"))
	return f, err
}

// timeOf reads a time, or how long ago it was.
func timeOf(cctx *cli.Context, name, more string) (time.Time, error) {
	text := cctx.String(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := terminal.ReadMoment(name, text)
	if err != nil {
		return at, exit.Usage("--%s %q: want a duration such as 2h, or a time such as 2026-02-09T12:00:00Z%s", name, text, more)
	}
	return at, nil
}

func datesOf(text string) (from, to event.Date, err error) {
	if text == "" {
		return "", "", nil
	}
	first, last, several := strings.Cut(text, "..")
	if !several {
		last = first
	}
	for _, day := range []string{first, last} {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return "", "", exit.Usage("--date %q: want a date such as 2026-02-09, or two with .. between them", text)
		}
	}
	if last < first {
		return "", "", exit.Usage("--date %q: the last day is before the first", text)
	}
	return event.Date(first), event.Date(last), nil
}

// TypesOf are the event types that are, or whose routing keys are, like one of the patterns.
func TypesOf(patterns string) (types []event.Type, err error) {
	if patterns == "" {
		return nil, nil
	}
	var known []string
	for _, t := range event.Types() {
		known = append(known, string(t), t.RoutingKey())
	}
	for pattern := range strings.SplitSeq(patterns, ",") {
		glob := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(pattern), "#", "*"))
		before := len(types)
		for _, t := range event.Types() {
			for _, name := range []string{string(t), t.RoutingKey()} {
				like, err := path.Match(glob, strings.ToLower(name))
				if err != nil {
					return nil, exit.Usage("--type %q: the brackets of the pattern do not close", pattern)
				}
				if like && !slices.Contains(types, t) {
					types = append(types, t)
				}
			}
		}
		if len(types) == before && !slices.ContainsFunc(types, func(t event.Type) bool { return strings.EqualFold(string(t), glob) }) {
			return nil, exit.Usage("--type %q is no event type and no routing key; %sdocs/reference/events.md lists them", pattern, likeName(pattern, known))
		}
	}
	return types, nil
}

// likeName suggests what a pattern may have meant: a name that it begins, or a near one.
func likeName(pattern string, known []string) string {
	for _, name := range known {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(pattern)) {
			return "did you mean \"" + pattern + "*\"? "
		}
	}
	return terminal.Suggest(pattern, known)
}

// fieldName finds what may be a field of the envelope, or a text, which has none.
var fieldName = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[$@.]?\s*\b(?:eventId|eventType|aggregateType|aggregateId|tenantId|timestamp|version|payload|metadata)\b`)

// pathOf takes a path of SQL/JSON, or a condition that names fields of the envelope as they are.
func pathOf(text string) string {
	if strings.HasPrefix(strings.TrimSpace(text), "$") {
		return text
	}
	return fieldName.ReplaceAllStringFunc(text, func(found string) string {
		if strings.ContainsAny(found[:1], `"$@.`) {
			return found
		}
		return "$." + strings.TrimSpace(found)
	})
}

// filterError says how a path is written, of one that is not.
func filterError(cctx *cli.Context, err error) error {
	if !errors.Is(err, eventquery.ErrPath) {
		return err
	}
	hint := "write it as 'payload.quantity > 10' or 'payload.itemId == \"22423\" && payload.quantity < 0'"
	if strings.Contains(cctx.String("where"), "'") {
		hint = "texts stand in double quotes: 'payload.itemId == \"22423\"'"
	}
	return exit.Usage("--where %q is %s; %s", cctx.String("where"), wording.OneLine(err.Error()), hint)
}
