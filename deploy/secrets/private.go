package secrets

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
)

// Provide makes the users and roles of a fleet on private servers, or gives them what they may do by now, and returns
// their URLs. The database's privileges follow with grants.Apply, once it is migrated.
func Provide(ctx context.Context, own *local.Servers, subs []topology.Subscription) (URLs, error) {
	owner, err := loginOf(own.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("making the fleet's users: %w", err)
	}
	urls := Make(Servers{own.DatabaseURL, own.AMQPURL, own.ManagementURL}, subs, Derived(owner.Password))
	api, err := management.New(own.ManagementURL)
	if err != nil {
		return nil, err
	}
	vhost, err := rabbitmq.Config{URLs: []string{own.AMQPURL}}.Vhost()
	if err != nil {
		return nil, err
	}
	if err := api.Import(ctx, roles.AccessTo(vhost, roles.Of(subs), urls.Logins(subs))); err != nil {
		return nil, fmt.Errorf("making the fleet's users: %w", err)
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
