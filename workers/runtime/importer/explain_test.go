package importer

import (
	"fmt"
	"strings"
	"testing"
)

// TestExplain shows what a file is read as, what its columns are for, and what it seems to want.
func TestExplain(t *testing.T) {
	t.Parallel()
	text := "sep=;\nReceipt;Line;Sku;Qty;Amount;SoldAt;Text;Status;Balance;PrintedAt;\n" +
		"R1;1;MUG;2;3.10;2026-02-09 12:00;Mug;open;100;18:00;\n" +
		"R1;2;MUG;6-;3,10;2026-02-09 12:00;Mug;open;100;18:00;\n" +
		"R1;3;MUG;6-;3.10;2026-02-09 12:00;Mug;open;100;18:00;\n" +
		"R1;4;MUG;2;3,10;2026-02-09 12:00;Mug;open;100;18:00;\n" +
		"R1;5;MUG;2;3.10;09.02.2026 12:00;Mug;open;100;18:00;\n" + strings.Repeat("R1;6;MUG;2;3.10;2026-02-09 12:00;Mug;void;100;18:00;\n", explainedRows)
	file := writeFile(t, "export.csv", text)
	e, err := Explain(t.Context(), file, exportBy(t, ""), 2)
	must(t, err)
	if got := fmt.Sprint(e.Columns); got != "[{Receipt key} {Line passed over} {Sku key} {Qty key} {Amount key} {SoldAt key} {Text read} {Status read} {Balance passed over} {PrintedAt passed over} { passed over}]" {
		t.Errorf("the columns: %s", got)
	}
	if e.Found.Delimiter != ";" || e.Timezone != "UTC" || strings.Join(e.Identity, " ") != "Amount Qty Receipt Sku SoldAt" || !strings.HasPrefix(e.Because, "the default") {
		t.Errorf("got %+v", e)
	}
	if e.Looked != explainedRows || e.Rejected != explainedRows-1 || len(e.Rows) != 2 {
		t.Errorf("%d of %d rows are rejected, %d are shown", e.Rejected, e.Looked, len(e.Rows))
	}
	first := readAll(t, file, exportBy(t, ""))[0]
	if string(e.Rows[0].Event) != string(first.Event.Body) || e.Rows[0].Line != 3 || !strings.HasPrefix(e.Rows[1].Reject, "bad_number: Qty: want a number") {
		t.Errorf("the rows: %+v", e.Rows)
	}
	want := `[negatives: "6-"}: line 4 decimal: ","}: line 6 times: ["2.1.2006 15:04"]}: line 7]`
	if got := fmt.Sprint(e.Wants); got != want {
		t.Errorf("it wants %s\nshould want %s", got, want)
	}
	named, err := Explain(t.Context(), file, exportBy(t, "identity: [Receipt, Line]\n"), 1)
	must(t, err)
	if got := fmt.Sprint(named.Columns[:3], named.Identity); got != "[{Receipt key} {Line key} {Sku read}] [Line Receipt]" {
		t.Errorf("by named columns: %s", got)
	}
	events, err := Explain(t.Context(), writeFile(t, "events.ndjson", string(first.Event.Body)+"\n"), nil, 1)
	must(t, err)
	if len(events.Rows) != 1 || events.Rejected != 0 || events.Identity[0] != "eventId" {
		t.Errorf("of whole events: %+v", events)
	}
	if _, err := Explain(t.Context(), writeFile(t, "other.csv", "a,b\n1,2\n"), exportBy(t, ""), 1); err == nil || !strings.Contains(err.Error(), "speaks of columns that the file has not") {
		t.Errorf("another file: %v", err)
	}
}
