package events

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/plaintext"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// PublishCommand is the command `publish`.
func PublishCommand() *cli.Command {
	return &cli.Command{
		Name:      "publish",
		Usage:     "publish one event through the log",
		ArgsUsage: "TYPE",
		Description: "TYPE is an external type: " + strings.Join(ExternalTypes(), ", ") + ".\n" +
			"The payload is checked against the type's schema. The log takes an --id once: the same content again is a\n" +
			"duplicate and changes nothing; other content is refused.\n\n" +
			`   composerp publish SALE_COMPLETED --data '{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":6,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}'`,
		Flags: settings.DatabaseFlags(
			&cli.StringFlag{Name: "data", Aliases: []string{"d"}, Usage: "payload as JSON, or @FILE, or @- for standard input"},
			settings.FlagOf(settings.FlagTenant),
			&cli.StringFlag{Name: "id", Usage: "UUID of the event; default random"},
			&cli.StringFlag{Name: "aggregate-id", Usage: "id of the aggregate; default the payload's own id (saleId, receiptId, ...)"},
			&cli.StringFlag{Name: "timestamp", Usage: "business time, RFC 3339; default the payload's, else now"},
			&cli.StringFlag{Name: "source", Value: "cli", Usage: "system that publishes the event"},
			&cli.StringFlag{Name: "user", Usage: "user that caused the event"},
			&cli.StringFlag{Name: "correlation-id", Usage: "id shared by related events"},
		),
		Action: settings.OnSchema("publish", 1, composeEvent, publish),
	}
}

// ExternalTypes are the event types that external publishers may publish.
func ExternalTypes() []string {
	var names []string
	for _, t := range event.Types() {
		if d, ok := event.Lookup(t); ok && d.Outside {
			names = append(names, string(t))
		}
	}
	return names
}

func publish(cctx *cli.Context, db *store.DB, e event.Any) error {
	verdicts, err := eventlog.AdmitOnce(cctx.Context, db, []event.Any{e}, true)
	if err != nil {
		return err
	}
	if verdicts[0] == eventlog.Conflict {
		return fmt.Errorf("event %s is in the log already, with other content", e.ID)
	}
	if refusal := verdicts[0].Refusal(e); refusal != nil {
		return fmt.Errorf("event %s is refused: %w", e.ID, refusal)
	}
	said := struct {
		EventID string `json:"eventId"`
		Type    string `json:"eventType"`
		Result  string `json:"result"`
	}{e.ID.String(), string(e.Type), verdicts[0].String()}
	return terminal.Show(cctx, said, func(w io.Writer) { terminal.Row(w, said.EventID, said.Type, said.Result) })
}

// composeEvent builds the event that the command line describes.
func composeEvent(cctx *cli.Context) (event.Any, error) {
	if cctx.NArg() != 1 {
		return event.Any{}, exit.Usage("name one type: %s", strings.Join(ExternalTypes(), ", "))
	}
	definition, known := event.Lookup(event.Type(cctx.Args().First()))
	if !known || !slices.Contains(ExternalTypes(), string(definition.Type)) {
		return event.Any{}, exit.Usage("%q is not an external type; there are %s", cctx.Args().First(), strings.Join(ExternalTypes(), ", "))
	}
	payload, err := readData(cctx)
	if err != nil {
		return event.Any{}, err
	}
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		return event.Any{}, exit.Usage("--data is not a JSON object: %v", err)
	}
	id := uuid.New()
	if text := cctx.String("id"); text != "" {
		if id, err = uuid.Parse(text); err != nil {
			return event.Any{}, exit.Usage("--id %q is not a UUID", text)
		}
	}
	envelope := map[string]any{
		"eventId": id.String(), "eventType": definition.Type, "aggregateType": definition.AggregateType,
		"aggregateId": cmp.Or(cctx.String("aggregate-id"), ownID(fields), id.String()),
		"tenantId":    cctx.String("tenant"), "version": definition.Version,
		"timestamp": cmp.Or(cctx.String("timestamp"), textOf(fields["timestamp"]), time.Now().UTC().Format(time.RFC3339Nano)),
		"payload":   json.RawMessage(payload),
		"metadata":  metadata(cctx),
	}
	body, err := json.Marshal(envelope)
	if err != nil {
		return event.Any{}, err
	}
	e, err := event.DecodeOutside(body)
	if err != nil {
		return event.Any{}, fmt.Errorf("this is not a %s: %w", definition.Type, err)
	}
	return e, nil
}

func metadata(cctx *cli.Context) map[string]any {
	m := map[string]any{"source": cctx.String("source")}
	for flag, field := range map[string]string{"user": "userId", "correlation-id": "correlationId"} {
		if v := cctx.String(flag); v != "" {
			m[field] = v
		}
	}
	return m
}

// readData reads --data, up to the maximum size of a body.
func readData(cctx *cli.Context) ([]byte, error) {
	data := cctx.String("data")
	path, fromFile := strings.CutPrefix(data, "@")
	switch {
	case data == "":
		return nil, exit.Usage("--data is missing: the payload as JSON, or @FILE, or @- for standard input")
	case !fromFile:
		return []byte(data), nil
	}
	in := cctx.App.Reader
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, exit.Usage("--data @%s: %v", path, err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, event.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading --data @%s: %w", path, err)
	}
	if len(raw) > event.MaxBody {
		return nil, fmt.Errorf("--data @%s: %w", path, event.ErrTooLarge)
	}
	return plaintext.Text(raw), nil
}

// ownID is the payload's id of the aggregate.
func ownID(fields map[string]any) string {
	return cmp.Or(textOf(fields["saleId"]), textOf(fields["receiptId"]), textOf(fields["transferId"]), textOf(fields["adjustmentId"]), textOf(fields["countId"]))
}

func textOf(v any) string { s, _ := v.(string); return s }
