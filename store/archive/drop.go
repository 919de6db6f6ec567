package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/operatorlog"
)

// Errors of archiving.
var (
	ErrRunning = errors.New("another process archives the log; wait for it")
	// ErrBusy: the log was locked by others each time.
	ErrBusy = errors.New("the log is in use by a long transaction, such as an audit; nothing has changed; try again")
	// ErrHeld: something still needs the partition.
	ErrHeld = errors.New("the partition cannot be archived")
)

// Opening is how a position stood at the cut, by the last archived event of it.
type Opening struct {
	Sequence         int64
	OnHand, Reserved event.Decimal
}

// Openings are balances by position.
type Openings map[masterdata.PositionKey]Opening

// Note takes what an event says of a position.
func (o Openings) Note(r *Row) error {
	if r.Type != string(event.TypeInventoryUpdated) {
		return nil
	}
	e, err := event.Decode([]byte(r.Body))
	if err != nil {
		return fmt.Errorf("reading event %s at position %d: %w", r.EventID, r.Seq, err)
	}
	p, ok := e.Payload.(event.InventoryUpdated)
	if !ok {
		return nil
	}
	key := masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}
	if o[key].Sequence < e.Metadata.Sequence {
		o[key] = Opening{e.Metadata.Sequence, p.OnHand, p.Reserved}
	}
	return nil
}

var openings = pg.SQL(`SELECT tenant_id, item_id, location_id, sequence, on_hand, reserved FROM log_opening`)

// ReadOpenings reads the balances at the cut.
func ReadOpenings(ctx context.Context, db *store.DB) (Openings, error) {
	rows, err := pg.List[struct {
		Tenant   string        `db:"tenant_id"`
		Item     string        `db:"item_id"`
		Location string        `db:"location_id"`
		Sequence int64         `db:"sequence"`
		OnHand   event.Decimal `db:"on_hand"`
		Reserved event.Decimal `db:"reserved"`
	}](ctx, db, "reading the opening balances", openings)
	o := make(Openings, len(rows))
	for _, r := range rows {
		o[masterdata.PositionKey{Tenant: r.Tenant, Item: r.Item, Location: r.Location}] = Opening{r.Sequence, r.OnHand, r.Reserved}
	}
	return o, err
}

// Work is the right to archive: a transaction that holds the lock of all archiving.
type Work struct {
	db *store.DB
	tx *store.Transaction
}

// archiveLock is the key of the advisory lock.
const archiveLock = 7_316_044

// It may stay idle for as long as a file takes to write.
var lockArchives = pg.SQL(`
SELECT pg_try_advisory_xact_lock($1) AND set_config('idle_in_transaction_session_timeout', '0', true) IS NOT NULL
   AND set_config('lock_timeout', '1s', true) IS NOT NULL`)

// Begin takes the right to archive. ErrRunning when another process has it.
func Begin(ctx context.Context, db *store.DB) (*Work, error) {
	tx, err := db.Begin(ctx)
	if err != nil {
		return nil, err
	}
	locked, err := pg.One[bool](ctx, tx, "taking the lock of all archiving", lockArchives, archiveLock)
	if err == nil && !locked {
		err = ErrRunning
	}
	if err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return &Work{db: db, tx: tx}, nil
}

// Close gives the right back.
func (w *Work) Close() error { return w.tx.Rollback() }

var rowsAfter = pg.SQL(`
SELECT seq, epoch, tx::text AS tx, publish, occurred_at, logged_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body
FROM event_log WHERE seq > $1 AND seq < $2 ORDER BY seq LIMIT $3`)

