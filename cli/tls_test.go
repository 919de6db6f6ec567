package cli_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
)

// encryptedServers are servers of a test's own, with certificates of an authority of its own.
type encryptedServers struct {
	*local.Servers
	authority *localtest.Authority
	dir       string // of client's files
}

func startEncrypted(t *testing.T) encryptedServers {
	t.Helper()
	authority := localtest.NewAuthority(t, "Authority")
	servers, err := local.Start(t.Context(), local.Config{Dir: t.TempDir(), TLS: authority.Servers(t, localtest.Certificate{Name: "servers"})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Discard(context.Background()) })
	return encryptedServers{servers, authority, t.TempDir()}
}

// changed is a URL with another host, "" for the same, and other parameters; an empty one is taken out.
func changed(t *testing.T, raw, host string, parameters map[string]string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, value := range parameters {
		if q.Set(name, value); value == "" {
			q.Del(name)
		}
	}
	if u.RawQuery = q.Encode(); host != "" {
		u.Host = strings.Replace(u.Host, u.Hostname(), host, 1)
	}
	return u.String()
}

// connections try each server once, by its URL.
var connections = map[string]func(ctx context.Context, url string) error{
	"broker": func(ctx context.Context, url string) error {
		session, err := rabbitmq.Open(ctx, rabbitmq.Config{URLs: []string{url}, Name: "test"})
		if err == nil {
			err = session.Close()
		}
		return err
	},
	"management": func(ctx context.Context, url string) error {
		api, err := management.New(url)
		if err == nil {
			_, err = api.Overview(ctx)
		}
		return err
	},
	"database": func(ctx context.Context, url string) error {
		db, err := store.Open(ctx, store.Config{URL: url})
		if err == nil {
			err = db.Close()
		}
		return err
	},
}

// wantRefusal wants an error of one line of the kind for wrong settings, that says what to do and no password.
func wantRefusal(t *testing.T, what string, err error, says string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: connected", what)
	case !errors.Is(err, rabbitmq.ErrBadCertificate) && !errors.Is(err, store.ErrConfiguration):
		t.Errorf("%s: %v is of another kind", what, err)
	case !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "geheim"):
		t.Errorf("%s: %q, want one line with %q", what, err, says)
	}
}

// What needs servers with TLS, one after the other on the same ones.
func TestEncryptedServers(t *testing.T) {
	t.Parallel()
	s := startEncrypted(t)
	super := storetest.MustGet(s.Superuser())(t)
	defer super.Close()
	_, err := super.ExecContext(t.Context(), `CREATE ROLE `+local.CertificateRole)
	storetest.Must(t, err)
	t.Run("connections", func(t *testing.T) { encryptedConnections(t, s) })
	t.Run("a fleet by certificates", func(t *testing.T) { fleetByCertificates(t, s) })
	t.Run("no secret is shown", func(t *testing.T) { noSecretIsShown(t, s) }) // and kills the servers
}

