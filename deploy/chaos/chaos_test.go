package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/topology"
)

// program builds composerp once, for the processes of the fleet.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "composerp-chaos-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "composerp")
	if out, err := exec.Command("go", "build", "-o", path, "../../cli/composerp").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	// Chaos and its fleet use servers of their own, not those that the environment names.
	os.Setenv("COMPOSERP_DATABASE_URL", "postgres://none@127.0.0.1:1/another")
	os.Setenv("COMPOSERP_AMQP_URL", "amqp://none@127.0.0.1:1/")
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// config is a configuration with a directory that the servers' users can enter.
func config(t *testing.T) Config {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "composerp-chaos-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg, err := Config{
		Seed: 5, Duration: 3 * time.Second, Program: path, Version: "test", Dir: dir, Slowness: localtest.Slowness(), Progress: func(text string) { t.Log(text) },
	}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A run must be able to fail: it finds and names every kind of damage.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Faults = []Fault{find("backends-terminated")}
	publications, err := Publications(cfg.Seed, int(cfg.Duration.Seconds())*cfg.Rate)
	if err != nil {
		t.Fatal(err)
	}
	moved, handled, logged := publications[0].Event.ID, publications[1].Event.ID, publications[2].Event.ID
	invalid := publications[slices.IndexFunc(publications, func(s Publication) bool { return s.Kind == Invalid })].Event.ID
	damage := []struct{ statement, found string }{
		{fmt.Sprintf(`DELETE FROM movement WHERE event_id = '%s' AND line = 1`, moved), moved.String() + " is 1 times among the movements"},
		{fmt.Sprintf(`DELETE FROM inbox WHERE event_id = '%s'`, handled), handled.String() + " is 0 times handled by ledger"},
		{fmt.Sprintf(`INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
			SELECT epoch, false, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body FROM event_log WHERE event_id = '%s'`, logged),
			logged.String() + " is 2 times in the log"},
		{fmt.Sprintf(`DELETE FROM dead_letter WHERE message_id = '%s'`, invalid), invalid.String() + ", which is not an event, is not among the dead letters of ledger"},
		{`INSERT INTO dead_letter (id, consumer, message_id, type, routing_key, error, attempt, headers, body, died_at)
			VALUES (gen_random_uuid(), 'lots', 'm', '', '', '', 1, '{}', '', now())`, "1 valid messages are among the dead letters"},
		{`UPDATE watched_claim SET lanes = 16, n = -n, transaction = n::text::xid8`, "was handled in one of 16 lanes after movement"},
		{`UPDATE position SET on_hand = on_hand + 1 WHERE item_id = 'SKU-007' AND location_id = '@customer'`, "SKU-007 at @customer"},
	}
	cfg.sabotage = func(ctx context.Context, env *environment) error {
		for {
			var consumers int
			err := env.super.QueryRowContext(ctx, `SELECT count(DISTINCT consumer) FROM dead_letter WHERE message_id = $1`, invalid.String()).Scan(&consumers)
			if err != nil || consumers == 2 {
				break
			}
			if !clock.Sleep(ctx, retryPause) {
				return ctx.Err()
			}
		}
		for _, d := range damage {
			if done, err := env.super.ExecContext(ctx, d.statement); err != nil {
				return err
			} else if n, _ := done.RowsAffected(); n == 0 {
				return errors.New("no row was damaged by " + d.statement)
			}
		}
		// Intake's still has the invalid message.
		if err := env.management.DeleteQueue(ctx, env.vhost, topology.DeadQueueName("ledger")); err != nil {
			return err
		}
		env.supplier.mu.Lock()
		defer env.supplier.mu.Unlock()
		env.supplier.taken["unknown:send"] = [32]byte{}
		return nil
	}
	report, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(report.Findings, "\n")
	for _, d := range damage {
		if !strings.Contains(all, d.found) {
			t.Errorf("not found: %s", d.found)
		}
	}
	for _, more := range []string{"the audit says", "the supplier got order unknown, which is not approved"} {
		if !strings.Contains(all, more) {
			t.Errorf("not found: %s", more)
		}
	}
	for _, repaired := range []string{"recorded 1 letter of composerp.intake.dead that the dead-letter log did not have", "marked as lost 1 letter that composerp.lots.dead does not hold any more"} {
		if !strings.Contains(strings.Join(report.Audit.Repaired, "; "), repaired) {
			t.Errorf("the audit has repaired %q, and not %q", report.Audit.Repaired, repaired)
		}
	}
	if report.Verdict != Found || report.Lost == 0 || report.Doubled != 1 || report.Dir != cfg.Dir {
		t.Errorf("verdict %s, lost %d, doubled %d, kept in %q\n%s", report.Verdict, report.Lost, report.Doubled, report.Dir, all)
	}
	if report.Servers["PostgreSQL"] == "" || report.Servers["RabbitMQ"] == "" {
		t.Errorf("the servers' versions: %v", report.Servers)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "fleet-1.log")); err != nil {
		t.Errorf("the logs were not kept: %v", err)
	}
}

// Every fault has its symptom while it lasts, and the fleet recovers from it. Faults are not held here, so that the
// test takes no longer than the servers need.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	env, err := build(t.Context(), config(t))
	defer func() { env.close(context.WithoutCancel(t.Context()), false) }()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline(4*time.Minute))
	defer cancel()
	if _, err := env.recovery(ctx, "probe-before"); err != nil {
		t.Fatal(err)
	}
	group := ""
	for i, f := range faults {
		if group != f.Group || group == groupTopology { // there, a fault hides the one before it
			env.recovered(t, ctx, fmt.Sprintf("probe-%d", i))
			group = f.Group
		}
		mark(env)
		heal, err := f.inject(ctx, env, 0) // the first process, its connections to the database
		if err != nil {
			t.Errorf("injecting %s: %v", f.Name, err)
		}
		if symptom := symptoms[f.Name]; symptom != nil {
			if err := symptom(ctx, env); err != nil {
				t.Errorf("%s has no symptom: %v", f.Name, err)
			}
		}
		if err := env.heal(ctx, f.Name, heal); err != nil {
			t.Error(err)
		}
	}
	for dice, name := range map[uint64]string{1: topology.Retry, 2: topology.Dead} {
		env.recovered(t, ctx, fmt.Sprintf("probe-before-%s", name))
		mark(env)
		if _, err := exchangeDeleted(ctx, env, dice); err != nil {
			t.Errorf("deleting %s: %v", name, err)
		}
		if err := declaredAgain(name)(ctx, env); err != nil {
			t.Errorf("the deletion of %s has no symptom: %v", name, err)
		}
	}
	env.recovered(t, ctx, "probe-after")
	if found := env.found(); len(found) > 0 {
		t.Errorf("found: %s", strings.Join(found, "\n"))
	}
}

func (env *environment) recovered(t *testing.T, ctx context.Context, probe string) {
	t.Helper()
	if took, err := env.recovery(ctx, probe); err != nil || took > Limit {
		t.Errorf("%s: recovery took %s: %v", probe, took, err)
	}
}
