package gateway

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
)

// certificate is the gateway's TLS, nil for none.
func certificate(cctx *cli.Context) (*tls.Config, error) {
	r := &renewedCertificate{cert: cctx.String(flagCert), key: cctx.String(flagKey)}
	if r.cert == "" && r.key == "" {
		return nil, nil
	}
	if r.cert == "" || r.key == "" {
		return nil, exit.Misconfigured("--%s and --%s go together: set both, or none", flagCert, flagKey)
	}
	if _, err := r.get(nil); err != nil {
		return nil, exit.Misconfigured("reading the gateway's certificate: %v", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: r.get, NextProtos: []string{"http/1.1"}}, nil
}

// renewedCertificate is a pair of files, read again when one of them changes. While the two do not fit, or cannot be
// read, the pair that was read before stays.
type renewedCertificate struct {
	cert, key string

	mu      sync.Mutex
	current *tls.Certificate
	changed [2]time.Time
}

func (r *renewedCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var changed [2]time.Time
	for i, path := range []string{r.cert, r.key} {
		if info, err := os.Stat(path); err == nil {
			changed[i] = info.ModTime()
		}
	}
	if r.current != nil && changed == r.changed {
		return r.current, nil
	}
	pair, err := tls.LoadX509KeyPair(r.cert, r.key)
	switch {
	case err == nil:
		r.current, r.changed = &pair, changed
	case r.current == nil:
		return nil, err
	}
	return r.current, nil
}
