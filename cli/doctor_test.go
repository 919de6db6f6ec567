package cli_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
)

type examined struct {
	State    string
	Findings []struct{ Check, State, What, Do string }
}

func (h *environment) doctor(code int, args ...string) examined {
	h.Helper()
	r := h.run(append([]string{"doctor", "-o", "json"}, args...)...)
	var x examined
	if err := json.Unmarshal([]byte(r.out), &x); err != nil || r.code != code {
		h.Fatalf("the doctor exits with %d, want %d; %v in %s%s", r.code, code, err, r.out, r.errors)
	}
	return x
}

// has expects a finding whose parts contain these texts.
func (x examined) has(t *testing.T, check, state, what, do string) {
	t.Helper()
	for _, f := range x.Findings {
		if f.Check == check && f.State == state && strings.Contains(f.What, what) && strings.Contains(f.Do, do) {
			return
		}
	}
	t.Errorf("no %s of %s that says %q and advises %q", state, check, what, do)
	for _, f := range x.Findings {
		if f.Check == check {
			t.Logf("  %+v", f)
		}
	}
}

func TestDoctorOfADisorderedSystem(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	x := h.doctor(2)
	x.has(t, "topology", "problem", "missing, the first is exchange composerp.unrouted", "topology apply")
	for _, f := range x.Findings { // an empty virtual host has no queue, and nothing can be well with queues
		if f.State == "ok" && (f.Check == "queues" || f.Check == "dead" || f.Check == "stuck") {
			t.Errorf("of an empty virtual host it says: %s: %s", f.Check, f.What)
		}
	}
	x.has(t, "database", "ok", "PostgreSQL 1", "")
	x.has(t, "relay", "warning", "no relay runs", "composerp up")
	x.has(t, "proof", "ok", "the log is young", "")
	storetest.Exec(t, h.database, `UPDATE tick SET made_at = made_at - interval '8 days 1 hour'; INSERT INTO tick (id, epoch, snapshot, seq_before, max_seq) SELECT 1, epoch, snapshot, 0, 0 FROM tick`)
	h.doctor(2).has(t, "proof", "warning", "no audit has run, and the log is 8 days old", "composerp audit")
	storetest.Exec(t, h.database, `INSERT INTO audit_checkpoint SELECT 1, 0, 1, pg_current_snapshot(), 0, 1, 0, '(0,0)', 0, '(0,0)', '{}', clock_timestamp() - interval '10 days 1 hour'`)
	h.doctor(2).has(t, "proof", "warning", "the log has grown for 10 days since the last complete audit, of ", "composerp audit")
	storetest.Exec(t, h.database, `INSERT INTO audit_checkpoint SELECT 2, 1, 1, pg_current_snapshot(), 0, 1, 0, '(0,0)', 0, '(0,0)', '{}'`)
	h.doctor(2).has(t, "proof", "ok", "an audit has proven everything up to 2", "")
	storetest.Exec(t, h.database, `DELETE FROM audit_checkpoint; DELETE FROM tick WHERE id = 1; UPDATE tick SET made_at = clock_timestamp();
INSERT INTO projection (name, version, rebuild_version, rebuild_moved_at) VALUES ('stockview', 1, 1, now() - interval '61 minutes'), ('positions', 1, 1, now() - interval '59 minutes'); CREATE SCHEMA public_whatif_1_1`)

	rabbitmqtest.SetPolicy(t, h.broker, "brief", "^composerp.unrouted$", map[string]any{"max-length": 1})
	want := workers.Topology()
	if err := rabbitmq.Apply(t.Context(), want, h.broker); err != nil {
		t.Fatal(err)
	}
	x = h.doctor(2)
	x.has(t, "queues", "warning", "no worker runs", "composerp up")
	x.has(t, "projections", "warning", "the rebuild of stockview has not moved since ", "composerp projections rebuild stockview goes on")
	x.has(t, "whatif", "warning", "runs of composerp whatif that were killed have left tables: public_whatif_1_1", "run composerp whatif again")
	for _, f := range x.Findings {
		if strings.Contains(f.What, "positions") {
			t.Errorf("a rebuild that has just moved makes a finding: %+v", f)
		}
	}

	rabbitmqtest.DeleteExchange(t, h.broker, topology.Events)
	about := 0
	x = h.doctor(2)
	for _, f := range x.Findings {
		if strings.Contains(f.What, "missing") {
			about++
		}
	}
	x.has(t, "topology", "problem", "exchange composerp.events is missing, and ", "topology apply")
	if about != 1 {
		t.Errorf("one deleted exchange makes %d findings: %+v", about, x.Findings)
	}
	if err := rabbitmq.Apply(t.Context(), want, h.broker); err != nil {
		t.Fatal(err)
	}

	management, vhost := rabbitmqtest.Management(t), rabbitmqtest.VhostOf(t, h.broker)
	if err := management.DeleteQueue(t.Context(), vhost, "composerp.lots.dead"); err != nil {
		t.Fatal(err)
	}
	h.send(rabbitmq.Message{Exchange: topology.Dead, RoutingKey: "composerp.ledger"})
	storetest.Exec(t, h.database, `INSERT INTO dead_letter (id, consumer, message_id, type, routing_key, error, attempt, headers, body, died_at)
SELECT gen_random_uuid(), 'stockview', 'm', '', '', '', 1, '{}', '', now() FROM generate_series(1, 3)`)
	h.send(rabbitmq.Message{Exchange: topology.Events, RoutingKey: "not.bound"})
	h.send(rabbitmq.Message{Exchange: topology.Events, RoutingKey: "inventory.low_stock"})
	h.ok("publish", "SALE_COMPLETED", "--data", `{"saleId":"S1","itemId":"I","locationId":"L","quantity":1,"amount":1,"timestamp":"2026-02-09T12:00:00Z"}`)
	storetest.Exec(t, h.database, `INSERT INTO unpublishable (seq, event_id, reason) VALUES (999, gen_random_uuid(), 'too large')`)
	storetest.Exec(t, h.database, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`)
	h.env = append(h.env, "COMPOSERP_LOG_LEVLE=debug")
	localtest.Eventually(t, 30*time.Second, "the broker's statistics have the policy", func() bool {
		queues, err := management.Queues(t.Context(), vhost)
		return err == nil && queues[topology.Unrouted].PolicyName == "policy brief"
	})
	x = h.doctor(2)
	x.has(t, "settings", "warning", "nothing reads $COMPOSERP_LOG_LEVLE", `"COMPOSERP_LOG_LEVEL"`)
	x.has(t, "schema", "warning", "migration 9999", "newer program")
	x.has(t, "relay", "problem", "no relay runs, with 1 event to publish", "composerp up")
	x.has(t, "unpublishable", "warning", "1 event ", "unpublishable")
	x.has(t, "topology", "problem", "queue composerp.lots.dead", "topology apply")
	x.has(t, "dead", "warning", "composerp.ledger.dead holds 1", "composerp dlq redrive --queue ledger")
	x.has(t, "dead", "warning", "composerp.stockview.dead holds 0 dead letters, and the dead-letter log has 3 pending", "composerp republish")
	x.has(t, "policy", "problem", "policy brief gives composerp.unrouted max-length 1: a full queue deletes its oldest messages", "rabbitmqctl clear_policy")
	x.has(t, "unrouted", "problem", "composerp.unrouted holds 1 event of type NO_EVENT under the key not.bound: unknown key", "correct key and type at the publisher")
	x.has(t, "queues", "problem", "composerp.alert holds 1 message and has no consumer", "worker run alert")
	storetest.Exec(t, h.database, `INSERT INTO worker_pool (queue, paused, updated_by, reason) VALUES ('alert', true, 'ann', 'stock take')`)
	h.doctor(2).has(t, "queues", "warning", "alert is paused by ann (stock take), and its queue holds 1 message", "worker resume alert")
	if table := h.run("doctor").out; !strings.Contains(table, "problem  unrouted") || !strings.Contains(table, "-> correct key and type") {
		t.Errorf("the table is\n%s", table)
	}

	storetest.Exec(t, h.database, `DELETE FROM goose_db_version WHERE version_id IN (5, 9999)`)
	h.doctor(2).has(t, "schema", "problem", "1 of ", "migrate up")
	h.env = append(h.env, "COMPOSERP_MANAGEMENT_URL=http://guest:guest@127.0.0.1:1")
	x = h.doctor(2)
	x.has(t, "management", "warning", "not checked", "")
	h.doctor(2, "--database-url", "postgres://a:s3cret@127.0.0.1:1/x").has(t, "database", "problem", "connection refused", "start PostgreSQL there")
	h.doctor(69, "--database-url", "postgres://a@127.0.0.1:1/x", "--amqp-url", "amqp://a:b@127.0.0.1:1/").has(t, "broker", "problem", "unreachable; start RabbitMQ", "")
}

// send publishes a message and waits until the broker has it.
func (h *environment) send(m rabbitmq.Message) {
	h.Helper()
	session, err := rabbitmq.Open(h.Context(), h.broker)
	if err != nil {
		h.Fatal(err)
	}
	defer session.Close()
	publisher, err := session.Publisher(1)
	if err != nil {
		h.Fatal(err)
	}
	m.ID, m.Type, m.Body = "m", "NO_EVENT", []byte("{}")
	sent, err := publisher.Publish(context.Background(), m)
	if err == nil {
		err = sent.Wait(h.Context())
	}
	if err != nil {
		h.Fatal(err)
	}
}

func TestShowConfigHidesSecrets(t *testing.T) {
	t.Parallel()
	h := &environment{T: t, dir: t.TempDir(), env: append(cleanEnv(), "COMPOSERP_AMQP_URL=amqp://u:s3cret@h/v")}
	h.file("composerp.yaml", "# where everything is\ndatabase_url: postgres://u:s3cret@h/d\nalert_url: https://hooks.example/s3cret\n")
	r := h.ok("doctor", "--show-config", "--management-url", "http://u:s3cret@h:15672")
	if strings.Contains(r.out+r.errors, "s3cret") {
		t.Errorf("a secret is shown:\n%s", r.out)
	}
	for _, want := range []string{"composerp.yaml:2", "composerp.yaml:3", "$COMPOSERP_AMQP_URL", "--management-url", "postgres://u:xxxxx@h/d", "https://hooks.example/xxxxx", "found here"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%s is not shown:\n%s", want, r.out)
		}
	}
}

// Whatever characters a password has, the broker gets it as it is, also out of a list of nodes.
func TestHostilePasswords(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	for i, password := range []string{"a,b", "100%", "%2C", "p@ss:w/rd?#&=", `'"\ $(x)`, "ü € ", "a,amqp", "+"} {
		u, err := url.Parse(h.broker.URLs[0])
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(rabbitmqtest.User(t, h.broker, password), password)
		down := *u
		down.Host = "127.0.0.1:1"
		args := []string{"topology", "apply", "--amqp-url", down.String() + "," + u.String()}
		if i == 0 { // the same from a file
			file := filepath.Join(h.dir, "c.yaml")
			if err := os.WriteFile(file, []byte("amqp_url:\n  - "+down.String()+"\n  - "+u.String()+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args = []string{"topology", "apply", "--config", file}
			h.env = slices.DeleteFunc(h.env, func(v string) bool { return strings.HasPrefix(v, "COMPOSERP_AMQP_URL=") })
		}
		if r := h.run(args...); r.code != 0 || len(password) > 1 && strings.Contains(r.out+r.errors, password) {
			t.Errorf("%q: exit %d: %s%s", password, r.code, r.out, r.errors)
		}
	}
	if r := h.run("topology", "apply", "--amqp-url", "amqp://u:secret@a,b:5672"); r.code != 78 || !strings.Contains(r.errors, "each node wants a URL of its own") || strings.Contains(r.errors, "secret") {
		t.Errorf("several hosts in a URL: exit %d: %s", r.code, r.errors)
	}
}

// Variables of libpq hold for servers of the user's own where the URL leaves a parameter out, or are refused in a line.
func TestPGVariables(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	bare, _, _ := strings.Cut(h.database, "?")
	for _, c := range []struct {
		variable, query string
		code            int
		line            string
	}{
		{"PGSSLMODE=disable", "", 0, ""},
		{"PGSSLMODE=verify-full", "", 78, "SSL"},
		{"PGSSLMODE=verify-full", "?sslmode=disable", 0, ""}, // the URL comes first
		{"PGSSLMODE=much", "", 78, "PGSSLMODE"},
		{"PGSSLROOTCERT=/none.crt", "", 78, "/none.crt"},
		{"PGCONNECT_TIMEOUT=3", "", 0, ""},
		{"PGCONNECT_TIMEOUT=soon", "", 78, "PGCONNECT_TIMEOUT"},
		{"PGAPPNAME=till", "", 0, ""},
		{"PGHOST=elsewhere.invalid", "", 0, ""}, // the URL names a host
		{"PGHOSTADDR=127.0.0.1", "", 0, ""},
		{"PGHOSTADDR=no", "", 78, "PGHOSTADDR"},
		{"PGCHANNELBINDING=require", "", 78, "PGCHANNELBINDING"},
		{"PGSSLCRL=/none", "", 78, "PGSSLCRL"},
		{"PGOPTIONS=-c work_mem=8MB", "", 0, ""},
		{"PGOPTIONS=-c work_mem=much", "", 78, "work_mem"},
		{"PGSERVICE=none", "", 78, "service"},
	} {
		env := append(slices.Clone(h.env), "COMPOSERP_DATABASE_URL="+bare+c.query, c.variable)
		r := runIn(t, h.dir, env, "migrate", "status")
		if r.code != c.code || !strings.Contains(r.errors, c.line) || strings.Count(r.errors, "\n") > 1 {
			t.Errorf("%s%s: exit %d, want %d and a line with %q: %s", c.variable, c.query, r.code, c.code, c.line, r.errors)
		}
	}
}
