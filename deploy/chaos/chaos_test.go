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
	"github.com/composerp/composerp/exchange"
)

// program builds composerp once: its processes are what is broken.
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
	// Whatever the environment says of servers, chaos and the fleet that it breaks go to its own.
	os.Setenv("COMPOSERP_DATABASE_URL", "postgres://nobody@127.0.0.1:1/somebody_elses")
	os.Setenv("COMPOSERP_AMQP_URL", "amqp://nobody@127.0.0.1:1/")
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// config is a run's, in a directory that the servers' users can enter.
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

// A run must be able to fail: every kind of damage is found, and named.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Faults = []Fault{find("backends-terminated")}
	sayings, err := Sayings(cfg.Seed, int(cfg.Duration.Seconds())*cfg.Rate)
	if err != nil {
		t.Fatal(err)
	}
	moved, handled, logged := sayings[0].Event.ID, sayings[1].Event.ID, sayings[2].Event.ID
	stray := sayings[slices.IndexFunc(sayings, func(s Saying) bool { return s.Sort == Stray })].Event.ID
	damage := []struct{ statement, found string }{
		{fmt.Sprintf(`DELETE FROM movement WHERE event_id = '%s' AND line = 1`, moved), moved.String() + " is 1 times among the movements"},
		{fmt.Sprintf(`DELETE FROM inbox WHERE event_id = '%s'`, handled), handled.String() + " is 0 times handled by ledger"},
		{fmt.Sprintf(`INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
			SELECT epoch, false, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body FROM event_log WHERE event_id = '%s'`, logged),
			logged.String() + " is 2 times in the log"},
		{fmt.Sprintf(`DELETE FROM dead_letter WHERE message_id = '%s'`, stray), stray.String() + ", which is no event, is not among the dead letters of ledger"},
		{`INSERT INTO dead_letter (id, consumer, message_id, type, routing_key, error, attempt, headers, body, died_at)
			VALUES (gen_random_uuid(), 'lots', 'm', '', '', '', 1, '{}', '', now())`, "1 good messages are among the dead letters"},
		{`UPDATE position SET on_hand = on_hand + 1 WHERE item_id = 'SKU-007' AND location_id = '@customer'`, "SKU-007 at @customer"},
	}
	cfg.sabotage = func(ctx context.Context, h *house) error {
		for {
			var hearers int
			err := h.super.QueryRowContext(ctx, `SELECT count(DISTINCT consumer) FROM dead_letter WHERE message_id = $1`, stray.String()).Scan(&hearers)
			if err != nil || hearers == 2 {
				break
			}
			if !sleep(ctx, sayingPause) {
				return ctx.Err()
			}
		}
		for _, d := range damage {
			if done, err := h.super.ExecContext(ctx, d.statement); err != nil {
				return err
			} else if n, _ := done.RowsAffected(); n == 0 {
				return errors.New("no damage was done by " + d.statement)
			}
		}
		if err := h.management.DeleteQueue(ctx, h.vhost, exchange.DeadName("ledger")); err != nil { // intake's still has the stray
			return err
		}
		h.supplier.mu.Lock()
		defer h.supplier.mu.Unlock()
		h.supplier.taken["nobody's:send"] = [32]byte{}
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
	for _, more := range []string{"the audit says", "the supplier got order nobody's, which nobody has approved"} {
		if !strings.Contains(all, more) {
			t.Errorf("not found: %s", more)
		}
	}
	for _, mended := range []string{"1 letter of composerp.intake.dead, which the journal did not have, entered", "1 letter that composerp.lots.dead does not hold any more, marked as missed"} {
		if !strings.Contains(strings.Join(report.Audit.Mended, "; "), mended) {
			t.Errorf("the audit has put right %q, and not %q", report.Audit.Mended, mended)
		}
	}
	if report.Verdict != Found || report.Lost == 0 || report.Doubled != 1 || report.Dir != cfg.Dir {
		t.Errorf("verdict %s, lost %d, doubled %d, kept in %q\n%s", report.Verdict, report.Lost, report.Doubled, report.Dir, all)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "fleet-1.log")); err != nil {
		t.Errorf("the logs were not kept: %v", err)
	}
}

// Every fault is felt while it lasts, and the fleet recovers from it. Faults here are not held, so that the test takes no
// longer than the servers need.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	ctx := t.Context()
	h, err := build(ctx, config(t))
	defer func() { h.close(context.WithoutCancel(ctx), false) }()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, localtest.Deadline(4*time.Minute))
	defer cancel()
	if _, err := h.recovery(ctx, "probe-before"); err != nil {
		t.Fatal(err)
	}
	group := ""
	for i, f := range faults {
		if group != f.Group || group == groupTopology { // there, each takes away what the one before has
			h.wholeAgain(t, ctx, fmt.Sprintf("probe-%d", i))
			group = f.Group
		}
		heal, err := f.inject(ctx, h, 0) // the first process, its way to the database
		if err != nil {
			t.Errorf("injecting %s: %v", f.Name, err)
		}
		if felt := symptoms[f.Name]; felt != nil {
			if err := felt(ctx, h); err != nil {
				t.Errorf("%s is not felt: %v", f.Name, err)
			}
		}
		if err := h.heal(ctx, f.Name, heal); err != nil {
			t.Error(err)
		}
	}
	for dice, name := range map[uint64]string{1: exchange.Retry, 2: exchange.Dead} {
		h.wholeAgain(t, ctx, fmt.Sprintf("probe-before-%s", name))
		if _, err := exchangeDeleted(ctx, h, dice); err != nil {
			t.Errorf("deleting %s: %v", name, err)
		}
		if err := declaredAgain(`exchanges=\[`+name+`]`)(ctx, h); err != nil {
			t.Errorf("the deletion of %s is not felt: %v", name, err)
		}
	}
	h.wholeAgain(t, ctx, "probe-after")
	if found := h.problems.all(); len(found) > 0 {
		t.Errorf("found: %s", strings.Join(found, "\n"))
	}
}

func (h *house) wholeAgain(t *testing.T, ctx context.Context, probe string) {
	t.Helper()
	if took, err := h.recovery(ctx, probe); err != nil || took > localtest.Deadline(Limit) {
		t.Errorf("%s: recovery took %s: %v", probe, took, err)
	}
}
