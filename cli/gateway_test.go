package cli_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/storetest"
)

const gatewaySale = `{"eventId":%q,"eventType":"SALE_COMPLETED","aggregateType":"SALE","aggregateId":"S1","tenantId":"t1","timestamp":"2026-02-09T12:00:00Z",` +
	`"version":"1.0","payload":{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":2,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}}`

// newKey makes a key for sales of t1.
func (h *environment) newKey() (id, key string) {
	h.Helper()
	var made struct{ ID, Key string }
	out := h.ok("keys", "create", "--tenant", "t1", "--source", "till-7", "--types", "SALE_COMPLETED", "--read", "-o", "json").out
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
		h.Fatalf("no key: %v %s", err, out)
	}
	return made.ID, made.Key
}

// gateway starts a gateway on a free port, and gives its URL.
func (h *environment) gateway(args ...string) (f *fleet, at string) {
	h.Helper()
	f = h.part("metrics at", append([]string{"gateway", "--gateway-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"}, args...)...)
	return f, regexp.MustCompile(`gateway at (https?://[^/]+)/`).FindStringSubmatch(f.log.String())[1]
}

// publishTo publishes a sale, and gives the status; 0 without an answer.
func publishTo(ctx context.Context, client *http.Client, at, key string, id uuid.UUID) (int, string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/v1/events", strings.NewReader(fmt.Sprintf(gatewaySale, id)))
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	a, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer a.Body.Close()
	text, _ := io.ReadAll(a.Body)
	return a.StatusCode, string(text)
}

func TestGatewayOfAFleet(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.up()
	id, key := h.newKey()
	f, at := h.gateway()
	event := uuid.New()
	if status, answer := publishTo(t.Context(), http.DefaultClient, at, key, event); status != 202 {
		t.Fatalf("got %d %s", status, answer)
	}
	storetest.Eventually(t, "the sale moves stock", func() bool { return strings.Contains(h.ok("stock", "--tenant", "t1").out, "85123A") })
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"keys create --source x", 64, "could do nothing"},
		{"keys create --source x --types SALE_COMPLETE", 64, "did you mean"},
		{"keys create --source x --types all --expires never", 64, "400d"},
		{"keys revoke 0123", 64, "no key"},
		{"keys revoke " + key, 64, "a secret"},
		{"keys expire " + id + " --after 12h", 0, "valid"},
		{"keys revoke " + id, 0, "revoked"},
		{"keys expire " + id, 0, "revoked"},
		{"log operator --action keys", 0, "keys revoke"},
		{"gateway --gateway-tls-cert x", 78, "go together"},
		{"gateway --gateway-rate 0", 64, "1 or more"},
	} {
		if r := h.run(strings.Fields(c.args)...); r.code != c.code || !strings.Contains(r.out+r.errors, c.says) {
			t.Errorf("composerp %s: exit %d, want %d with %q: %s%s", c.args, r.code, c.code, c.says, r.out, r.errors)
		}
	}
	storetest.Eventually(t, "the revoked key is refused", func() bool {
		status, _ := publishTo(t.Context(), http.DefaultClient, at, key, uuid.New())
		return status == 401
	})
	if strings.Contains(f.log.String(), key) {
		t.Error("the gateway's log has the key")
	}
	f.stop(t)
}

var gatewayRounds = flag.Int("gateway-rounds", 3, "how often TestKillsOfTheGatewayLoseNothing kills a gateway")

// Whatever is killed whenever: what was acknowledged is in the log, and nothing is there twice.
func TestKillsOfTheGatewayLoseNothing(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.ok("migrate", "up")
	_, key := h.newKey()
	var mu sync.Mutex
	acknowledged := map[uuid.UUID]bool{}
	for range *gatewayRounds {
		f, at := h.gateway()
		stop := make(chan struct{})
		var group sync.WaitGroup
		begun := len(acknowledged)
		for range 4 {
			group.Go(func() {
				for id := uuid.New(); ; {
					status, answer := publishTo(t.Context(), http.DefaultClient, at, key, id)
					switch status {
					case 200, 202:
						mu.Lock()
						acknowledged[id] = true
						mu.Unlock()
						id = uuid.New()
					case 0:
					default:
						t.Errorf("got %d %s", status, answer)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		storetest.Eventually(t, "events are acknowledged", func() bool { mu.Lock(); defer mu.Unlock(); return len(acknowledged) >= begun+20 })
		f.kill(t)
		close(stop)
		group.Wait()
	}
	var list []string
	for id := range acknowledged {
		list = append(list, id.String())
	}
	if n := storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log WHERE event_id = ANY ($1::uuid[])`, "{"+strings.Join(list, ",")+"}"); n != len(list) {
		t.Errorf("%d events are acknowledged, the log has %d of them", len(list), n)
	}
	if n := storetest.Value[int](t, h.database, `SELECT count(*) - count(DISTINCT event_id) FROM event_log`); n != 0 {
		t.Errorf("%d events are in the log twice", n)
	}
}

// A certificate that is replaced is used from the next connection on.
func TestTheGatewayReadsItsCertificateAgain(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.ok("migrate", "up")
	first, second := localtest.NewAuthority(t, "first"), localtest.NewAuthority(t, "second")
	certificate, private := first.Files(t, t.TempDir(), localtest.Certificate{Name: "gateway"})
	_, at := h.gateway("--gateway-tls-cert", certificate, "--gateway-tls-key", private)
	ready := func(a *localtest.Authority) bool {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(a.PEM())
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"/readyz", nil)
		storetest.Must(t, err)
		a2, err := client.Do(r)
		if err != nil {
			return false
		}
		defer a2.Body.Close()
		return a2.StatusCode == 200
	}
	if !strings.HasPrefix(at, "https://") || !ready(first) || ready(second) {
		t.Fatalf("%s is not served with the first certificate", at)
	}
	newCertificate, newKey := second.Files(t, t.TempDir(), localtest.Certificate{Name: "gateway"})
	for from, to := range map[string]string{newCertificate: certificate, newKey: private} {
		storetest.Must(t, os.Rename(from, to))
	}
	storetest.Eventually(t, "the second certificate is used", func() bool { return ready(second) })
}
