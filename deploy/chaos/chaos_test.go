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

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
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
	cfg, err := Config{Seed: 5, Duration: 3 * time.Second, Program: path, Version: "test", Dir: dir, Progress: func(text string) { t.Log(text) }}.withDefaults()
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
		{fmt.Sprintf(`DELETE FROM dead_letter WHERE message_id = '%s'`, stray), stray.String() + ", which is no event, is not among the dead letters"},
		{`INSERT INTO dead_letter (id, consumer, message_id, type, routing_key, error, attempt, headers, body, died_at)
			VALUES (gen_random_uuid(), 'lots', 'm', '', '', '', 1, '{}', '', now())`, "1 good messages are among the dead letters"},
		{`UPDATE position SET on_hand = on_hand + 1 WHERE item_id = 'SKU-007' AND location_id = '@customer'`, "SKU-007 at @customer"},
	}
	cfg.sabotage = func(ctx context.Context, h *house) error {
		for {
			var there bool
			err := h.super.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM dead_letter WHERE message_id = $1)`, stray.String()).Scan(&there)
			if err != nil || there {
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
	if report.Verdict != Found || report.Lost == 0 || report.Doubled != 1 || report.Dir != cfg.Dir {
		t.Errorf("verdict %s, lost %d, doubled %d, kept in %q\n%s", report.Verdict, report.Lost, report.Doubled, report.Dir, all)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "fleet-1.log")); err != nil {
		t.Errorf("the logs were not kept: %v", err)
	}
}

// symptoms say by what each fault is felt; nil: its heal is all there is of it.
var symptoms = map[string]func(ctx context.Context, h *house) error{
	"kill":                  aMemberIsDown,
	"terminate":             aMemberIsDown,
	"pause":                 aMemberIsStopped,
	"broker-kill":           noBroker,
	"broker-restart":        noBroker,
	"broker-pause":          noBroker,
	"memory-alarm":          alarm,
	"disk-alarm":            alarm,
	"database-crash":        noDatabase,
	"connections-exhausted": noDatabase,
	"read-only":             noWrites,
	"long-transaction":      anOpenTransaction,
	"rows-locked":           aLock,
	"net-cut":               noWay,
	"net-black-hole":        noWay,
	"net-half-open":         noWay,
	"net-one-way":           noWay,
	"supplier-busy":         noOrders,
	"supplier-away":         noOrders,
}

// Every fault is felt while it lasts, and the fleet recovers from it. Faults here are not held, so that the test takes no
// longer than the servers need.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	h, err := build(ctx, config(t))
	defer func() { h.close(context.WithoutCancel(ctx), false) }()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.recovery(ctx, "probe-before"); err != nil {
		t.Fatal(err)
	}
	group := ""
	for i, f := range faults {
		if group != f.Group {
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
	h.wholeAgain(t, ctx, "probe-after")
	if found := h.problems.all(); len(found) > 0 {
		t.Errorf("found: %s", strings.Join(found, "\n"))
	}
}

func (h *house) wholeAgain(t *testing.T, ctx context.Context, probe string) {
	t.Helper()
	if took, err := h.recovery(ctx, probe); err != nil || took > Limit {
		t.Errorf("%s: recovery took %s: %v", probe, took, err)
	}
}

func aMemberIsDown(_ context.Context, h *house) error {
	for _, m := range h.fleet {
		select {
		case <-m.process.Done():
			return nil
		default:
		}
	}
	return errors.New("all processes are there")
}

func aMemberIsStopped(ctx context.Context, h *house) error {
	return eventually(ctx, "no process is stopped", func(context.Context) bool {
		return slices.ContainsFunc(h.fleet, func(m *member) bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.process.PID()))
			return err == nil && strings.Contains(string(stat), ") T ")
		})
	})
}

func noBroker(ctx context.Context, h *house) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := h.management.Overview(ctx); err == nil {
		return errors.New("the broker answers")
	}
	return nil
}

func alarm(ctx context.Context, h *house) error {
	return eventually(ctx, "there is no alarm", func(ctx context.Context) bool {
		nodes, err := h.management.Nodes(ctx)
		return err == nil && (nodes[0].MemoryAlarm || nodes[0].DiskAlarm)
	})
}

func noDatabase(ctx context.Context, h *house) error {
	if _, err := h.direct.LogEnd(ctx); err == nil {
		return errors.New("the database answers")
	}
	return nil
}

func noWrites(ctx context.Context, h *house) error {
	e, err := eventOf(99, "unwritten", opening, event.StockCounted{CountID: "c", ItemID: "i", LocationID: "l", Quantity: event.NewDecimal(1)})
	if err != nil {
		return err
	}
	return eventually(ctx, "the database takes writes", func(ctx context.Context) bool {
		err := h.direct.InTx(ctx, func(tx *store.Tx) error {
			if _, err := tx.Admit(ctx, []event.Any{e}, false); err != nil {
				return err
			}
			return errUndone
		})
		return err != nil && !errors.Is(err, errUndone)
	})
}

var errUndone = errors.New("undone")

func anOpenTransaction(ctx context.Context, h *house) error {
	return holds(ctx, h, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL)`)
}

func aLock(ctx context.Context, h *house) error {
	_, err := h.super.ExecContext(ctx, `SELECT count(*) FROM (SELECT FROM position ORDER BY sequence DESC LIMIT 10 FOR UPDATE NOWAIT) rows`)
	if err == nil {
		return errors.New("nothing is locked")
	}
	return nil
}

func holds(ctx context.Context, h *house, question string) error {
	var yes bool
	if err := h.super.QueryRowContext(ctx, question).Scan(&yes); err != nil || !yes {
		return fmt.Errorf("%s: %v, %w", question, yes, err)
	}
	return nil
}

// noWay asks whether anything from the first process still arrives at the database: its lease and its polls would.
func noWay(ctx context.Context, h *house) error {
	way := h.fleet[0].database
	return eventually(ctx, "bytes get through", func(ctx context.Context) bool {
		before := way.Carried()
		return sleep(ctx, 300*time.Millisecond) && way.Carried() == before
	})
}

func noOrders(_ context.Context, h *house) error {
	if status, away := h.supplier.take("a-key", [32]byte{1}); status == 200 && !away {
		return errors.New("the supplier takes orders")
	}
	h.supplier.mu.Lock()
	defer h.supplier.mu.Unlock()
	delete(h.supplier.taken, "a-key")
	delete(h.supplier.turned, "a-key")
	return nil
}

func eventually(ctx context.Context, complaint string, is func(ctx context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for !is(ctx) {
		if !sleep(ctx, 20*time.Millisecond) {
			return errors.New(complaint)
		}
	}
	return nil
}
