package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers"
)

// symptoms show that each fault has an effect; nil: its heal is its only effect.
var symptoms = map[string]func(ctx context.Context, env *environment) error{
	"kill":                  processDown,
	"terminate":             processDown,
	"pause":                 processStopped,
	"broker-kill":           noBroker,
	"broker-restart":        noBroker,
	"broker-pause":          noBroker,
	"memory-alarm":          alarm,
	"disk-alarm":            alarm,
	"database-crash":        noDatabase,
	"connections-exhausted": noDatabase,
	"read-only":             noWrites,
	"long-transaction":      openTransaction,
	"rows-locked":           rowsLockedNow,
	"net-cut":               noTraffic,
	"net-black-hole":        noTraffic,
	"net-half-open":         noTraffic,
	"net-one-way":           noTraffic,
	"queue-deleted":         noQueue,
	"binding-removed":       declaredAgain(topology.Events),
	"exchange-deleted":      declaredAgain(topology.Events),
	"permission-taken":      noPermission,
	"lanes":                 laneQueues,
	"supplier-busy":         noOrders,
	"supplier-away":         noOrders,
}

func processDown(_ context.Context, env *environment) error {
	for _, m := range env.fleet {
		select {
		case <-m.process.Done():
			return nil
		default:
		}
	}
	return errors.New("all processes run")
}

func processStopped(ctx context.Context, env *environment) error {
	return eventually(ctx, "no process is stopped", func(context.Context) bool {
		return slices.ContainsFunc(env.fleet, func(m *member) bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.process.PID()))
			return err == nil && strings.Contains(string(stat), ") T ")
		})
	})
}

func noBroker(ctx context.Context, env *environment) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := env.management.Overview(ctx); err == nil {
		return errors.New("the broker answers")
	}
	return nil
}

func alarm(ctx context.Context, env *environment) error {
	return eventually(ctx, "there is no alarm", func(ctx context.Context) bool {
		nodes, err := env.management.Nodes(ctx)
		return err == nil && (nodes[0].MemoryAlarm || nodes[0].DiskAlarm)
	})
}

func noDatabase(ctx context.Context, env *environment) error {
	if _, err := eventlog.End(ctx, env.direct); err == nil {
		return errors.New("the database answers")
	}
	return nil
}

func noWrites(ctx context.Context, env *environment) error {
	e, err := eventOf(99, "unwritten", opening, event.StockCounted{CountID: "c", ItemID: "i", LocationID: "l", Quantity: event.NewDecimal(1)})
	if err != nil {
		return err
	}
	return eventually(ctx, "the database takes writes", func(ctx context.Context) bool {
		err := env.direct.InTx(ctx, func(tx store.Tx) error {
			if _, err := eventlog.Admit(ctx, tx, []event.Any{e}, false); err != nil {
				return err
			}
			return errUndone
		})
		return err != nil && !errors.Is(err, errUndone)
	})
}

var errUndone = errors.New("undone")

func openTransaction(ctx context.Context, env *environment) error {
	return holds(ctx, env, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL)`)
}

func rowsLockedNow(ctx context.Context, env *environment) error {
	_, err := env.super.ExecContext(ctx, `SELECT count(*) FROM (SELECT FROM position ORDER BY sequence DESC LIMIT 10 FOR UPDATE NOWAIT) rows`)
	if err == nil {
		return errors.New("nothing is locked")
	}
	return nil
}

func holds(ctx context.Context, env *environment, question string) error {
	var yes bool
	if err := env.super.QueryRowContext(ctx, question).Scan(&yes); err != nil || !yes {
		return fmt.Errorf("%s: %v, %w", question, yes, err)
	}
	return nil
}

// noTraffic checks that no bytes of the first process reach the database, which its lease and its polls would send.
func noTraffic(ctx context.Context, env *environment) error {
	network := env.fleet[0].database
	return eventually(ctx, "bytes get through", func(ctx context.Context) bool {
		before := network.Carried()
		return clock.Sleep(ctx, 300*time.Millisecond) && network.Carried() == before
	})
}

func noQueue(ctx context.Context, env *environment) error {
	if env.missingConsumers(ctx) == "" {
		return errors.New("all queues have their consumers")
	}
	return nil
}

// declaredAgain waits until a watchdog says, after the last mark, that it has declared the exchange or bindings of it.
// A declaration that failed half-way has made the exchange, and the next one names only its bindings.
func declaredAgain(exchange string) func(ctx context.Context, env *environment) error {
	line := regexp.MustCompile(`missing topology declared.*[[ ]` + regexp.QuoteMeta(exchange) + `[] ]`)
	return func(ctx context.Context, env *environment) error {
		err := eventually(ctx, "no watchdog has declared it again", func(context.Context) bool {
			return slices.ContainsFunc(env.fleet, func(m *member) bool { return line.Match(sinceMark(m)) })
		})
		for _, m := range env.fleet {
			if err != nil {
				err = fmt.Errorf("%w\n%s wrote since:\n%s", err, m.name, sinceMark(m))
			}
		}
		return err
	}
}

// marks has, by log file, how long it was before the last fault.
var marks sync.Map

func mark(env *environment) {
	for _, m := range env.fleet {
		if info, err := os.Stat(m.program.LogFile); err == nil {
			marks.Store(m.program.LogFile, info.Size())
		}
	}
}

func sinceMark(m *member) []byte {
	log, err := os.ReadFile(m.program.LogFile)
	if from, ok := marks.Load(m.program.LogFile); ok && err == nil {
		return log[min(from.(int64), int64(len(log))):]
	}
	return log
}

// noPermission asks as the part of the fleet that declares.
func noPermission(ctx context.Context, env *environment) error {
	at, err := url.Parse(env.servers.AMQPURL)
	if err != nil {
		return err
	}
	login := env.access.logins[roles.Topology]
	at.User = url.UserPassword(login.User, login.Password)
	broker := env.broker
	broker.URLs = []string{at.String()}
	return eventually(ctx, "everything is permitted", func(ctx context.Context) bool {
		return errors.Is(rabbitmq.Apply(ctx, workers.Topology(), broker), rabbitmq.ErrAccessRefused)
	})
}

// laneQueues checks that the worker handles the last number of lanes that the fault asks for.
func laneQueues(ctx context.Context, env *environment) error {
	return eventually(ctx, "the queue has not the lanes that were asked for", func(ctx context.Context) bool {
		return holds(ctx, env, `SELECT consumed = 8 AND routed = 8 FROM lane_set WHERE queue = 'stockview'`) == nil
	})
}

func noOrders(_ context.Context, env *environment) error {
	if status, away := env.supplier.take("a-key", [32]byte{1}); status == 200 && !away {
		return errors.New("the supplier takes orders")
	}
	env.supplier.mu.Lock()
	defer env.supplier.mu.Unlock()
	delete(env.supplier.taken, "a-key")
	delete(env.supplier.refused, "a-key")
	return nil
}

func eventually(ctx context.Context, complaint string, is func(ctx context.Context) bool) error {
	// The management API's figures are five seconds old, and older on a busy machine.
	ctx, cancel := context.WithTimeout(ctx, localtest.Deadline(20*time.Second))
	defer cancel()
	for !is(ctx) {
		if !clock.Sleep(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%s: %s", complaint, localtest.Late(20*time.Second, "the fault is felt"))
		}
	}
	return nil
}
