package settings

import (
	"cmp"
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
}

// As are the endpoints of a part of the fleet, by its role on the broker.
func (e Endpoints) As(r roles.Role) Endpoints {
	e.wanted.amqp = secrets.AMQP(r)
	e.AMQP = cmp.Or(e.Secrets[e.wanted.amqp], e.AMQP)
	return e
}

// AsRole are the endpoints of a part of the fleet, by its role in the database.
func (e Endpoints) AsRole(r grants.Role) Endpoints {
	e.wanted.database = secrets.Database(r)
	if own := e.Secrets[e.wanted.database]; own != "" {
		e.Database = withPGVariables(own)
	}
	return e
}

// Has tells whether the secrets have a URL of the broker for a role.
func (e Endpoints) Has(r roles.Role) bool { return e.Secrets[secrets.AMQP(r)] != "" }

// AsOperator are the endpoints of a person's commands.
func (e Endpoints) AsOperator() Endpoints { return e.As(roles.Operator).AsRole(grants.Operator) }

// unknown says what to set where no URL of a server is known.
func (e Endpoints) unknown(server, flag, key string) error {
	if len(e.Secrets) > 0 {
		return exit.Misconfigured("no URL of the %s is known: add %s to the file of --%s, or set %s", server, key, FlagSecrets, Named(flag).Variable())
	}
	return exit.Misconfigured("no %s is known: run `composerp up` here, or set %s", server, Named(flag).Variable())
}

// Given are the endpoints of flags, environment and configuration file; others are empty. A URL on the command line is
// for everything: it replaces that server's secrets.
func Given(cctx *cli.Context) (Endpoints, error) {
	var e Endpoints
	c := Configured(cctx)
	path, err := c.Value(Named(FlagSecrets))
	if err != nil {
		return Endpoints{}, err
	}
	if path.Text != "" {
		if e.Secrets, err = secrets.Read(path.Text); err != nil {
			return Endpoints{}, exit.Misconfigured("%s: %v", path.Origin, exit.Reason(err))
		}
	}
	for name, into := range map[string]*string{FlagDatabase: &e.Database, FlagAMQP: &e.AMQP, FlagManagement: &e.Management} {
		v, err := c.Value(Named(name))
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
	return e.AsOperator(), nil
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
	return e, nil
}
