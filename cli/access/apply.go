package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

func applyCommand() *cli.Command {
	return &cli.Command{
		Name: "apply", Usage: "make the users of the file of --secrets at both servers, as an administrator",
		Description: "--management-url and --database-url are an administrator's here: a user with the tag administrator of RabbitMQ, whose\n" +
			"virtual host must be there, and a superuser of PostgreSQL. A server that is not given is left out. It makes the users\n" +
			"that are missing, and gives all of them the passwords of the file and what they may do; other users and messages stay.\n" +
			"It may be run again: after an upgrade, or with new passwords. `composerp migrate up` then gives the roles of PostgreSQL\n" +
			"their privileges. Without an administrator's URL here: `composerp topology export --with-users` and `composerp db roles`.",
		Flags: []cli.Flag{
			settings.FlagOf(settings.FlagSecrets), settings.FlagOf(settings.FlagManagement), settings.FlagOf(settings.FlagDatabase),
			&cli.BoolFlag{Name: "dry-run", Usage: "only list the users, and whether they are there; checks the administrators' URLs too"},
			terminal.OutputFlag(),
		},
		Action: apply,
	}
}

// madeUser is a user of a server.
type madeUser struct {
	Server string `json:"server"`
	User   string `json:"user"`
	Key    string `json:"key"`   // of its URL in the file
	State  string `json:"state"` // before the command
}

const (
	isThere   = "there"
	isMissing = "missing"
)

func apply(cctx *cli.Context) error {
	if cctx.NArg() > 0 {
		return exit.Usage("`%s` takes no arguments: the file is that of --%s", cctx.Command.HelpName, settings.FlagSecrets)
	}
	urls, err := settings.Secrets(cctx)
	if err != nil {
		return err
	}
	if len(urls) == 0 {
		return exit.Misconfigured("no file of secrets is named: `composerp secrets create FILE` writes one; then give --%s FILE", settings.FlagSecrets)
	}
	at, err := settings.ForAll(cctx)
	if err != nil {
		return err
	}
	if at.Management == "" && at.Database == "" {
		return exit.Misconfigured("no server is named: give --%s and --%s, each an administrator's", settings.FlagManagement, settings.FlagDatabase)
	}
	users, makeUsers, err := atBroker(cctx, at, urls)
	if err != nil {
		return err
	}
	ofDatabase, makeRoles, err := atDatabase(cctx, at, urls)
	if err != nil {
		return err
	}
	if !cctx.Bool("dry-run") { // both servers have been asked by now: what is wrong with a URL changes nothing
		if err := makeUsers(); err != nil {
			return err
		}
		if err := makeRoles(); err != nil {
			return err
		}
	}
	made := append(users, ofDatabase...)
	if err := terminal.ShowRows(cctx, made, []any{"SERVER", "USER", "KEY", "WAS"}, func(u *madeUser) []any { return []any{u.Server, u.User, u.Key, u.State} }); err != nil {
		return err
	}
	if cctx.Bool("dry-run") {
		terminal.Say(cctx, "nothing was changed; without --dry-run these users get the passwords of the file, and what they may do")
		return nil
	}
	terminal.Say(cctx, "%d users have the passwords of the file; `composerp migrate up` gives the roles of PostgreSQL their privileges", len(made))
	return nil
}

func nothing() error { return nil }

// atBroker asks RabbitMQ for its users, and gives what makes ours.
func atBroker(cctx *cli.Context, at settings.Endpoints, urls secrets.URLs) (made []madeUser, makeAll func() error, err error) {
	subs := workers.Subscriptions()
	logins := urls.Logins(subs)
	if at.Management == "" || len(logins) == 0 {
		return nil, nothing, nil
	}
	api, err := settings.ManagementClient(at)
	if err != nil {
		return nil, nil, err
	}
	there, err := api.Users(cctx.Context)
	if errors.Is(err, rabbitmq.ErrAccessRefused) {
		return nil, nil, exit.Misconfigured("--%s: RabbitMQ lets an administrator alone see and make users; on a node: rabbitmqctl set_user_tags USER administrator (%s)",
			settings.FlagManagement, exit.OneLine(err))
	}
	if err == nil {
		_, err = urls.Vhost(subs)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, g := range roles.Of(subs) {
		key := secrets.AMQP(g.Role)
		if g.Role == roles.Monitoring {
			key = secrets.Management()
		}
		if login, known := logins[g.Role]; known {
			made = append(made, madeUser{"RabbitMQ", login.User, key, state(there, login.User)})
		}
	}
	return made, func() error { return urls.MakeUsers(cctx.Context, api, subs) }, nil
}

// atDatabase asks PostgreSQL for the roles, and gives what makes them.
func atDatabase(cctx *cli.Context, at settings.Endpoints, urls secrets.URLs) (made []madeUser, makeAll func() error, err error) {
	passwords := urls.Passwords()
	for _, r := range grants.Roles {
		if url := urls[secrets.Database(r)]; url != "" && passwords[r] == "" {
			terminal.Say(cctx, "%s is left out: its user is not %s, the one that gets privileges, or has no password", secrets.Database(r), r.User())
		}
	}
	if at.Database == "" || len(passwords) == 0 {
		return nil, nothing, nil
	}
	var there []string
	var may bool
	err = onDatabase(cctx, at, func(db *store.DB) (err error) {
		there, may, err = grants.There(cctx.Context, db)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if !may {
		return nil, nil, exit.Misconfigured("--%s: its role may make no roles: give a superuser's URL, or have one run what `composerp db roles` prints", settings.FlagDatabase)
	}
	for _, r := range grants.Roles {
		if passwords[r] != "" {
			made = append(made, madeUser{"PostgreSQL", r.User(), secrets.Database(r), state(there, r.User())})
		}
	}
	return made, func() error {
		err := onDatabase(cctx, at, func(db *store.DB) error { return grants.Make(cctx.Context, db, passwords) })
		if errors.Is(err, store.ErrAccess) {
			err = fmt.Errorf("%w; give a superuser's URL, or have one run what `composerp db roles` prints", err)
		}
		return err
	}, nil
}

func onDatabase(cctx *cli.Context, at settings.Endpoints, do func(*store.DB) error) error {
	db, err := settings.OpenDatabase(cctx.Context, at, "secrets", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

func state(there []string, name string) string {
	if slices.Contains(there, name) {
		return isThere
	}
	return isMissing
}

// add adds what a file lacks, or makes it. The file is replaced as a whole, for processes read it while they run.
func add(cctx *cli.Context, at secrets.Servers, path string) error {
	subs := workers.Subscriptions()
	urls, err := secrets.Read(path)
	if err != nil {
		return exit.Misconfigured("%s: %v", path, exit.Reason(err))
	}
	added := urls.Add(at, subs, secrets.Random)
	if len(added) == 0 {
		terminal.Say(cctx, "%s has a URL for each part of the fleet; nothing was added", path)
		return nil
	}
	if err := replace(path, urls, added); err != nil {
		return exit.Misconfigured("writing %s: %v", path, exit.Reason(err))
	}
	terminal.Say(cctx, "%s has %d URLs more: %s; `composerp secrets apply` makes their users", path, len(added), strings.Join(added, ", "))
	return nil
}
