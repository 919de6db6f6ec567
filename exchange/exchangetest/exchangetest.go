// Package exchangetest gives a test a broker of its own: a virtual host on the shared test broker, deleted at the end.
package exchangetest

import (
	"testing"

	"github.com/composerp/composerp/exchange"
)

// Vhost makes a virtual host of its own for t and gives the configuration that leads to it.
func Vhost(t testing.TB) exchange.Config { t.Helper(); panic("skeleton") }

// Management is a client of the test broker's management API.
func Management(t testing.TB) *exchange.Management { t.Helper(); panic("skeleton") }
