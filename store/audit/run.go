package audit

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// run is one audit.
type run struct {
	tx    *store.Transaction
	scope Scope
	began snapshotInfo
	last  *checkpoint // nil: everything is checked
	open  []openDeliveries
	tally tally
	// fresh events and deliveries are those checked, deliveries without those in flight.
	fresh, deliveries int64
}

// Run runs every check, and makes a checkpoint when nothing is wrong. It calls onCheck, unless nil, with the name of
// each check before it runs.
func Run(ctx context.Context, db *store.DB, scope Scope, onCheck func(check string)) (Proof, error) {
	if onCheck == nil {
		onCheck = func(string) {}
	}
	var proof Proof
	err := inAudit(ctx, db, func(tx *store.Transaction) error {
		a := &run{tx: tx, scope: scope, tally: newTally()}
		if err := a.begin(ctx); err != nil {
			return fmt.Errorf("beginning an audit: %w", err)
		}
		onCheck("what is open")
		if err := a.findOpen(ctx); err != nil {
			return fmt.Errorf("finding open deliveries: %w", err)
		}
		var err error
		if proof, err = a.prove(ctx, onCheck); err != nil {
			return err
		}
		if !scope.Forget && proof.Wrong() == 0 {
			proof.Unmade = a.checkpoint(ctx)
			proof.Made = proof.Unmade == nil
		}
		return nil
	})
	return proof, err
}

// inAudit runs do in a transaction that sees one state. Its writes stay only if it made a checkpoint: see
// run.checkpoint.
func inAudit(ctx context.Context, db *store.DB, do func(tx *store.Transaction) error) error {
	tx, err := pg.BeginSnapshot(ctx, db)
	if err != nil {
		return fmt.Errorf("beginning an audit: %w", err)
	}
	defer tx.Rollback() // does nothing after a checkpoint, which commits
	return do(tx)
}

// prove runs the checks and counts.
func (a *run) prove(ctx context.Context, onCheck func(check string)) (proof Proof, err error) {
	if a.last != nil {
		proof.Since = &a.last.Checkpoint
	}
	if err := a.tallyLog(ctx); err != nil {
		return proof, err
	}
	for _, check := range auditChecks {
		onCheck(check.name)
		outcome, err := a.runCheck(ctx, check)
		if err != nil {
			return proof, fmt.Errorf("auditing %s: %w", check.name, err)
		}
		proof.Checks = append(proof.Checks, outcome)
	}
	proof.Fresh, proof.Moved = a.fresh, a.began.Moved
	if proof.Flights, err = a.flights(ctx); err != nil {
		return proof, fmt.Errorf("listing the deliveries in flight: %w", err)
	}
	if proof.UpTo, err = a.upTo(ctx); err != nil {
		return proof, err
	}
	proof.Counts, err = a.counts(ctx)
	return proof, err
}

func (a *run) runCheck(ctx context.Context, check check) (Check, error) {
	var rows []struct {
		Counted int64 `db:"counted"`
		Wrong   int64 `db:"wrong"`
		Finding
	}
	if err := a.selectAll(ctx, &rows, a.variant(check.ways)); err != nil {
		return Check{}, err
	}
	outcome := Check{Name: check.name, What: check.what, Unit: check.unit, Findings: []Finding{}}
	for _, row := range rows {
		outcome.Count, outcome.Wrong = row.Counted, row.Wrong
		if row.Problem != "" {
			outcome.Findings = append(outcome.Findings, row.Finding)
		}
	}
	if check.name == "handled" {
		outcome.Count = a.deliveries // judged holds only those in flight or lost
	}
	if check.counting {
		outcome.Count += a.tally.Checks[check.name]
		a.tally.Checks[check.name] = outcome.Count
	}
	if check.reported {
		outcome.Count -= outcome.Wrong // a problem has a row beside that of what it is about
		outcome.Wrong, outcome.Reported = 0, outcome.Wrong
		if err := pg.Get(ctx, a.tx, &outcome.Acknowledged, acknowledgedFindings, check.name); err != nil {
			return Check{}, err
		}
	}
	outcome.OK = outcome.Wrong == 0
	return outcome, nil
}

// variant returns the statement for the extent of this audit.
func (a *run) variant(s variants) namedStatement {
	if a.last != nil {
		return s.since
	}
	return s.whole
}

func (a *run) selectAll(ctx context.Context, dest any, s namedStatement) error {
	return pg.Select(ctx, a.tx, dest, s.text, a.arguments(s)...)
}

func (a *run) exec(ctx context.Context, s namedStatement) error {
	_, err := pg.Exec(ctx, a.tx, s.text, a.arguments(s)...)
	return err
}

// arguments returns the values of a statement's parameters.
func (a *run) arguments(s namedStatement) []any {
	consumers, fewest := a.scope.fewest()
	values := map[string]any{
		"now": a.began.Next, "before": a.began.Last, "settled": sqlvalue.Nullable(a.scope.Settled),
		"settledEpoch": a.scope.SettledEpoch, "archived": a.began.Archived, "consumers": consumers, "fewest": fewest, "nowhere": sql.NullInt64{Valid: a.scope.Fewest == nil},
	}
	if a.last != nil {
		values["since"], values["epoch"], values["floor"] = a.last.Snapshot, a.last.Epoch, a.last.Floor
		values["admissionEnd"], values["movementEnd"] = a.last.AdmissionEnd, a.last.MovementEnd
	}
	args := make([]any, len(s.params))
	for i, name := range s.params {
		args[i] = values[name]
	}
	return args
}
