package cli_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/unicode"

	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
)

// workbook is an .xlsx of one sheet.
func workbook(t *testing.T, rows ...[]any) string {
	t.Helper()
	book := excelize.NewFile()
	defer book.Close()
	for i, row := range rows {
		cell, err := excelize.CoordinatesToCellName(1, i+1)
		if err != nil {
			t.Fatal(err)
		}
		if err := book.SetSheetRow("Sheet1", cell, &row); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := book.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Master data and counts are read from the files of Excel and of ERPs as events are: by what the file says of itself,
// and by the same options.
func TestMasterDataInOddFiles(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String("itemId\tunitCost\r\nmug\t12.49\r\n")
	if err != nil {
		t.Fatal(err)
	}
	var padded bytes.Buffer
	w := gzip.NewWriter(&padded)
	if _, err := w.Write([]byte("itemId,unitCost\nmug,12.49\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, content, flags string }{
		{"semicolon.csv", "itemId;unitCost\nmug;12.49\n", ""},
		{"excel.csv", "sep=;\r\nitem_id;unit_cost\r\nmug;12,49\r\n", "--decimal ,"},
		{"comma.csv", "itemId,unitCost\nmug,\"12,49\"\n", "--decimal ,"},
		{"thousands.csv", "itemId,unitCost\nmug,\"0,012.49\"\n", "--thousands ,"},
		{"currency.csv", "itemId,unitCost\nmug,£12.49\n", "--currency £"},
		{"noise.csv", "itemId,unitCost\nmug,12.489999999999998\n", ""},
		{"behind.csv", "itemId,name,unitCost,,\nmug,,12.49,,\n,,,,\n", ""},
		{"rows.csv", "itemId,unitCost\nmug,12.49,,\n", ""},
		{"returns.csv", "itemId,unitCost\rmug,12.49\r", ""},
		{"unicode.TXT", utf16, ""},
		{"windows.csv", "itemId,unitCost\nmug,\x8012.49\n", "--encoding windows-1252 --currency €"},
		{"blanks.csv", "\uFEFF itemId,Unit Cost\u00a0\n\uFEFFmug\u00a0,\u200b12.49 \n", ""},
		{"headless.csv", "mug|12.49\n", "--columns itemId,unitCost --delimiter |"},
		{"PADDED.CSV.GZ", padded.String() + strings.Repeat("\x00", 512), ""},
		{"ITEMS.NDJSON", "\uFEFF{\"itemId\":\"mug\",\"unitCost\":12.489999999999998}\n", ""},
		{"Items.xlsx", workbook(t, []any{"itemId", "unitCost", ""}, []any{"mug", 12.489999999999998}), ""},
	} {
		storetest.Exec(t, h.database, `DELETE FROM item`)
		args := append([]string{"item", "import", h.file(c.name, c.content)}, strings.Fields(c.flags)...)
		if rows, written := h.imported(args...); rows != 1 || written != (masterdata.Written{New: 1}) {
			t.Errorf("%s: %d rows, %+v", c.name, rows, written)
		}
		if got := storetest.Value[string](t, h.database, `SELECT string_agg(item_id || ' ' || unit_cost, ', ') FROM item`); got != "mug 12.490000" && got != "mug 12.49" {
			t.Errorf("%s: got %s", c.name, got)
		}
	}
	// A count is read the same way.
	r := h.ok("stock", "import", h.file("count.csv", "item_id;location_id;quantity\r\nCNT\u00a0;SHOP;1.000,5\r\n"), "--decimal", ",", "--thousands", ".")
	if got := storetest.Value[string](t, h.database, `SELECT body::jsonb -> 'payload' ->> 'itemId' || ' ' || (body::jsonb -> 'payload' ->> 'quantity') FROM event_log`); got != "CNT 1000.5" {
		t.Errorf("the count is %s, and said is %s", got, r.out)
	}
}

// An import of old rows where rules order says so before it begins; --history orders nothing and says nothing.
func TestOldRowsAreNamed(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	mapping := h.file("map.yaml", oddMapping)
	old := h.file("old.csv", "Receipt,Sku,Qty,Amount,SoldAt\nR-1,A,2,1.5,2020-02-09 12:00\n")
	if r := h.ok("import", old, "--map", mapping); strings.Contains(r.errors, "--history") {
		t.Errorf("without a rule: %s", r.errors)
	}
	h.orderingRule()
	if r := h.ok("import", old, "--map", mapping); !strings.Contains(r.errors, "line 2 of "+old+" is of 2020-02-09, and rules order for SHOP") {
		t.Errorf("with a rule it said %s", r.errors)
	}
	for _, flag := range []string{"--history", "--history=false"} {
		if r := h.ok("import", old, "--map", mapping, flag); r.errors != "" {
			t.Errorf("%s: it said %s", flag, r.errors)
		}
	}
	fresh := h.file("new.csv", "Receipt,Sku,Qty,Amount,SoldAt\nR-2,A,2,1.5,"+time.Now().UTC().Format("2006-01-02 15:04")+"\n")
	if r := h.ok("import", fresh, "--map", mapping); r.errors != "" {
		t.Errorf("of today: it said %s", r.errors)
	}
	if r := h.ok("import", fresh, "--map", mapping, "--dry-run", "--history"); !strings.Contains(r.out, `"history":true`) {
		t.Errorf("the dry run has %s", r.out)
	}
}

// orderingRule makes a rule that orders item A for SHOP.
func (h *environment) orderingRule() {
	h.Helper()
	storetest.Exec(h, h.database, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ('default', 'smith', 4)`)
	storetest.Exec(h, h.database, `INSERT INTO item (tenant_id, item_id) VALUES ('default', 'A')`)
	storetest.Exec(h, h.database, `INSERT INTO location (tenant_id, location_id, kind) VALUES ('default', 'SHOP', 'stock')`)
	storetest.Exec(h, h.database, `INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point) VALUES ('default', 'A', 'SHOP', 'smith', 10)`)
}

const oddMapping = "\uFEFFtenant: default\nsource: till-1\ntimestamp: ${SoldAt}\ninput: {times: [\"2006-01-02 15:04\"]}\nrules:\n  - event: SALE_COMPLETED\n" +
	"    aggregateId: ${Receipt}\n    payload: {saleId: \"${Receipt}\", itemId: \"${Sku}\", locationId: SHOP, quantity: \"${Qty}\", amount: \"${Amount}\"}\n"

// A byte order mark harms neither a mapping, nor the configuration, nor a file that holds a secret or a payload; and an
// import whose rows were all rejected does not end like one that worked.
func TestMarksAndRejections(t *testing.T) {
	t.Parallel()
	h := newDatabaseOnly(t)
	file := h.file("sales.csv", "Receipt,Sku,Qty,Amount,SoldAt\nR-1,A,6-,1.5,2026-02-09 12:00\nR-2,A,(2),1.5,2026-02-09 12:00\n")
	r := h.run("import", file, "--map", h.file("map.yaml", oddMapping))
	if r.code != 1 || !strings.Contains(r.out, "rejected") || !strings.Contains(r.errors, "all 2 rows were rejected, 2 of them by bad_number; see ") {
		t.Errorf("exit %d, %s%s", r.code, r.out, r.errors)
	}
	if text, err := os.ReadFile(file + ".rejects.csv"); err != nil || !strings.Contains(string(text), `a number by the mapping's input {negatives: ""6-""}`) {
		t.Errorf("the rejects file: %s, %v", text, err)
	}
	h.ok("import", h.file("one.csv", "Receipt,Sku,Qty,Amount,SoldAt\nR-1,A,6-,1.5,2026-02-09 12:00\nR-2,A,2,1.5,2026-02-09 12:00\n"), "--map", "map.yaml")
	h.ok("import", h.file("none.csv", "Receipt,Sku,Qty,Amount,SoldAt\n"), "--map", "map.yaml")
	before := storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log`)
	r = h.ok("import", file, "--map", "map.yaml", "--explain")
	for _, want := range []string{"read as", `delimiter ","`, "identity", "Amount, Qty, Receipt, Sku, SoldAt", "2 of the first 2 rows", `input: {negatives: "6-"}`, "nothing was imported"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("explained is no %q: %s", want, r.out)
		}
	}
	if r := h.ok("import", file, "--map", "map.yaml", "--explain", "-o", "json"); !strings.Contains(r.out, `"identity": [`) {
		t.Errorf("explained as JSON: %s", r.out)
	}
	if n := storetest.Value[int](t, h.database, `SELECT count(*) FROM event_log`); n != before {
		t.Errorf("explaining has changed the log from %d to %d events", before, n)
	}
	if r := h.run("import", file, "--map", "map.yaml", "--dry-run"); r.code != 1 || !strings.Contains(r.errors, "all 2 rows were rejected") {
		t.Errorf("a dry run: exit %d, %s", r.code, r.errors)
	}
	event := storetest.Value[string](t, h.database, `SELECT body FROM event_log`)
	h.ok("import", h.file("EVENTS.NDJSON", "\uFEFF"+event+"\n"))

	h.ok("publish", "STOCK_COUNTED", "-d", "@"+h.file("count.json", "\uFEFF"+`{"countId":"C1","itemId":"A","locationId":"SHOP","quantity":5}`))
	h.file("composerp.yaml", "\uFEFFdatabase_url: "+h.database+"\n")
	bare := &environment{T: t, dir: h.dir, database: h.database, env: cleanEnv()}
	if r := bare.ok("item", "list", "-o", "json"); strings.TrimSpace(r.out) == "" {
		t.Errorf("by the configuration: %s", r.out)
	}
	if err := os.Remove(filepath.Join(h.dir, "composerp.yaml")); err != nil {
		t.Fatal(err)
	}
	bare.env = append(cleanEnv(), "COMPOSERP_DATABASE_URL_FILE="+h.file("url", "\uFEFF"+h.database+"\n"))
	bare.ok("item", "list")
}
