package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/composerp/composerp/deploy/local"
)

// Fault is one way to break the environment.
type Fault struct {
	Name  string `json:"name"`
	Group string `json:"group"` // what it affects
	What  string `json:"what"`  // as a sentence

	least, most time.Duration // how long it is held
	costs       time.Duration // about how long injecting and healing take
	inject      injection
}

// injection breaks the environment. What it returns heals that, also after an error; dice decide what it affects.
type injection func(ctx context.Context, env *environment, dice uint64) (heal, error)

// heal ends a fault. It is called again after an error.
type heal func(ctx context.Context) error

// nothing is the heal of a fault that ends by itself.
func nothing(context.Context) error { return nil }

const (
	groupProcess  = "process"
	groupBroker   = "broker"
	groupDatabase = "database"
	groupNetwork  = "network"
	groupSupplier = "supplier"
	groupTopology = "topology"
	groupScale    = "scale"
	groupLanes    = "lanes"
)

// faults are all faults. A paused process stays so for longer than a lease (store.LeaseTTL, 3 s); a paused broker for
// longer than a silent peer is tolerated (one and a half heartbeats of 10 s).
var faults = []Fault{
	{"kill", groupProcess, "a process of the fleet is killed and started again", 0, 2 * time.Second, time.Second, kill},
	{"pause", groupProcess, "a process of the fleet is stopped for longer than its lease, and wakes up late", 4 * time.Second, 7 * time.Second, 0, pause},
	{"terminate", groupProcess, "a process of the fleet is told to end, and started again", 0, 2 * time.Second, 2 * time.Second, terminate},

	{"broker-kill", groupBroker, "the broker is killed and started again", 0, 3 * time.Second, 9 * time.Second, halting(local.RabbitMQ, syscall.SIGKILL)},
	{"broker-pause", groupBroker, "the broker is paused for longer than the heartbeat allows", 16 * time.Second, 18 * time.Second, 0, brokerPause},
	{"broker-restart", groupBroker, "the broker is stopped properly and started again", 0, 2 * time.Second, 14 * time.Second, halting(local.RabbitMQ, syscall.SIGTERM)},
	{"memory-alarm", groupBroker, "the broker has too little memory and blocks publishers", 2 * time.Second, 5 * time.Second, 4 * time.Second, limiting("set_vm_memory_high_watermark", "0.4", "absolute", "1MB")},
	{"disk-alarm", groupBroker, "the broker has too little disk and blocks publishers", 2 * time.Second, 5 * time.Second, 4 * time.Second, limiting("set_disk_free_limit", "200MB", "1000000GB")},
	{"connections-closed", groupBroker, "the broker closes all connections of the fleet", 0, 0, time.Second, connectionsClosed},

	{"database-crash", groupDatabase, "the database is shut down at once, without a checkpoint, and started again", 0, 3 * time.Second, 2 * time.Second, halting(local.PostgreSQL, syscall.SIGQUIT)},
	{"backends-terminated", groupDatabase, "the database ends all sessions of the fleet", 0, 0, 0, backendsTerminated},
	{"backend-killed", groupDatabase, "a session's process is killed, and the database recovers from that", 0, 0, 2 * time.Second, backendKilled},
	{"long-transaction", groupDatabase, "a transaction that has written an event stays open beside the load, and commits late", 4 * time.Second, 9 * time.Second, 0, longTransaction},
	{"rows-locked", groupDatabase, "hot rows stay locked, sometimes for longer than lock_timeout", 2 * time.Second, 13 * time.Second, 0, rowsLocked},
	{"connections-exhausted", groupDatabase, "the database takes no more connections, and those of the fleet are gone", 2 * time.Second, 5 * time.Second, 0, connectionsExhausted},
	{"read-only", groupDatabase, "the database is a standby that takes no writes, until it is promoted", 2 * time.Second, 5 * time.Second, 2 * time.Second, readOnly},

	{"net-cut", groupNetwork, "connections are reset, and new ones too", 1 * time.Second, 5 * time.Second, 0, netCut},
	{"net-black-hole", groupNetwork, "no bytes get through in either direction, and no connection ends", 3 * time.Second, 8 * time.Second, 0, netBlackHole},
	{"net-half-open", groupNetwork, "connections end at the server, and the fleet does not notice", 3 * time.Second, 8 * time.Second, 0, netHalfOpen},
	{"net-one-way", groupNetwork, "no bytes get through in one direction", 3 * time.Second, 8 * time.Second, 0, netOneWay},
	{"net-slow", groupNetwork, "everything is delayed, and little gets through", 3 * time.Second, 6 * time.Second, 0, netSlow},

	{"queue-deleted", groupTopology, "a worker's queue is deleted under its consumers, with everything in it", 0, 0, 4 * time.Second, queueDeleted},
	{"binding-removed", groupTopology, "a worker's queue loses its bindings to the events", 0, 0, 4 * time.Second, bindingRemoved},
	{"exchange-deleted", groupTopology, "an exchange is deleted, with all its bindings", 0, 0, 4 * time.Second, exchangeDeleted},
	{"permission-taken", groupTopology, "the fleet's users lose all permissions at the broker", 1 * time.Second, 4 * time.Second, 5 * time.Second, permissionTaken},

	{"scale", groupScale, "a worker gets another number of slots, none at times, and back", 2 * time.Second, 6 * time.Second, time.Second, scaled},
	{"drain", groupScale, "a process drains and runs no slots, and may again", 2 * time.Second, 6 * time.Second, time.Second, drained},

	{"lanes", groupLanes, "stockview is divided into lanes, gets other numbers of lanes, and none again", 0, 4 * time.Second, 12 * time.Second, laned},

	{"supplier-busy", groupSupplier, "the supplier answers 503 with Retry-After", 2 * time.Second, 4 * time.Second, 0, behaving(busy)},
	{"supplier-away", groupSupplier, "the supplier hangs up, some of the time after it has taken the order", 2 * time.Second, 4 * time.Second, 0, behaving(hangingUp)},
}

// Faults gives the faults with these names or of these groups, in the order of the table; all without a name.
func Faults(names ...string) ([]Fault, error) {
	if len(names) == 0 {
		return slices.Clone(faults), nil
	}
	var chosen []Fault
	for _, f := range faults {
		if slices.Contains(names, f.Name) || slices.Contains(names, f.Group) {
			chosen = append(chosen, f)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(faults, func(f Fault) bool { return f.Name == name || f.Group == name }) {
			return nil, fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(FaultNames(), ", "))
		}
	}
	return chosen, nil
}

// FaultNames gives the names of all faults.
func FaultNames() []string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.Name
	}
	return names
}

// find gives a fault of the table. An unknown name is a mistake in this package.
func find(name string) Fault {
	i := slices.IndexFunc(faults, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		panic("chaos: there is no fault " + name)
	}
	return faults[i]
}