// Each hands on the rows of a partition in order.
func (w *Work) Each(ctx context.Context, p Partition, take func(*Row) error) error {
	for after := p.Low - 1; ; {
		rows, err := pg.List[Row](ctx, w.db, "reading partition "+p.Name, rowsAfter, after, p.High, frameRows)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := take(&rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < frameRows {
			return nil
		}
		after = rows[len(rows)-1].Seq
	}
}

var lockLog = pg.SQL(`LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE`)

var noteArchive = pg.SQL(`
INSERT INTO log_archive (file, low, high, events, first_seq, last_seq, bytes, sha256, first_seal, last_seal, logged_upto, operator, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id, archived_at`)

var moveOpenings = pg.SQL(`
INSERT INTO log_opening AS o (tenant_id, item_id, location_id, sequence, on_hand, reserved, archive)
SELECT n.tenant_id, n.item_id, n.location_id, n.sequence, n.on_hand, n.reserved, $7
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::numeric[], $6::numeric[]) AS n(tenant_id, item_id, location_id, sequence, on_hand, reserved)
ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE
SET sequence = excluded.sequence, on_hand = excluded.on_hand, reserved = excluded.reserved, archive = excluded.archive WHERE o.sequence < excluded.sequence`)

// Deliveries whose dead letters were all discarded stay dead for ever: no audit asks for them again.
var closeDead = pg.SQL(`DELETE FROM audit_open WHERE seq < $1`)

// lockTries is how often the log's lock is tried for, a second each: writers behind it wait for no longer.
const lockTries = 20

// Drop notes the archive, moves the opening balances and drops the partition, which must be the log's oldest. ErrHeld
// when something needs it again.
func (w *Work) Drop(ctx context.Context, p Partition, a *Archive, opening Openings, by operatorlog.By) error {
	if err := w.lockLog(ctx); err != nil {
		return err
	}
	if err := w.check(ctx, p); err != nil {
		return err
	}
	a.Operator, a.Reason = by.Operator, by.Reason
	err := pg.Get(ctx, w.tx, a, noteArchive, a.File, p.Low, p.High, a.Events, a.FirstSeq, a.LastSeq, a.Bytes, a.SHA256[:], a.FirstSeal, a.LastSeal,
		a.LoggedUpto, by.Operator, by.Reason)
	if err != nil {
		return fmt.Errorf("noting %s: %w", a.File, err)
	}
	columns := pg.NewColumns(6, len(opening))
	for _, key := range slices.SortedFunc(maps.Keys(opening), masterdata.ComparePositionKeys) {
		o := opening[key]
		columns.Add(key.Tenant, key.Item, key.Location, o.Sequence, o.OnHand, o.Reserved)
	}
	if _, err := pg.Exec(ctx, w.tx, moveOpenings, append(slices.Clone([]any(columns)), a.ID)...); err != nil {
		return fmt.Errorf("moving the opening balances: %w", err)
	}
	if _, err := pg.Exec(ctx, w.tx, closeDead, p.High); err != nil {
		return fmt.Errorf("closing discarded deliveries: %w", err)
	}
	if err := operatorlog.Note(ctx, w.tx, by, "log archive", a.File, nil, map[string]any{"low": p.Low, "high": p.High, "events": a.Events, "sha256": a.SHA256}); err != nil {
		return err
	}
	if err := pg.ExecText(ctx, w.tx, `DROP TABLE `+p.Name); err != nil {
		return fmt.Errorf("dropping partition %s: %w", p.Name, err)
	}
	failpoint.Hit("archive.dropping")
	if err := w.tx.Commit(); err != nil {
		return fmt.Errorf("dropping partition %s: %w", p.Name, err)
	}
	failpoint.Hit("archive.committed")
	return nil
}

// lockLog waits for readers and writers of the log; those that come later wait for a second at most.
func (w *Work) lockLog(ctx context.Context) error {
	for try := 0; ; try++ {
		if err := pg.ExecText(ctx, w.tx, `SAVEPOINT before`); err != nil {
			return err
		}
		_, err := pg.Exec(ctx, w.tx, lockLog)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrLocked) {
			return fmt.Errorf("locking the log: %w", err)
		}
		if err := pg.ExecText(ctx, w.tx, `ROLLBACK TO SAVEPOINT before`); err != nil {
			return err
		}
		if try == lockTries {
			return ErrBusy
		}
		if !clock.Sleep(ctx, time.Second/2) {
			return ctx.Err()
		}
	}
}

// check asks under the lock what was asked before.
func (w *Work) check(ctx context.Context, p Partition) error {
	oldest, err := pg.One[Partition](ctx, w.tx, "reading the log's oldest partition", oldestPartition)
	if err != nil {
		return err
	}
	if oldest.Name != p.Name || oldest.Low != p.Low || oldest.High != p.High {
		return fmt.Errorf("%s: it is not the log's oldest partition any more: %w", p.Name, ErrHeld)
	}
	held, err := pg.List[string](ctx, w.tx, "reading what still needs a partition of the log", heldBy, p.High)
	if err == nil && len(held) > 0 {
		err = fmt.Errorf("%s: %s: %w", p.Name, strings.Join(held, "; "), ErrHeld)
	}
	return err
}

// Exclude keeps archiving away until the transaction ends. ErrRunning when a process archives now.
func Exclude(ctx context.Context, tx store.Tx) error {
	locked, err := pg.One[bool](ctx, tx, "taking the lock of all archiving", lockArchives, archiveLock)
	if err == nil && !locked {
		err = ErrRunning
	}
	return err
}
