package eventlog

import (
	"context"
	"fmt"
	"slices"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// partitionSize is the number of log positions in one partition.
const partitionSize = 1_000_000

// partitionsAhead is the number of empty partitions kept ready. An insert without a partition fails, and with it the
// business transaction.
const partitionsAhead = 2

var logPartitions = pg.SQL(`
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'event_log'::regclass`)

// EnsurePartitions makes the log's partitions ahead of need. CREATE LIKE and ATTACH do not wait for open writers, as
// CREATE ... PARTITION OF would. Several processes may call it at once.
func EnsurePartitions(ctx context.Context, db *store.DB) error {
	last, err := End(ctx, db)
	if err != nil {
		return err
	}
	names, err := pg.List[string](ctx, db, "listing the log's partitions", logPartitions)
	if err != nil {
		return err
	}
	for i := last / partitionSize; i <= last/partitionSize+partitionsAhead; i++ {
		if name := fmt.Sprintf("event_log_p%d", i); !slices.Contains(names, name) {
			if err := createPartition(ctx, db, name, i); err != nil {
				return fmt.Errorf("making partition %s: %w", name, err)
			}
		}
	}
	return nil
}

// partitionLock is the key of the advisory lock for making a partition of the log or the inbox: IF NOT EXISTS alone
// lets two collide.
const partitionLock = 7_316_002

var lockPartitions = pg.SQL(`SELECT pg_advisory_xact_lock($1)::text`)

var hasTable = pg.SQL(`SELECT to_regclass($1) IS NOT NULL`)

// LockPartitions keeps other processes from making partitions until the end of the transaction.
func LockPartitions(ctx context.Context, tx store.Tx) error {
	_, err := pg.Exec(ctx, tx, lockPartitions, partitionLock)
	return err
}

// LockUnlessExists takes the partition lock and reports whether the table must still be made, by this transaction.
func LockUnlessExists(ctx context.Context, tx store.Tx, table string) (bool, error) {
	if err := LockPartitions(ctx, tx); err != nil {
		return false, err
	}
	var there bool
	err := pg.Get(ctx, tx, &there, hasTable, table)
	return !there, err
}

func createPartition(ctx context.Context, db *store.DB, name string, i int64) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		if missing, err := LockUnlessExists(ctx, tx, name); err != nil || !missing {
			return err
		}
		defer failpoint.Hit("partition.made")
		_, err := pg.Exec(ctx, tx, makePartition, i*partitionSize, (i+1)*partitionSize)
		return err
	})
}

// makePartition runs as the log's owner, also for another role.
var makePartition = pg.SQL(`SELECT make_log_partition($1, $2)::text`)