// A client verifies its server by the authority, the name and the time of its certificate, and what it refuses is named
// with what to do. A server verifies a client by its certificate alone where it is set up so.
func encryptedConnections(t *testing.T, s encryptedServers) {
	other := localtest.NewAuthority(t, "Authority")
	urls := map[string]string{"broker": s.AMQPURL, "management": s.ManagementURL, "database": s.DatabaseURL}
	authority := map[string]string{"broker": "cacertfile", "management": "cacertfile", "database": "sslrootcert"}
	otherFile, damaged := filepath.Join(s.dir, "other.pem"), filepath.Join(s.dir, "damaged.pem")
	storetest.Must(t, os.WriteFile(otherFile, other.PEM(), 0o600))
	storetest.Must(t, os.WriteFile(damaged, s.authority.PEM()[:40], 0o600))
	for server, connect := range connections {
		if err := connect(t.Context(), urls[server]); err != nil {
			t.Errorf("%s: %v", server, err)
		}
		ended := expired(t, s.authority, server)
		for what, c := range map[string]struct{ url, says string }{
			"another authority":           {changed(t, urls[server], "", map[string]string{authority[server]: otherFile}), "name that authority's file by " + authority[server]},
			"an authority's damaged file": {changed(t, urls[server], "", map[string]string{authority[server]: damaged}), damaged},
			"an authority's missing file": {changed(t, urls[server], "", map[string]string{authority[server]: "/none.pem"}), "/none.pem"},
			"another name":                {changed(t, urls[server], "localhost", nil), "correct the host of the URL"},
			"a certificate that ended":    {ended, "renew it"},
		} {
			wantRefusal(t, server+": "+what, connect(t.Context(), c.url), c.says)
		}
	}
	err := connections["database"](t.Context(), changed(t, urls["database"], "", map[string]string{"sslmode": "require", "sslrootcert": "/none.pem"}))
	wantRefusal(t, "sslmode require with an authority's missing file", err, "/none.pem")
	err = connections["database"](t.Context(), changed(t, urls["database"], "", map[string]string{"sslmode": "require", "sslrootcert": otherFile}))
	wantRefusal(t, "sslmode require with another authority", err, "name that authority's file")
	if err := connections["database"](t.Context(), changed(t, urls["database"], "localhost", map[string]string{"sslmode": "verify-ca"})); err != nil {
		t.Errorf("verify-ca looks at the name: %v", err)
	}
	if err := connections["database"](t.Context(), changed(t, urls["database"], "", map[string]string{"sslmode": "disable", "sslrootcert": ""})); err == nil {
		t.Error("the database takes connections in the clear")
	}

	// By a certificate alone, without a password.
	api := storetest.MustGet(management.New(s.ManagementURL))(t)
	storetest.Must(t, api.Import(t.Context(), map[string]any{
		"users":       []map[string]any{{"name": "certified", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []string{}}},
		"permissions": []map[string]any{{"user": "certified", "vhost": "composerp", "configure": ".*", "write": ".*", "read": ".*"}},
	}))
	super := storetest.MustGet(s.Superuser())(t)
	defer super.Close()
	_, err = super.ExecContext(t.Context(), `CREATE ROLE certified LOGIN IN ROLE `+local.CertificateRole)
	storetest.Must(t, err)
	for name, by := range map[string]*localtest.Authority{"certified": s.authority, "forged": other, "stranger": s.authority} {
		certificate, key := by.Files(t, s.dir, localtest.Certificate{Name: name})
		userOnly := func(raw string) string {
			u := storetest.MustGet(url.Parse(raw))(t)
			u.User = url.User("certified")
			return u.String()
		}
		broker := changed(t, userOnly(s.AMQPURL), "", map[string]string{"auth_mechanism": "external", "certfile": certificate, "keyfile": key})
		database := changed(t, userOnly(s.DatabaseURL), "", map[string]string{"sslcert": certificate, "sslkey": key})
		errBroker, errDatabase := connections["broker"](t.Context(), broker), connections["database"](t.Context(), database)
		switch name {
		case "certified":
			if errBroker != nil || errDatabase != nil {
				t.Errorf("a certificate alone: broker %v, database %v", errBroker, errDatabase)
			}
		case "forged":
			// By TLS 1.3 the server's word comes after the handshake, and is lost where the socket is reset before it is read.
			if !errors.Is(errBroker, rabbitmq.ErrUnreachable) {
				wantRefusal(t, "broker: a certificate of another authority", errBroker, "refuses this client's certificate")
			}
			if errors.Is(errDatabase, store.ErrConfiguration) || !errors.Is(errDatabase, store.ErrUnavailable) {
				wantRefusal(t, "database: a certificate of another authority", errDatabase, "refuses this client's certificate")
			}
		case "stranger":
			if !errors.Is(errBroker, rabbitmq.ErrAccessRefused) || !errors.Is(errDatabase, store.ErrAccess) {
				t.Errorf("a certificate of another user: broker %v, database %v", errBroker, errDatabase)
			}
		}
	}
}

// expired is the URL of a server whose certificate has ended: it gets as far as a client's handshake.
func expired(t *testing.T, authority *localtest.Authority, server string) string {
	t.Helper()
	certificate, key := authority.Sign(t, localtest.Certificate{Name: "ended", Ended: true})
	pair := storetest.MustGet(tls.X509KeyPair(certificate, key))(t)
	listener := storetest.MustGet(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if server == "database" { // asks in the clear whether there is TLS
					if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil {
						return
					}
					_, _ = conn.Write([]byte("S"))
				}
				_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
			}()
		}
	}()
	file := filepath.Join(t.TempDir(), "ca.pem")
	storetest.Must(t, os.WriteFile(file, authority.PEM(), 0o600))
	return map[string]string{
		"broker":     "amqps://u:geheim@" + listener.Addr().String() + "?cacertfile=" + file,
		"management": "https://u:geheim@" + listener.Addr().String() + "?cacertfile=" + file,
		"database":   "postgres://u:geheim@" + listener.Addr().String() + "/d?sslmode=verify-full&sslrootcert=" + file,
	}[server]
}

