package shadow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store/internal/pg"
)

// Total is how the rows of a table compare with those of its copy after the window.
type Total struct {
	Table      string `json:"table"`
	Same       int64  `json:"same"`
	Different  int64  `json:"different"`
	Missing    int64  `json:"missing"`    // the live worker wrote them
	Additional int64  `json:"additional"` // the live worker did not
	// Elsewhere are rows that differ because others wrote them last: commands, timers and other workers.
	Elsewhere int64 `json:"elsewhere"`
}

// Differs reports whether the copy has other rows than the live worker wrote.
func (t Total) Differs() bool { return t.Different+t.Missing+t.Additional > 0 }

// Row is a row that differs between the live table and the copy; nil: that one does not have it.
type Row struct {
	Table  string          `json:"table"`
	Live   json.RawMessage `json:"live"`
	Shadow json.RawMessage `json:"shadow"`
}

// A live row that neither the copies' snapshot nor a batch has written was written elsewhere.
const compareRows = `
SELECT live::text, copy::text,
       live IS NOT NULL AND NOT (tx::text = ANY ($2::text[])) AND NOT pg_visible_in_snapshot(tx::text::xid8, $3::pg_snapshot) AS elsewhere
FROM (
    SELECT to_jsonb(l) - $1::text[] AS live, to_jsonb(c) - $1::text[] AS copy, ` + `%[4]s AS tx
    FROM (SELECT x.*, x.xmin FROM %[1]s.%[2]s x) l FULL JOIN (SELECT x.* FROM pg_temp.%[2]s x) c ON %[3]s, ` + curSQL + `) r
WHERE live IS DISTINCT FROM copy`

// Compare compares tables with their copies, and lists at most limit rows that differ. Call it after Handled and
// LeftOut: it completes the window.
func (w *Window) Compare(ctx context.Context, tables []Table, limit int) (totals []Total, rows []Row, err error) {
	for _, t := range tables {
		if len(t.Key) == 0 {
			continue
		}
		total, some, err := w.compare(ctx, t, max(0, limit-len(rows)))
		if err != nil {
			return nil, nil, fmt.Errorf("comparing the table %s: %w", t.Name, err)
		}
		totals, rows = append(totals, total), append(rows, some...)
	}
	w.s.until = w.now.Snapshot
	return totals, rows, nil
}

func (w *Window) compare(ctx context.Context, t Table, limit int) (total Total, some []Row, err error) {
	total.Table = t.Name
	live := w.s.live + "." + pq.QuoteIdentifier(t.Name)
	all, err := count(ctx, w.tx, live)
	if err != nil {
		return total, nil, err
	}
	on := make([]string, len(t.Key))
	for i, k := range t.Key {
		on[i] = "l." + pq.QuoteIdentifier(k) + " = c." + pq.QuoteIdentifier(k)
	}
	text := fmt.Sprintf(compareRows, w.s.live, pq.QuoteIdentifier(t.Name), strings.Join(on, " AND "), fmt.Sprintf(fullXID, "l"))
	found, err := pg.RawTx(w.tx).QueryContext(ctx, text, pq.StringArray(append([]string{"xmin"}, t.Except...)), pq.StringArray(w.txs), w.s.since)
	if err != nil {
		return total, nil, pg.MapError(err)
	}
	defer found.Close()
	differing := int64(0) // of the live rows
	for found.Next() {
		var live, copied *string
		var elsewhere bool
		if err := found.Scan(&live, &copied, &elsewhere); err != nil {
			return total, nil, err
		}
		if live != nil {
			differing++
		}
		switch {
		case elsewhere:
			total.Elsewhere++
			continue
		case live == nil:
			total.Additional++
		case copied == nil:
			total.Missing++
		default:
			total.Different++
		}
		if len(some) < limit {
			some = append(some, Row{t.Name, message(live), message(copied)})
		}
	}
	total.Same = all - differing
	return total, some, pg.MapError(found.Err())
}

func message(text *string) json.RawMessage {
	if text == nil {
		return nil
	}
	return json.RawMessage(*text)
}
