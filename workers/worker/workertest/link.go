package workertest

import (
	"testing"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/store/storetest"
)

// Link is a network path to a server that a test can break.
type Link struct {
	*proxy.Proxy
	// URL leads to the server by the link.
	URL string
}

// NewLink makes a link to the server of a URL.
func NewLink(t testing.TB, serverURL string) *Link {
	t.Helper()
	p, through := storetest.Proxied(t, serverURL)
	return &Link{p, through}
}

// Break cuts all connections and refuses new ones.
func (l *Link) Break() {
	l.Set(proxy.Weather{Refuse: true})
	l.Cut()
}

// Restore lets connections through again.
func (l *Link) Restore() { l.Set(proxy.Weather{}) }
