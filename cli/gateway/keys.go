package gateway

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/events"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/apikeys"
)

const (
	flagSource = "source"
	flagTypes  = "types"
	flagRead   = "read"
	flagLasts  = "expires"
	flagAfter  = "after"
)

// longestName is how many bytes the envelope takes of a tenant or source.
const longestName = 64

// KeysCommand is the command `keys`.
func KeysCommand() *cli.Command {
	by := []cli.Flag{settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator)}
	return &cli.Command{
		Name: "keys", Usage: "API keys of the gateway: who publishes what over HTTP",
		Subcommands: []*cli.Command{
			{
				Name: "create", Usage: "make a key and show it, once",
				Description: "The tenant and source of all that the key publishes are those that it is made for. The database has a hash of it\n" +
					"alone: a key that is lost is revoked, and another made. A gateway takes it within two seconds. --types are external types:\n" +
					strings.Join(events.ExternalTypes(), ", ") + ".",
				Flags: settings.DatabaseFlags(append([]cli.Flag{
					settings.FlagOf(settings.FlagTenant),
					&cli.StringFlag{Name: flagSource, Usage: "system that has the key, such as till-7; events say it as their source"},
					&cli.StringFlag{Name: flagTypes, Usage: "types of events that it may publish, separated by commas; all for every external type"},
					&cli.BoolFlag{Name: flagRead, Usage: "it may read its tenant's events, stock and orders"},
					&cli.StringFlag{Name: flagLasts, Usage: "how long it holds, such as 400d or 12h; default: until it is revoked"},
				}, by...)...),
				Action: settings.OnSchema("keys", 1, wanted, create),
			},
			{
				Name: "list", Usage: "show the keys, without their secrets",
				Flags:  settings.DatabaseFlags(&cli.StringFlag{Name: settings.FlagTenant, Usage: "this tenant only"}),
				Action: settings.OnSchema("keys", 1, settings.Nothing, list),
			},
			{
				Name: "expire", Usage: "have a key end after a while, so that its successor can be put in place", ArgsUsage: "ID",
				Flags:  settings.DatabaseFlags(append([]cli.Flag{&cli.StringFlag{Name: flagAfter, Value: "24h", Usage: "how long it still holds, such as 7d or 12h"}}, by...)...),
				Action: settings.OnSchema("keys", 1, ending, expire),
			},
			{
				Name: "revoke", Usage: "have a key end now, for good", ArgsUsage: "ID",
				Description: "Gateways refuse it within two seconds. A request that is open by then is still answered.",
				Flags:       settings.DatabaseFlags(by...),
				Action:      settings.OnSchema("keys", 1, named, revoke),
			},
		},
	}
}

// wish is a key that is to be made.
type wish struct {
	key   apikeys.Key
	lasts time.Duration
}

func wanted(cctx *cli.Context) (w wish, err error) {
	if cctx.NArg() > 0 {
		return w, exit.Usage("`%s` takes no argument, got %q", cctx.Command.HelpName, cctx.Args().First())
	}
	w.key = apikeys.Key{Tenant: cctx.String(settings.FlagTenant), Source: cctx.String(flagSource), MayRead: cctx.Bool(flagRead), Types: []string{}}
	for flag, value := range map[string]string{settings.FlagTenant: w.key.Tenant, flagSource: w.key.Source} {
		if value == "" || len(value) > longestName || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return w, exit.Usage("--%s %q: want a name of 1 to %d bytes", flag, value, longestName)
		}
	}
	if w.key.Types, err = typesOf(cctx.String(flagTypes)); err != nil {
		return w, err
	}
	if len(w.key.Types) == 0 && !w.key.MayRead {
		return w, exit.Usage("the key could do nothing: give --%s, or --%s, or both", flagTypes, flagRead)
	}
	if text := cctx.String(flagLasts); text != "" {
		if w.lasts, err = settings.Age(text); err != nil || w.lasts <= 0 {
			return w, exit.Usage("--%s %q: want a time such as 400d or 12h", flagLasts, text)
		}
	}
	return w, nil
}

