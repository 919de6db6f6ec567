package relay_test

import (
	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/store/storetest"
)

// link is a way to a server that can be shut: then no connection gets through,
// and those that were open are cut.
type link struct {
	*proxy.Proxy
	url string
}

func newLink(h *env, serverURL string) *link {
	h.Helper()
	p, through, err := proxy.Before(serverURL)
	storetest.Must(h, err)
	h.Cleanup(p.Close)
	return &link{p, through}
}

func (l *link) shut() {
	l.Set(proxy.Weather{Refuse: true})
	l.Cut()
}

func (l *link) open() { l.Set(proxy.Weather{}) }