// byCertificates gives every part of a fleet's secrets a certificate, by which alone it logs in, and no password.
func (s encryptedServers) byCertificates(t *testing.T, file string) {
	t.Helper()
	urls := storetest.MustGet(secrets.Read(file))(t)
	without := func(key string, parameters func(certificate, keyFile string) map[string]string) {
		u := storetest.MustGet(url.Parse(urls[key]))(t)
		certificate, keyFile := s.authority.Files(t, s.dir, localtest.Certificate{Name: u.User.Username()})
		u.User = url.User(u.User.Username())
		urls[key] = changed(t, u.String(), "", parameters(certificate, keyFile))
	}
	for _, g := range roles.Of(workers.Subscriptions()) {
		if g.Role != roles.Monitoring {
			without(secrets.AMQP(g.Role), func(certificate, key string) map[string]string {
				return map[string]string{"auth_mechanism": "external", "certfile": certificate, "keyfile": key}
			})
		}
	}
	for _, r := range grants.Roles {
		without(secrets.Database(r), func(certificate, key string) map[string]string {
			return map[string]string{"sslcert": certificate, "sslkey": key}
		})
	}
	storetest.Must(t, os.WriteFile(file, []byte(urls.Text(workers.Subscriptions())), 0o600))
}

// A whole fleet works over TLS, and each part of it logs in by its certificate.
func fleetByCertificates(t *testing.T, s encryptedServers) {
	h := &environment{T: t, dir: t.TempDir(), env: append(cleanEnv(), "COMPOSERP_METRICS_ADDR=127.0.0.1:0")}
	file := filepath.Join(h.dir, "fleet.secrets")
	h.ok("secrets", "create", "--database-url", s.DatabaseURL, "--amqp-url", s.AMQPURL, "--management-url", s.ManagementURL, file)
	s.byCertificates(t, file)
	h.admit(s.Servers, file)
	super := storetest.MustGet(s.Superuser())(t)
	defer super.Close()
	const members = ` composerp_worker, composerp_relay, composerp_operator, composerp_reader, composerp_gateway`
	_, err := super.ExecContext(t.Context(), `GRANT `+local.CertificateRole+` TO`+members)
	storetest.Must(t, err)
	h.env = append(h.env, "COMPOSERP_SECRETS="+file)
	h.ok("migrate", "up")
	f := h.up()
	h.ok("publish", "SALE_COMPLETED", "--data", `{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":1,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`)
	if r := h.ok("audit"); !strings.Contains(r.out, "PROVEN") {
		t.Errorf("the audit says %s", r.out)
	}
	h.ok("doctor")
	var clear, certified int
	storetest.Must(t, super.QueryRowContext(t.Context(), `SELECT count(*) FILTER (WHERE NOT ssl), count(client_dn) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
		WHERE application_name LIKE 'composerp/%'`).Scan(&clear, &certified))
	if clear > 0 || certified == 0 {
		t.Errorf("%d connections with the database are in the clear, %d have a certificate", clear, certified)
	}
	sold := storetest.MustGet(management.New(s.ManagementURL))(t)
	states := storetest.MustGet(sold.Queues(t.Context(), "composerp"))(t)
	if dead := states[topology.DeadQueueName("ledger")]; dead.Ready > 0 {
		t.Errorf("%d dead letters of the ledger", dead.Ready)
	}
	f.stop(t)
	for _, refused := range []string{"refused", "denied", "certificate"} {
		if strings.Contains(f.log.String(), refused) {
			t.Errorf("the fleet's log has %q:\n%s", refused, f.log)
		}
	}
	_, err = super.ExecContext(t.Context(), `REVOKE `+local.CertificateRole+` FROM`+members)
	storetest.Must(t, err)
}

// admit makes the fleet's users and roles on the servers, as docs/howto/own-servers.md has it.
func (h *environment) admit(s *local.Servers, file string) {
	h.Helper()
	var definitions any
	storetest.Must(h, json.Unmarshal([]byte(h.ok("topology", "export", "--with-users", "--secrets", file).out), &definitions))
	api := storetest.MustGet(management.New(s.ManagementURL))(h)
	storetest.Must(h, api.Import(h.Context(), definitions))
	super := storetest.MustGet(s.Superuser())(h)
	defer super.Close()
	_, err := super.ExecContext(h.Context(), h.ok("db", "roles", "--secrets", file).out)
	storetest.Must(h, err)
}