// typesOf reads --types.
func typesOf(text string) ([]string, error) {
	external := events.ExternalTypes()
	if text == "all" {
		return external, nil
	}
	types := []string{}
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name == "" || slices.Contains(types, name) {
			continue
		}
		if !slices.Contains(external, name) {
			return nil, exit.Usage("--%s: %q is not an external type; %sthere are %s", flagTypes, name, terminal.Suggest(name, external), strings.Join(external, ", "))
		}
		types = append(types, name)
	}
	return types, nil
}

// created is a new key with its text.
type created struct {
	apikeys.Key
	Text string `json:"key"`
}

func create(cctx *cli.Context, db *store.DB, w wish) error {
	key, text, err := apikeys.Create(cctx.Context, db, settings.By(cctx), w.key, w.lasts)
	if err != nil {
		return err
	}
	terminal.Say(cctx, "this is shown once: keep it where the system reads its secrets")
	return terminal.Show(cctx, created{key, text}, func(w io.Writer) { fmt.Fprintln(w, text) })
}

func list(cctx *cli.Context, db *store.DB, _ struct{}) error {
	keys, err := apikeys.List(cctx.Context, db, cctx.String(settings.FlagTenant))
	if err != nil {
		return err
	}
	return show(cctx, keys)
}

func show(cctx *cli.Context, keys []apikeys.Key) error {
	return terminal.ShowRows(cctx, keys, []any{"ID", "TENANT", "SOURCE", "TYPES", "READS", "STATE", "CREATED", "BY", "EXPIRES"}, func(k *apikeys.Key) []any {
		types := strings.Join(k.Types, ",")
		if types == "" {
			types = "-"
		}
		return []any{k.ID, k.Tenant, k.Source, types, terminal.YesNo(k.MayRead), k.State, terminal.Moment(k.CreatedAt), k.CreatedBy, terminal.Or(k.ExpiresAt, "-", terminal.Moment)}
	})
}

func named(cctx *cli.Context) (string, error) {
	if cctx.NArg() != 1 {
		return "", exit.Usage("`%s` takes the ID of a key; `composerp keys list` shows them", cctx.Command.HelpName)
	}
	id := cctx.Args().First()
	if whole, _ := apikeys.Split(id); whole != "" {
		return "", exit.Usage("that is a whole key, and a secret: name it by its ID, %s", whole)
	}
	return id, nil
}

// end is a key that is to end after a while.
type end struct {
	id    string
	after time.Duration
}

func ending(cctx *cli.Context) (e end, err error) {
	if e.id, err = named(cctx); err != nil {
		return e, err
	}
	text := cctx.String(flagAfter)
	if e.after, err = settings.Age(text); err != nil || e.after < 0 {
		return e, exit.Usage("--%s %q: want a time such as 7d or 12h", flagAfter, text)
	}
	return e, nil
}

func expire(cctx *cli.Context, db *store.DB, e end) error {
	key, err := apikeys.Expire(cctx.Context, db, settings.By(cctx), e.id, e.after)
	return ended(cctx, db, e.id, key, err)
}

func revoke(cctx *cli.Context, db *store.DB, id string) error {
	key, err := apikeys.Revoke(cctx.Context, db, settings.By(cctx), id)
	return ended(cctx, db, id, key, err)
}

// ended shows a key after its change, or names the one that was probably meant.
func ended(cctx *cli.Context, db *store.DB, id string, key apikeys.Key, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		var ids []string
		keys, err := apikeys.List(cctx.Context, db, "")
		for _, k := range keys {
			ids = append(ids, k.ID)
		}
		return errors.Join(exit.Usage("there is no key with the ID %q; %s`composerp keys list` shows them", id, terminal.Suggest(id, ids)), err)
	}
	if err != nil {
		return err
	}
	return show(cctx, []apikeys.Key{key})
}
