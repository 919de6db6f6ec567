package secrets

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/grants"
)

// Private are the URLs of a fleet on private servers. The passwords are made from the owner's of the database, which is
// kept already; so the hosts may be others, as behind a proxy.
func Private(at Servers, subs []topology.Subscription) (URLs, error) {
	owner, err := loginOf(at.Database)
	if err != nil {
		return nil, err
	}
	return Make(at, subs, derived(owner.Password)), nil
}

// Provide makes the users and roles of a fleet on private servers, or gives them what they may do by now, and returns
// their URLs. The database's privileges follow with grants.Apply, once it is migrated.
func Provide(ctx context.Context, own *local.Servers, subs []topology.Subscription) (URLs, error) {
	urls, err := Private(Servers{own.DatabaseURL, own.AMQPURL, own.ManagementURL}, subs)
	if err != nil {
		return nil, fmt.Errorf("making the fleet's users: %w", err)
	}
	api, err := management.New(own.ManagementURL)
	if err != nil {
		return nil, err
	}
	if err := urls.MakeUsers(ctx, api, subs); err != nil {
		return nil, err
	}
	script, err := grants.Script(urls.Passwords())
	if err != nil {
		return nil, err
	}
	super, err := own.Superuser()
	if err != nil {
		return nil, fmt.Errorf("making the fleet's roles: %w", err)
	}
	defer super.Close()
	if _, err := super.ExecContext(ctx, script); err != nil {
		return nil, fmt.Errorf("making the fleet's roles: %w", err)
	}
	return urls, nil
}
