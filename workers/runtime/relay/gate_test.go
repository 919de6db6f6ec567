package relay_test

import (
	"github.com/composerp/composerp/deploy/chaos/proxy"
)

// gate is a way to a server that can be shut: then nobody gets through, and
// whoever was through is thrown out.
type gate struct {
	*proxy.Proxy
	url string
}

func newGate(h *house, serverURL string) *gate {
	h.Helper()
	p, through, err := proxy.Before(serverURL)
	h.must(err)
	h.Cleanup(p.Close)
	return &gate{p, through}
}

func (g *gate) shut() {
	g.Set(proxy.Weather{Refuse: true})
	g.Cut()
}

func (g *gate) open() { g.Set(proxy.Weather{}) }
