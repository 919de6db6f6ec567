package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
)

// disconnect ends every connection of the fleet with both servers.
func disconnect(t *testing.T, s *local.Servers) {
	t.Helper()
	api := storetest.MustGet(management.New(s.ManagementURL))(t)
	users := map[string]bool{}
	for _, c := range sessionsOf(t, s.ManagementURL) {
		users[c.User] = true
	}
	for user := range users { // the broker fails where a connection ends by itself meanwhile
		localtest.Eventually(t, 30*time.Second, "the connections of "+user+" are closed", func() bool {
			return api.CloseConnectionsOf(t.Context(), user, "of a test") == nil
		})
	}
	super := storetest.MustGet(s.Superuser())(t)
	defer super.Close()
	_, err := super.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'composerp/%'`)
	storetest.Must(t, err)
}

// sellAs publishes a sale and waits for its effect and for the proof that nothing is lost.
func (h *environment) sellAs(id string) {
	h.Helper()
	// A server that has just lost its connections may refuse the first ones.
	localtest.Eventually(h, time.Minute, "a sale is published", func() bool {
		return h.run("publish", "SALE_COMPLETED", "--id", id, "--data",
			`{"saleId":"`+id+`","itemId":"85123A","locationId":"UK-WH","quantity":1,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`).code == 0
	})
	localtest.Eventually(h, 2*time.Minute, "the audit proves it", func() bool { return strings.Contains(h.run("audit").out, "PROVEN") })
}

// Passwords that change while a fleet runs are used at the next connection, out of the file; a file that is half
// written changes nothing, and the log names it.
func (h *environment) changesPasswords(s *local.Servers, file string) {
	h.Helper()
	t := h.T
	first := storetest.MustGet(os.ReadFile(file))(t)
	write := func(content []byte) {
		storetest.Must(t, os.WriteFile(file, content, 0o600))
		settled := time.Now().Add(-time.Minute)
		storetest.Must(t, os.Chtimes(file, settled, settled))
	}
	f := h.up()
	wantRoles(t, s.DatabaseURL, s.ManagementURL)
	h.sellAs("11111111-1111-4111-8111-111111111101")

	write(first[:len(first)/2])
	disconnect(t, s)
	h.env[len(h.env)-1] = "COMPOSERP_SECRETS=" + filepath.Join(h.dir, "kept")
	storetest.Must(t, os.WriteFile(filepath.Join(h.dir, "kept"), first, 0o600))
	h.sellAs("11111111-1111-4111-8111-111111111102")
	localtest.Eventually(t, time.Minute, "the log names the file", func() bool {
		return strings.Contains(f.log.String(), "secrets are not renewed") && strings.Contains(f.log.String(), file)
	})
	h.wantDoctor("uses other secrets than " + file + " has: reading " + file)

	made := 0
	urls := secrets.Make(secrets.Servers{Database: s.DatabaseURL, AMQP: s.AMQPURL, Management: s.ManagementURL}, workers.Subscriptions(), func(string) string {
		made++
		return fmt.Sprintf("geheim-%d", made)
	})
	second := filepath.Join(h.dir, "second.secrets")
	storetest.Must(t, os.WriteFile(second, []byte(urls.Text(workers.Subscriptions())), 0o600))
	h.admit(s, second) // the old passwords hold no more
	disconnect(t, s)
	h.env[len(h.env)-1] = "COMPOSERP_SECRETS=" + second
	h.ok("publish", "SALE_COMPLETED", "--id", "11111111-1111-4111-8111-111111111103", "--data",
		`{"saleId":"S","itemId":"85123A","locationId":"UK-WH","quantity":1,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`)
	localtest.Eventually(t, time.Minute, "the fleet is refused", func() bool { return strings.Contains(f.log.String(), "refuses access") })
	h.env[len(h.env)-1] = "COMPOSERP_SECRETS=" + filepath.Join(h.dir, "kept")
	h.wantDoctor("AMQP_URL_WORKER_LEDGER of "+filepath.Join(h.dir, "kept")+" is refused", "DATABASE_URL_RELAY of ", "MANAGEMENT_URL_MONITORING of ")
	h.env[len(h.env)-1] = "COMPOSERP_SECRETS=" + second
	h.wantDoctor("this command "+second+": they differ in AMQP_URL_", "uses other secrets than "+file)
	write([]byte(urls.Text(workers.Subscriptions())))
	h.sellAs("11111111-1111-4111-8111-111111111104")
	super := storetest.MustGet(s.Superuser())(t)
	defer super.Close()
	localtest.Eventually(t, time.Minute, "the relay listens again", func() bool {
		var listening int
		err := super.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'`).Scan(&listening)
		return err == nil && listening > 0
	})
	if r := h.ok("dlq", "list"); !strings.Contains(r.out, "(none)") {
		t.Errorf("dead letters:\n%s", r.out)
	}
	if r := h.ok("stock"); !strings.Contains(r.out, "-4") {
		t.Errorf("the stock of four sales:\n%s", r.out)
	}
	h.ok("doctor")
	for _, password := range secretsIn(t, file) {
		if strings.Contains(f.log.String(), password) {
			t.Error("a password is in the log")
		}
	}
	f.stop(t)
	h.env[len(h.env)-1] = "COMPOSERP_SECRETS=" + file
}

// wantDoctor expects the doctor to find something, and to say so in these words, without a password.
func (h *environment) wantDoctor(words ...string) {
	h.Helper()
	r := h.run("doctor")
	for _, want := range words {
		if r.code != 2 || !strings.Contains(r.out, want) {
			h.Errorf("the doctor exits with %d and does not say %q:\n%s%s", r.code, want, r.out, r.errors)
		}
	}
	for _, password := range secretsIn(h.T, filepath.Join(h.dir, "kept")) {
		if strings.Contains(r.out+r.errors, password) {
			h.Error("the doctor says a password")
		}
	}
}

// secretsIn are the passwords of a file of secrets.
func secretsIn(t *testing.T, file string) (found []string) {
	t.Helper()
	urls := storetest.MustGet(secrets.Read(file))(t)
	for _, login := range urls.Logins(workers.Subscriptions()) {
		found = append(found, login.Password)
	}
	for _, password := range urls.Passwords() {
		found = append(found, password)
	}
	return found
}
