package cli_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
)

// session is one of the fleet's with the broker.
type session struct {
	User       string
	Properties struct {
		Name string `json:"connection_name"`
	} `json:"client_properties"`
}

// part is the part of the fleet that a session belongs to: "ledger".
func (s session) part() string {
	part, _, _ := strings.Cut(strings.TrimPrefix(s.Properties.Name, "composerp/"), "@")
	return part
}

func sessionsOf(t *testing.T, managementURL string) (found []session) {
	t.Helper()
	answer, err := http.Get(managementURL + "/api/connections?columns=user,client_properties.connection_name")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

// wantRoles checks that every session of a fleet is of a user of its own part.
func wantRoles(t *testing.T, databaseURL, managementURL string) {
	t.Helper()
	var sessions []session
	localtest.Eventually(t, storetest.Timeout, "the management API shows all parts", func() bool {
		sessions = sessionsOf(t, managementURL)
		for _, part := range append(workers.Names(), "relay", "watchdog") {
			if !slices.ContainsFunc(sessions, func(s session) bool { return s.part() == part }) {
				return false
			}
		}
		return true
	})
	for _, s := range sessions {
		want := "composerp-worker-" + s.part()
		switch s.part() {
		case "relay":
			want = "composerp-relay"
		case "watchdog", "health", "page", "scaler", "topology":
			want = "composerp-topology"
		}
		if s.User != want {
			t.Errorf("the session %s is of the user %s, want %s", s.Properties.Name, s.User, want)
		}
	}
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var roles string
	if err := db.QueryRowContext(t.Context(), `SELECT string_agg(DISTINCT usename, ' ' ORDER BY usename) FROM pg_stat_activity
		WHERE application_name LIKE 'composerp/%' AND usename IS NOT NULL`).Scan(&roles); err != nil || strings.Replace(roles, "composerp_reader ", "", 1) != "composerp_relay composerp_worker" {
		t.Errorf("the fleet's sessions with the database are of %q: %v", roles, err)
	}
}

// The way of docs/howto/own-servers.md: from servers with one user to a fleet whose parts have users of their own.
// Their passwords change while it runs; then compose.yaml's commands do the same.
func TestAUserForEachPartOnOwnServers(t *testing.T) {
	t.Parallel()
	servers, err := local.Start(t.Context(), local.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = servers.Discard(context.Background()) })
	h := &environment{T: t, dir: t.TempDir(), env: append(cleanEnv(), "COMPOSERP_METRICS_ADDR=127.0.0.1:0")}
	file := filepath.Join(h.dir, "fleet.secrets")
	create := []string{"secrets", "create", "--database-url", servers.DatabaseURL, "--amqp-url", servers.AMQPURL, "--management-url", servers.ManagementURL, file}
	h.ok(create...)
	if r := h.run(create...); r.code != 78 || !strings.Contains(r.errors, "it exists") {
		t.Errorf("a second time: exit %d, %s", r.code, r.errors)
	}
	h.admit(servers, file)
	h.env = append(h.env, "COMPOSERP_SECRETS="+file)
	h.ok("migrate", "up")
	h.changesPasswords(servers, file)
	f := h.up()
	wantRoles(t, servers.DatabaseURL, servers.ManagementURL)
	h.ok("publish", "SALE_COMPLETED", "--data", `{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":1,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}`)
	h.ok("lanes", "set", "stockview", "2") // the leader declares and binds
	h.ok("tenant", "set", "--approval-limit", "1")
	if r := h.ok("audit"); !strings.Contains(r.out, "PROVEN") {
		t.Errorf("the audit says %s", r.out)
	}
	h.ok("doctor")
	h.ok("topology", "apply")
	h.examineAs(file)
	h.operate(file)

	// A process has what its own file has, and no more.
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	own := slices.DeleteFunc(strings.Split(string(raw), "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "AMQP_URL_WORKER_LEDGER=") && !strings.HasPrefix(line, "DATABASE_URL_WORKER=")
	})
	part := filepath.Join(h.dir, "ledger.secrets")
	if err := os.WriteFile(part, []byte(strings.Join(own, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{"worker run alert": "AMQP_URL_WORKER_ALERT", "relay": "DATABASE_URL_RELAY", "stock": "DATABASE_URL_OPERATOR"} {
		if r := runIn(t, h.dir, append(cleanEnv(), "COMPOSERP_SECRETS="+part, "COMPOSERP_DIR=none"), strings.Fields(args)...); r.code != 78 || !strings.Contains(r.errors, want) {
			t.Errorf("%s with the ledger's secrets: exit %d, %s", args, r.code, r.errors)
		}
	}
	if err := os.Chmod(part, 0o604); err != nil {
		t.Fatal(err)
	}
	if r := h.run("stock", "--dir", "none"); r.code != 0 {
		t.Errorf("stock: exit %d, %s", r.code, r.errors)
	}
	if r := runIn(t, h.dir, append(cleanEnv(), "COMPOSERP_SECRETS="+part), "stock"); r.code != 78 || !strings.Contains(r.errors, "chmod 600") {
		t.Errorf("with secrets that all may read: exit %d, %s", r.code, r.errors)
	}
	h.ok("down")
	if err := <-f.ended; err != nil {
		t.Errorf("up: %v\n%s", err, f.log)
	}
	f.ended <- nil
	if strings.Contains(f.log.String(), "refused") || strings.Contains(f.log.String(), "denied") {
		t.Errorf("a part of the fleet was refused something:\n%s", f.log)
	}
	t.Run("compose", func(t *testing.T) { fleetOfComposeIsNoAdministrator(t, servers) })
}

// wantOwnRoles is wantRoles for a fleet with private servers, in the environment's own directory.
func (h *environment) wantOwnRoles() {
	h.Helper()
	state, err := settings.Find(filepath.Join(h.dir, ".composerp"))
	if err != nil || state == nil {
		h.Fatalf("finding the fleet: %v", err)
	}
	wantRoles(h.T, state.Database, state.Management)
}

// operate has the operator do a day's work, and the publisher give occasion for it.
func (h *environment) operate(file string) {
	h.Helper()
	urls, err := secrets.Read(file)
	storetest.Must(h, err)
	till := &external.Publisher{Broker: rabbitmq.Config{URLs: []string{urls[secrets.AMQP(roles.Publisher)]}, Name: "till"}}
	defer till.Close()
	for key, id := range map[string]string{"integration.sale_completed": "11111111-1111-4111-8111-111111111101", "integration.unknown": "11111111-1111-4111-8111-111111111102"} {
		storetest.Must(h, till.Publish(h.Context(), rabbitmq.Message{Exchange: topology.Events, RoutingKey: key, ID: id, Type: "SALE_COMPLETED", Body: []byte("{}")}))
	}
	storetest.Eventually(h, "the sale is a dead letter, and the other event unrouted", func() bool {
		listed := h.run("dlq", "list").out
		return strings.Contains(listed, "composerp.ledger.dead") && strings.Contains(listed, topology.Unrouted)
	})
	tutorial, err := filepath.Abs("../docs/tutorial")
	storetest.Must(h, err)
	const findings = 2
	for _, c := range []struct {
		line string
		code int
	}{
		{"stock import " + tutorial + "/count.csv --at 2026-03-02T06:00:00Z", 0},
		{"item import " + tutorial + "/items.csv", 0},
		{"supplier import " + tutorial + "/suppliers.csv", 0},
		{"rule import " + tutorial + "/rules.csv", 0},
		{"import " + tutorial + "/sales.csv --map " + tutorial + "/till.yaml --history=false --rejects " + filepath.Join(h.dir, "rejects.csv"), 0},
		{"scale ledger=2", 0},
		{"autoscale set lots --min 1 --max 2", 0},
		{"dlq redrive --queue ledger --dry-run", findings},
		{"dlq redrive --queue ledger --rate max", findings},
		{"dlq discard --queue intake --confirm composerp.intake.dead", 0},
		{"dlq redrive --queue unrouted", 0},
		{"dlq discard --queue unrouted --confirm composerp.unrouted", 0},
		{"republish --now", 0},
		{"misdated list", 0},
		{"topology unbind", 0},
		{"epoch begin", 0},
		{"migrate up", 0},
	} {
		r := h.run(strings.Fields(c.line)...)
		if r.code != c.code || strings.Contains(r.errors, "refuse") || strings.Contains(r.errors, "denied") {
			h.Errorf("composerp %s: exit %d, want %d\n%s%s", c.line, r.code, c.code, r.out, r.errors)
		}
	}
	storetest.Eventually(h, "an order waits for a decision", func() bool { return h.run("po", "approve", "PO-2026-000001").code == 0 })
}
