package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
)

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
	"queue-deleted":         noQueue,
	"binding-removed":       declaredAgain(`exchanges=\[] queues=\[] bindings="\[composerp.events -`),
	"exchange-deleted":      declaredAgain(`exchanges=\[composerp.events]`),
	"permission-taken":      noPermission,
	"supplier-busy":         noOrders,
	"supplier-away":         noOrders,
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

func noQueue(ctx context.Context, h *house) error {
	if h.absent(ctx) == "" {
		return errors.New("all queues have their consumers")
	}
	return nil
}

// declaredAgain waits until a watchdog has missed it.
func declaredAgain(what string) func(ctx context.Context, h *house) error {
	line := regexp.MustCompile(`what was missing is declared again.* ` + what)
	return func(ctx context.Context, h *house) error {
		return eventually(ctx, "nobody has missed it", func(context.Context) bool {
			return slices.ContainsFunc(h.fleet, func(m *member) bool {
				log, err := os.ReadFile(m.program.LogFile)
				return err == nil && line.Match(log)
			})
		})
	}
}

func noPermission(ctx context.Context, h *house) error {
	return eventually(ctx, "everything is permitted", func(ctx context.Context) bool {
		return errors.Is(workers.Topology().Apply(ctx, h.broker), exchange.ErrAccessRefused)
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
	ctx, cancel := context.WithTimeout(ctx, localtest.Deadline(20*time.Second)) // the management API's figures are five seconds old, and older on a busy machine
	defer cancel()
	for !is(ctx) {
		if !sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%s: %s", complaint, localtest.Late(20*time.Second, "the fault is felt"))
		}
	}
	return nil
}
