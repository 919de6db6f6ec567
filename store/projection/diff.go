package projection

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Difference is a row that a switch would change. Live is nil for a row that it would add, Rebuilt for one that it
// would remove.
type Difference struct {
	Table   string          `json:"table"`
	Live    json.RawMessage `json:"live"`
	Rebuilt json.RawMessage `json:"rebuilt"`
}

// Total is how many rows of a table a switch would leave, add, remove and change.
type Total struct {
	Table   string `json:"table"`
	Same    int64  `json:"same"`
	Added   int64  `json:"added"`
	Removed int64  `json:"removed"`
	Changed int64  `json:"changed"`
}

// Report is what Diff has found. Tick is the point of the log at which both sides stood.
type Report struct {
	Name   string  `json:"name"`
	Tick   int64   `json:"tick"`
	Totals []Total `json:"totals"`
	// Rows are the first differences, at most as many as was asked for.
	Rows []Difference `json:"differences"`
}

// Differs reports whether a switch would change anything.
func (r Report) Differs() bool {
	for _, t := range r.Totals {
		if t.Added+t.Removed+t.Changed > 0 {
			return true
		}
	}
	return false
}

// Diff catches up with the log and compares the live tables with the rebuilt ones, as of the same tick. It lists at
// most limit rows. Its pool is as Rebuild's.
func Diff(ctx context.Context, db *store.DB, p Projection, holder string, limit int) (Report, error) {
	report := Report{Name: p.Name, Totals: []Total{}, Rows: []Difference{}}
	err := p.lead(ctx, db, holder, func(ctx context.Context, lease store.Lease) error {
		s, err := Read(ctx, db, p)
		if err != nil {
			return err
		}
		if s.Rebuild == nil {
			return fmt.Errorf("%s: %w", p.Name, ErrNoRebuild)
		}
		handled, err := p.handled(ctx, db)
		if err != nil {
			return err
		}
		at, err := p.catchUp(ctx, db, lease, nil)
		if err != nil {
			return err
		}
		tx, err := pg.BeginSnapshot(ctx, db)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := p.copyLive(ctx, tx); err != nil {
			return err
		}
		if report.Tick, err = p.foldRange(ctx, db, tx, rebuilt, at.Tick, 0, nil); err != nil {
			return err
		}
		if p.Once {
			err = p.foldOpen(ctx, tx, rebuilt)
		} else {
			_, err = p.foldRange(ctx, db, tx, copied, handled, report.Tick, p.unhandled)
		}
		if err != nil {
			return err
		}
		return p.compare(ctx, tx, &report, limit)
	})
	return report, err
}

// copyLive copies the live tables as of the transaction's snapshot.
func (p Projection) copyLive(ctx context.Context, tx store.Tx) error {
	names, err := p.schemas(ctx, tx, copied)
	if err != nil {
		return err
	}
	if err := p.makeTables(ctx, tx, names); err != nil {
		return err
	}
	for _, t := range p.Tables {
		text := fmt.Sprintf("INSERT INTO %[1]s.%[3]s OVERRIDING SYSTEM VALUE SELECT * FROM %[2]s.%[3]s", names.side, names.live, t.Name)
		if err := pg.ExecText(ctx, tx, text); err != nil {
			return fmt.Errorf("copying %s: %w", t.Name, err)
		}
	}
	return nil
}

func (p Projection) compare(ctx context.Context, tx store.Tx, report *Report, limit int) error {
	was, err := p.schemas(ctx, tx, copied)
	if err != nil {
		return err
	}
	is, err := p.schemas(ctx, tx, rebuilt)
	if err != nil {
		return err
	}
	for _, t := range p.Tables {
		total, err := t.compare(ctx, tx, was.side, is.side, report, limit)
		if err != nil {
			return fmt.Errorf("comparing %s: %w", t.Name, err)
		}
		report.Totals = append(report.Totals, total)
	}
	return nil
}

// compare reads one row after the other; the server joins in its working memory.
func (t Table) compare(ctx context.Context, tx store.Tx, was, is string, report *Report, limit int) (Total, error) {
	total := Total{Table: t.Name}
	columns := "*"
	if len(t.Columns) > 0 {
		columns = strings.Join(append(append([]string{}, t.Key...), t.Columns...), ", ")
	}
	where := t.Where
	if where == "" {
		where = "true"
	}
	var on, order []string
	for _, k := range t.Key {
		on = append(on, "w."+k+" = i."+k)
		order = append(order, "coalesce(w."+k+", i."+k+")")
	}
	query := fmt.Sprintf(`
SELECT to_jsonb(w)::text, to_jsonb(i)::text, to_jsonb(w) IS DISTINCT FROM to_jsonb(i)
FROM (SELECT %[1]s FROM %[2]s.%[3]s WHERE %[4]s) w FULL JOIN (SELECT %[1]s FROM %[5]s.%[3]s WHERE %[4]s) i ON %[6]s
ORDER BY %[7]s`, columns, was, t.Name, where, is, strings.Join(on, " AND "), strings.Join(order, ", "))
	rows, err := raw(tx).QueryContext(ctx, query)
	if err != nil {
		return total, pg.MapError(err)
	}
	defer rows.Close()
	for rows.Next() {
		var live, rebuilt *string
		var differs bool
		if err := rows.Scan(&live, &rebuilt, &differs); err != nil {
			return total, err
		}
		switch {
		case !differs:
			total.Same++
			continue
		case live == nil:
			total.Added++
		case rebuilt == nil:
			total.Removed++
		default:
			total.Changed++
		}
		if len(report.Rows) < limit {
			report.Rows = append(report.Rows, Difference{Table: t.Name, Live: message(live), Rebuilt: message(rebuilt)})
		}
	}
	return total, pg.MapError(rows.Err())
}

func message(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}
