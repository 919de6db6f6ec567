// Package exchangetest gives a test a broker of its own: a virtual host on the shared test broker, deleted at the end.
package exchangetest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
)

// Vhost makes a virtual host of its own for t and gives the configuration that leads to it. Sessions that the test has
// not closed end with the virtual host.
func Vhost(t testing.TB) exchange.Config {
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
		if err := management.DeleteVhost(ctx, name); err != nil {
			t.Errorf("deleting the test's virtual host: %v", err)
		}
	})
	u, err := url.Parse(localtest.Broker(t).AMQPURL)
	if err != nil {
		t.Fatalf("the test broker's URL: %v", err)
	}
	u.Path = "/" + name
	return exchange.Config{URLs: []string{u.String()}, Name: "test", Backoff: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

// VhostOf is the virtual host that config leads to, as Management wants it.
func VhostOf(t testing.TB, config exchange.Config) string {
	t.Helper()
	u, err := url.Parse(config.URLs[0])
	if err != nil {
		t.Fatalf("the test broker's URL: %v", err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// User makes a user with all permissions on the virtual host that config leads to, deleted at the end, and gives its name.
func User(t testing.TB, config exchange.Config, password string) string {
	t.Helper()
	management := Management(t)
	name := uniqueName(t)
	ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(time.Minute))
	defer cancel()
	err := management.PutUser(ctx, name, password)
	if err == nil {
		err = management.Permit(ctx, VhostOf(t, config), name)
	}
	if err != nil {
		t.Fatalf("making a user for the test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), localtest.Deadline(time.Minute))
		defer cancel()
		if err := management.DeleteUser(ctx, name); err != nil {
			t.Errorf("deleting the test's user: %v", err)
		}
	})
	return name
}

// ManagementURL is where the test broker's management API is, with credentials.
func ManagementURL(t testing.TB) string {
	t.Helper()
	return localtest.Broker(t).ManagementURL
}

// Management is a client of the test broker's management API.
func Management(t testing.TB) *exchange.Management {
	t.Helper()
	management, err := exchange.NewManagement(ManagementURL(t))
	if err != nil {
		t.Fatalf("the test broker's management URL: %v", err)
	}
	return management
}

// uniqueName says in the management UI which test it belongs to, and is unique.
func uniqueName(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '#' || r == '%' || r == ',' { // a comma parts the nodes of a cluster
			return '.'
		}
		return r
	}, t.Name())
	return "test-" + name[:min(len(name), 100)] + "-" + rand.Text()[:8]
}
