// Package rabbitmqtest gives a test a virtual host of its own on the shared test broker, deleted at the end, and the
// means to break what is in it.
package rabbitmqtest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
)

// Vhost makes a virtual host for t and returns the configuration for it. Sessions that the test leaves open end with
// it.
func Vhost(t testing.TB) rabbitmq.Config {
	t.Helper()
	management := Management(t)
	name := uniqueName(t)
	ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(time.Minute))
	defer cancel()
	if err := management.CreateVhost(ctx, name); err != nil {
		t.Fatalf("making a virtual host for the test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(time.Minute))
		defer cancel()
		// A loaded broker may take longer than one request waits.
		if err := clock.Retry(ctx, time.Second, func() error { return management.DeleteVhost(ctx, name) }); err != nil {
			t.Errorf("deleting the test's virtual host: %v", err)
		}
	})
	u, err := url.Parse(localtest.Broker(t).AMQPURL)
	if err != nil {
		t.Fatalf("the test broker's URL: %v", err)
	}
	u.Path = "/" + name
	return rabbitmq.Config{URLs: []string{u.String()}, Name: "test", Backoff: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

// VhostOf is the virtual host of config, as Management wants it.
func VhostOf(t testing.TB, config rabbitmq.Config) string {
	t.Helper()
	u, err := url.Parse(config.URLs[0])
	if err != nil {
		t.Fatalf("the test broker's URL: %v", err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// User makes a user with all permissions on the virtual host of config, deleted at the end, and returns its name.
func User(t testing.TB, config rabbitmq.Config, password string) string {
	t.Helper()
	name := uniqueName(t)
	address := "/api/users/" + url.PathEscape(name)
	manage(t, http.MethodPut, address, map[string]string{"password": password, "tags": ""}, nil)
	t.Cleanup(func() { manage(t, http.MethodDelete, address, nil, nil) })
	Restrict(t, config, name, ".*", ".*", ".*")
	return name
}

// Roles makes a user for each role of a fleet on the virtual host of config, deleted at the end, and returns the
// configuration of each.
func Roles(t testing.TB, config rabbitmq.Config, subs []topology.Subscription) map[roles.Role]rabbitmq.Config {
	t.Helper()
	grants, logins, configs := roles.Of(subs), map[roles.Role]roles.Login{}, map[roles.Role]rabbitmq.Config{}
	vhost := VhostOf(t, config)
	var names []string
	for _, g := range grants {
		login := roles.Login{User: vhost + "-" + string(g.Role), Password: rand.Text()}
		logins[g.Role], names = login, append(names, login.User)
		u, err := url.Parse(config.URLs[0])
		if err != nil {
			t.Fatalf("the test broker's URL: %v", err)
		}
		u.User = url.UserPassword(login.User, login.Password)
		own := config
		own.URLs = []string{u.String()}
		configs[g.Role] = own
	}
	t.Cleanup(func() { manage(t, http.MethodPost, "/api/users/bulk-delete", map[string]any{"users": names}, nil) })
	for _, step := range []any{roles.Exchanges(vhost), roles.AccessTo(vhost, grants, logins)} {
		if err := Management(t).Import(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	for role, own := range configs {
		own.Fleet = names
		configs[role] = own
	}
	return configs
}

// PublishUntilConfirmed publishes messages again after every error, until all are confirmed or ctx ends. Then it gives
// the last error.
func PublishUntilConfirmed(ctx context.Context, p *external.Publisher, messages ...rabbitmq.Message) error {
	return clock.Retry(ctx, 50*time.Millisecond, func() error { return p.Publish(ctx, messages...) })
}

// ManagementURL is the test broker's management API, with credentials.
func ManagementURL(t testing.TB) string {
	t.Helper()
	return localtest.Broker(t).ManagementURL
}

// Management is a client of the test broker's management API.
func Management(t testing.TB) *management.Client {
	t.Helper()
	management, err := management.New(ManagementURL(t))
	if err != nil {
		t.Fatalf("the test broker's management URL: %v", err)
	}
	return management
}

// uniqueName is unique and shows the test's name in the management UI.
func uniqueName(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '#' || r == '%' || r == ',' { // a comma separates the nodes of a cluster
			return '.'
		}
		return r
	}, t.Name())
	return "test-" + name[:min(len(name), 100)] + "-" + rand.Text()[:8]
}
