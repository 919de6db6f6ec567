package versions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
)

// Declared is the version of a type that a queue reads, as an operator has declared it.
type Declared struct {
	Queue     string     `db:"queue" json:"queue"`
	Type      event.Type `db:"type" json:"type"`
	Version   string     `db:"version" json:"version"`
	UpdatedAt time.Time  `db:"updated_at" json:"-"`
	UpdatedBy string     `db:"updated_by" json:"updatedBy"`
	Reason    string     `db:"reason" json:"reason"`
}

var (
	readDeclared  = pg.SQL(`SELECT queue, type, version, updated_at, updated_by, reason FROM queue_version ORDER BY queue, type`)
	writeDeclared = pg.SQL(`
INSERT INTO queue_version (queue, type, version, updated_by, reason) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (queue, type) DO UPDATE SET version = excluded.version, updated_by = excluded.updated_by, reason = excluded.reason, updated_at = clock_timestamp()`)
)

// Queues reads what operators have declared of queues.
func Queues(ctx context.Context, db *store.DB) ([]Declared, error) {
	return pg.List[Declared](ctx, db, "reading which versions queues read", readDeclared)
}

// Declare notes which version of a type a queue reads.
func Declare(ctx context.Context, db *store.DB, by operatorlog.By, queue string, t event.Type, version string) error {
	err := db.InTx(ctx, func(tx store.Tx) error {
		if _, err := pg.Exec(ctx, tx, writeDeclared, queue, t, version, by.Operator, by.Reason); err != nil {
			return err
		}
		return operatorlog.Note(ctx, tx, by, "contracts ready", queue, nil, map[string]string{"type": string(t), "version": version})
	})
	if err != nil {
		return fmt.Errorf("declaring which version of %s %s reads: %w", t, queue, err)
	}
	return nil
}

// Node is what a living node's program reads.
type Node struct {
	ID      string   `db:"id"`
	Version string   `db:"version"` // of the program
	Reads   string   `db:"reads"`   // a line for each type or worker, as migration 0049 has them
	Queues  string   `db:"queues"`  // a line each
	lines   []string // of Reads
}

// The version before 0049 inserts no reads: its row has none.
var readNodes = pg.SQL(`
SELECT id, version, array_to_string(reads, E'\n') AS reads, array_to_string(queues, E'\n') AS queues FROM worker_node WHERE ` + scaling.AliveSQL + ` ORDER BY id`)

// Nodes reads the living nodes.
func Nodes(ctx context.Context, db *store.DB) ([]Node, error) {
	nodes, err := pg.List[Node](ctx, db, "reading which versions nodes read", readNodes)
	for i := range nodes {
		nodes[i].lines = strings.Split(nodes[i].Reads, "\n")
	}
	return nodes, err
}

// Knows reports whether the node's program reads a version of a type.
func (n Node) Knows(t event.Type, version string) bool {
	for _, line := range n.lines {
		if f := strings.Fields(line); len(f) == 2 && f[0] == string(t) && event.SameMajor(f[1], version) {
			return true
		}
	}
	return false
}

// OlderOnly is the version that a worker of the node reads alone; "" where it reads the program's.
func (n Node) OlderOnly(t event.Type, worker string) string {
	for _, line := range n.lines {
		if f := strings.Fields(line); len(f) == 3 && f[0] == string(t) && f[2] == worker {
			return f[1]
		}
	}
	return ""
}

// Runs reports whether the node runs slots of a worker's queue.
func (n Node) Runs(worker string) bool {
	for queue := range strings.SplitSeq(n.Queues, "\n") {
		if queue == worker {
			return true
		}
	}
	return false
}

// ReadLine is a line of what a node says that it reads; worker is "" for the program as a whole.
func ReadLine(t event.Type, version, worker string) string {
	return strings.TrimSpace(string(t) + " " + version + " " + worker)
}
