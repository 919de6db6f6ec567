package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
)

// Lease is leadership of one task, by name, for a limited time. The database's clock alone decides when it ends. A
// leader fences every write with Term inside the same transaction, so a leader that stalled past its lease fails.
//
// The clock may be set. Set forward, it ends leases early: a new term begins and fences the old one. Set back, it
// would prolong the lease of a dead leader; so a lease that ends later than any renewal allows counts as ended.
type Lease struct {
	Name   string
	Holder string
	Term   int64
}

// LeaseTTL is how long a lease lives without renewal: the longest pause after a leader is killed. Leaders renew it
// three times as often.
const LeaseTTL = 3 * time.Second

var acquireLease = pg.SQL(`
INSERT INTO lease AS l (name, term, holder, expires_at)
VALUES ($1, 1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE SET term = l.term + 1, holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.expires_at < clock_timestamp() OR l.expires_at > clock_timestamp() + 2 * make_interval(secs => $3)
RETURNING term`)

var renewLease = pg.SQL(`
UPDATE lease SET expires_at = clock_timestamp() + make_interval(secs => $4)
WHERE name = $1 AND holder = $2 AND term = $3 AND expires_at >= clock_timestamp()`)

var releaseLease = pg.SQL(`
UPDATE lease SET expires_at = '-infinity' WHERE name = $1 AND holder = $2 AND term = $3`)

var holdLease = pg.SQL(`SELECT term FROM lease WHERE name = $1 AND term = $2 FOR NO KEY UPDATE`)

// AcquireLease takes a free or expired lease. It returns ErrNotLeader while another holder has it.
func AcquireLease(ctx context.Context, db *DB, name, holder string) (Lease, error) {
	term, err := pg.OneAlone[int64](ctx, db, "acquiring the lease of "+name, acquireLease, name, holder, LeaseTTL.Seconds())
	if errors.Is(err, ErrNotFound) {
		return Lease{}, ErrNotLeader
	}
	if err != nil {
		return Lease{}, err
	}
	failpoint.Hit("lease.acquired")
	return Lease{Name: name, Holder: holder, Term: term}, nil
}

// RenewLease prolongs the lease; ErrNotLeader when it has ended. It takes one round trip, so that a slow or new
// connection does not cost the leadership.
func RenewLease(ctx context.Context, db *DB, l Lease) error {
	n, err := pg.Repeat(ctx, db, renewLease, l.Name, l.Holder, l.Term, LeaseTTL.Seconds())
	if err == nil && n == 0 {
		err = ErrNotLeader
	}
	if err != nil {
		return fmt.Errorf("renewing the lease of %s: %w", l.Name, err)
	}
	failpoint.Hit("lease.renewed")
	return nil
}

// ReleaseLease ends the lease, so that the next leader need not wait.
func ReleaseLease(ctx context.Context, db *DB, l Lease) error {
	_, err := pg.Repeat(ctx, db, releaseLease, l.Name, l.Holder, l.Term)
	return err
}

// HoldLease locks the lease's row for the rest of the transaction, so that no new term can begin. ErrNotLeader when
// the term is over.
func HoldLease(ctx context.Context, tx Tx, l Lease) error {
	var term int64
	err := pg.Get(ctx, tx, &term, holdLease, l.Name, l.Term)
	if errors.Is(err, ErrNotFound) {
		return ErrNotLeader
	}
	return err
}

// Lead runs work repeatedly while this process holds the lease, until ctx is done. Work's context ends when the
// lease is lost. After an error of work, Lead releases the lease, so that another process may lead. It reports errors
// of work and of acquiring the lease; while they go on, more and more seldom.
func Lead(ctx context.Context, db *DB, name, holder string, work func(ctx context.Context, l Lease) error, report func(error)) {
	var reports clock.Seldom
	for ctx.Err() == nil {
		lease, err := AcquireLease(ctx, db, name, holder)
		if err == nil {
			began := time.Now()
			if err = leadOnce(ctx, db, lease, work); time.Since(began) > 2*LeaseTTL {
				reports.Reset() // it led for a while: this is another failure
			}
		} else if errors.Is(err, ErrNotLeader) {
			reports.Reset()
			err = nil
		}
		if err != nil && ctx.Err() == nil && reports.Due() {
			report(err)
		}
		clock.Sleep(ctx, LeaseTTL/6)
	}
}

func leadOnce(ctx context.Context, db *DB, l Lease, work func(ctx context.Context, l Lease) error) error {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		ends := time.Now().Add(LeaseTTL)
		for clock.Sleep(working, LeaseTTL/3) {
			asked := time.Now()
			// A renewal without an answer must end the work before the lease runs out.
			renewal, cancel := context.WithDeadline(working, ends)
			err := RenewLease(renewal, db, l)
			cancel()
			if err != nil {
				stop(err)
			}
			ends = asked.Add(LeaseTTL)
		}
	}()
	err := work(working, l)
	if cause := context.Cause(working); cause != nil && ctx.Err() == nil {
		err = errors.Join(cause, err)
	}
	stop(nil)
	<-renewed
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return errors.Join(err, ReleaseLease(releasing, db, l))
}
