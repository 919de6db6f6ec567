package chaos

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

// access is what the parts of the fleet log in with, each as a user of its own.
type access struct {
	roles  []string // in the database
	users  []string // of the broker
	logins map[roles.Role]roles.Login
}

// newAccess makes the users on the servers.
func newAccess(ctx context.Context, servers *local.Servers) (a access, err error) {
	urls, err := secrets.Provide(ctx, servers, workers.Subscriptions())
	if err != nil {
		return a, err
	}
	for _, r := range []grants.Role{grants.Worker, grants.Relay} {
		a.roles = append(a.roles, r.User())
	}
	if owner, err := url.Parse(servers.DatabaseURL); err == nil { // the publisher's: its sessions are faulted, too
		a.roles = append(a.roles, owner.User.Username())
	}
	a.logins = urls.Logins(workers.Subscriptions())
	a.users = urls.Fleet(workers.Subscriptions())
	return a, nil
}

// all is what the users may do on the broker, and none that they may do nothing.
func (a access) all(vhost string) roles.Access {
	return roles.AccessTo(vhost, roles.Of(workers.Subscriptions()), a.logins)
}

func (a access) none(vhost string) roles.Access {
	grants := roles.Of(workers.Subscriptions())
	for i := range grants {
		grants[i].Permissions = roles.Permissions{}
	}
	return roles.AccessTo(vhost, grants, a.logins)
}

// writeSecrets writes the file of secrets of a process of the fleet.
func writeSecrets(dir, name string, at secrets.Servers) (path string, err error) {
	urls, err := secrets.Private(at, workers.Subscriptions())
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, name+".secrets")
	if err := os.WriteFile(path, []byte(urls.Text(workers.Subscriptions())), 0o600); err != nil {
		return "", fmt.Errorf("writing the secrets of %s: %w", name, err)
	}
	return path, nil
}
