package secrets

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
)

// MakeUsers makes the users of these URLs at the broker, and gives those that are there their passwords and permissions
// anew. The management API is an administrator's. It may be run again; users that no URL names stay as they are.
func (u URLs) MakeUsers(ctx context.Context, api *management.Client, subs []topology.Subscription) error {
	vhost, err := u.Vhost(subs)
	if err != nil {
		return fmt.Errorf("making the fleet's users: %w", err)
	}
	logins := u.Logins(subs)
	ours := slices.DeleteFunc(roles.Of(subs), func(g roles.Grant) bool { _, known := logins[g.Role]; return !known })
	for _, step := range []any{roles.Exchanges(vhost), roles.AccessTo(vhost, ours, logins)} {
		if err := api.Import(ctx, step); err != nil {
			return fmt.Errorf("making the fleet's users: %w", err)
		}
	}
	return nil
}

// Vhost is the virtual host of the broker's URLs, which is one for all.
func (u URLs) Vhost(subs []topology.Subscription) (string, error) {
	vhosts := map[string]string{}
	for _, g := range roles.Of(subs) {
		urls := u[AMQP(g.Role)]
		if urls == "" {
			continue
		}
		first, _, _ := strings.Cut(urls, ",amqp")
		vhost, err := rabbitmq.Config{URLs: []string{first}}.Vhost()
		if err != nil {
			return "", fmt.Errorf("%s: %w", AMQP(g.Role), err)
		}
		vhosts[vhost] = AMQP(g.Role)
	}
	switch names := slices.Sorted(maps.Keys(vhosts)); len(names) {
	case 0:
		return "", fmt.Errorf("no URL names the virtual host: a line such as %s is missing", AMQP(roles.Relay))
	case 1:
		return names[0], nil
	default:
		return "", fmt.Errorf("%s leads to the virtual host %q and %s to %q: a fleet has one", vhosts[names[0]], names[0], vhosts[names[1]], names[1])
	}
}

// Add adds the URLs of all roles that these lack, with new passwords, and returns their keys. For a server that at does
// not name they lead to where the others lead.
func (u URLs) Add(at Servers, subs []topology.Subscription, password func(user string) string) (added []string) {
	made := Make(u.servers(at, subs), subs, password)
	if at.Database == "" {
		delete(made, Database(grants.Migrator)) // who owns the schema is not known
	}
	for _, key := range Keys(subs) {
		if u[key] == "" && made[key] != "" {
			u[key] = made[key]
			added = append(added, key)
		}
	}
	return added
}

// servers completes the servers by these URLs.
func (u URLs) servers(at Servers, subs []topology.Subscription) Servers {
	for _, key := range Keys(subs) {
		switch {
		case at.AMQP == "" && strings.HasPrefix(key, amqpPart):
			at.AMQP = u[key]
		case at.Management == "" && key == Management():
			at.Management = u[key]
		case at.Database == "" && strings.HasPrefix(key, databasePart):
			at.Database = u[key]
		}
	}
	return at
}
