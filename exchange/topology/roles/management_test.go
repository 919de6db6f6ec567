package roles_test

import (
	"errors"
	"net/url"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
)

// The role monitoring sees what the watchdog looks at, and changes nothing; the other roles do not get in.
func TestOnlyMonitoringSeesTheManagementAPI(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	vhost := rabbitmqtest.VhostOf(t, config)
	users := rabbitmqtest.Roles(t, config, fleet())
	if err := rabbitmq.Apply(t.Context(), topology.Compute(fleet()), config); err != nil {
		t.Fatal(err)
	}
	as := func(role roles.Role) *management.Client {
		login, err := url.Parse(users[role].URLs[0])
		if err != nil {
			t.Fatal(err)
		}
		api, err := url.Parse(rabbitmqtest.ManagementURL(t))
		if err != nil {
			t.Fatal(err)
		}
		api.User = login.User
		client, err := management.New(api.String())
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	observer := as(roles.Monitoring)
	if nodes, err := observer.Nodes(t.Context()); err != nil || len(nodes) == 0 {
		t.Errorf("monitoring sees nodes %v: %v", nodes, err)
	}
	if have, err := observer.Topology(t.Context(), vhost); err != nil || len(have.Queues) != len(topology.Compute(fleet()).Queues) {
		t.Errorf("monitoring sees %d queues: %v", len(have.Queues), err)
	}
	if queues, err := observer.Queues(t.Context(), vhost); err != nil || len(queues) == 0 {
		t.Errorf("monitoring sees the state of %d queues: %v", len(queues), err)
	}
	if _, err := observer.Overview(t.Context()); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"deletes a queue": observer.DeleteQueue(t.Context(), vhost, "composerp.ledger"),
		"makes a vhost":   observer.CreateVhost(t.Context(), vhost+"-2"),
		"imports a user":  observer.Import(t.Context(), roles.AccessTo(vhost, roles.Of(nil), nil)),
	} {
		if !errors.Is(err, rabbitmq.ErrAccessRefused) {
			t.Errorf("monitoring %s: %v, want a refusal", what, err)
		}
	}
	for role := range users {
		if _, err := as(role).Overview(t.Context()); role != roles.Monitoring && !errors.Is(err, rabbitmq.ErrAccessRefused) {
			t.Errorf("%s sees the management API: %v", role, err)
		}
	}
}

// What `topology export --with-users` prints makes everything in an empty broker, and may be imported again.
func TestDefinitionsWithUsersCanBeImported(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	vhost := rabbitmqtest.VhostOf(t, config)
	till := rabbitmqtest.User(t, config, "old")
	all := topology.Compute(fleet())
	grants := slices.DeleteFunc(roles.Of(fleet()), func(g roles.Grant) bool { return g.Role != roles.Publisher })
	definitions := roles.Definitions{Definitions: all.Definitions(vhost), Access: roles.AccessTo(vhost, grants, map[roles.Role]roles.Login{roles.Publisher: {User: till, Password: "new"}})}
	for range 2 {
		if err := rabbitmqtest.Management(t).Import(t.Context(), definitions); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(config.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(till, "new")
	config.URLs = []string{u.String()}
	if err := publish(topology.Events, sale)(t.Context(), config); err != nil {
		t.Errorf("the publisher publishes a sale: %v", err)
	}
	if err := publish(topology.Events, stock)(t.Context(), config); !errors.Is(err, rabbitmq.ErrAccessRefused) {
		t.Errorf("the publisher publishes an event of the fleet's: %v, want a refusal", err)
	}
}
