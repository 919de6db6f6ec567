package settings

import (
	"cmp"
	"log/slog"
	"maps"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
)

// Endpoints are where the servers are: a URL of each for all parts of the fleet, and those of Secrets for single parts,
// which come first. A command that is no part of the fleet is the operator's.
type Endpoints struct {
	Database   string       `json:"databaseUrl"`
	AMQP       string       `json:"amqpUrl"`
	Management string       `json:"managementUrl,omitempty"`
	Secrets    secrets.URLs `json:"secrets,omitempty"`

	wanted struct{ amqp, database string } // the keys of Secrets that were looked for
	forAll *forAll                         // nil: Database and AMQP are

	renewal *renewed[Endpoints] // nil: nothing is read again
	log     *slog.Logger        // of what is wrong with files; nil: slog's default
}

// forAll are the URLs for the parts that Secrets have none for.
type forAll struct{ database, amqp string }

func (e Endpoints) part() Endpoints {
	if e.forAll == nil {
		e.forAll = &forAll{e.Database, e.AMQP}
	}
	return e
}

// As are the endpoints of a part of the fleet, by its role on the broker.
func (e Endpoints) As(r roles.Role) Endpoints {
	e = e.part()
	e.wanted.amqp = secrets.AMQP(r)
	e.AMQP = cmp.Or(e.Secrets[e.wanted.amqp], e.forAll.amqp)
	return e
}

// AsRole are the endpoints of a part of the fleet, by its role in the database.
func (e Endpoints) AsRole(r grants.Role) Endpoints {
	e = e.part()
	e.wanted.database, e.Database = secrets.Database(r), e.forAll.database
	if own := e.Secrets[e.wanted.database]; own != "" {
		e.Database = withPGVariables(own)
	}
	return e
}

// Has tells whether the secrets have a URL of the broker for a role.
func (e Endpoints) Has(r roles.Role) bool { return e.Secrets[secrets.AMQP(r)] != "" }

// HasRole tells whether the secrets have a URL of the database for a role.
func (e Endpoints) HasRole(r grants.Role) bool { return e.Secrets[secrets.Database(r)] != "" }

// AsOperator are the endpoints of a person's commands.
func (e Endpoints) AsOperator() Endpoints { return e.As(roles.Operator).AsRole(grants.Operator) }

// unknown says what to set where no URL of a server is known.
func (e Endpoints) unknown(server, flag, key string) error {
	if len(e.Secrets) > 0 {
		return exit.Misconfigured("no URL of the %s is known: add %s to the file of --%s, or set %s", server, key, FlagSecrets, Named(flag).Variable())
	}
	return exit.Misconfigured("no %s is known: run `composerp up` here, or set %s", server, Named(flag).Variable())
}

// Secrets are the URLs of the file of secrets; none without one.
func Secrets(cctx *cli.Context) (secrets.URLs, error) {
	path, err := Configured(cctx).Value(Named(FlagSecrets))
	if err != nil || path.Text == "" {
		return nil, err
	}
	urls, err := secrets.Read(path.Text)
	if err != nil {
		return nil, exit.Misconfigured("%s, %s: %v", path.Origin, path.Text, exit.Reason(err))
	}
	return urls, nil
}

// Given are the endpoints of flags, environment and configuration file; others are empty. A URL on the command line is
// for everything: it replaces that server's secrets.
func Given(cctx *cli.Context) (Endpoints, error) {
	urls, err := Secrets(cctx)
	if err != nil {
		return Endpoints{}, err
	}
	e, err := withSecrets(cctx, urls)
	if err != nil {
		return e, err
	}
	e.renewal, e.log = e.renew(cctx), warnings(cctx)
	return e.AsOperator(), nil
}

// ForAll are the endpoints that are given for all parts of the fleet, without secrets: for what makes users, databases
// or virtual hosts.
func ForAll(cctx *cli.Context) (Endpoints, error) { return withSecrets(cctx, nil) }

func withSecrets(cctx *cli.Context, urls secrets.URLs) (Endpoints, error) {
	e := Endpoints{Secrets: urls}
	for name, into := range map[string]*string{FlagDatabase: &e.Database, FlagAMQP: &e.AMQP, FlagManagement: &e.Management} {
		v, err := Configured(cctx).Value(Named(name))
		if err != nil {
			return Endpoints{}, err
		}
		if *into = v.Text; v.typed {
			server := strings.ReplaceAll(strings.ToUpper(name), "-", "_") + "_"
			maps.DeleteFunc(e.Secrets, func(key, _ string) bool { return strings.HasPrefix(key, server) })
		}
	}
	if e.Database != "" {
		e.Database = withPGVariables(e.Database)
	}
	return e, nil
}

// Discover completes the endpoints with those of a running `up`.
func Discover(cctx *cli.Context) (Endpoints, error) {
	e, err := Given(cctx)
	if err != nil || e.Database != "" && e.AMQP != "" {
		return e, err
	}
	running, err := Find(cctx.String(FlagDir))
	if err != nil || running == nil {
		return e, err
	}
	if IsPrivate(cctx.String(FlagDir), cmp.Or(e.Database, running.Database)) {
		ForgetPGVariables()
	}
	there := running.AsOperator()
	if e.Database == "" && e.AMQP == "" && len(e.Secrets) == 0 {
		e.Secrets = there.Secrets
	}
	e.Database, e.AMQP = cmp.Or(e.Database, there.Database), cmp.Or(e.AMQP, there.AMQP)
	e.Management = cmp.Or(e.Management, there.Management)
	e.forAll = &forAll{cmp.Or(e.forAll.database, running.Database), cmp.Or(e.forAll.amqp, running.AMQP)}
	return e, nil
}
