package importer

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// exportMapping is that of a till whose exports overlap. IDENTITY stands for the line, or for nothing.
const exportMapping = `tenant: demo
source: till
timestamp: ${SoldAt}
IDENTITY
input: {times: ["2006-01-02 15:04"]}
derive:
  Name: {upper: Text}
rules:
  - when: {Status: {equals: void}}
    reject: void
  - event: SALE_COMPLETED
    aggregateId: ${Receipt}
    payload: {saleId: "${Receipt}", itemId: "${Sku}", locationId: SHOP, quantity: "${Qty}", itemName: "${Name}", amount: "${Amount}"}
`

const exportHeader = "Receipt,Line,Sku,Qty,Amount,SoldAt,Text,Status,Balance,PrintedAt\n"

// exports imports files into one log.
type exports struct {
	*testing.T
	url string
	db  *store.DB
}

func newExports(t *testing.T) *exports {
	t.Helper()
	url := storetest.URL(t)
	return &exports{t, url, storetest.Open(t, url, 4)}
}

func exportBy(t testing.TB, identity string) *Mapping {
	t.Helper()
	return mustParse(t, strings.Replace(exportMapping, "IDENTITY\n", identity, 1))
}

// imports gives "admitted/duplicates/rejected by reason", and the rejects file.
func (x *exports) imports(m *Mapping, text string) (counts, rejected string) {
	x.Helper()
	file := writeFile(x, "export.csv", text)
	r, err := Run(x.Context(), Options{DB: x.db, File: file, Mapping: m})
	must(x, err)
	counts = fmt.Sprintf("%d/%d", r.Admitted, r.Duplicates)
	for _, reason := range slices.Sorted(maps.Keys(r.Rejected)) {
		counts += fmt.Sprintf("/%d %s", r.Rejected[reason], reason)
	}
	if r.RejectsFile != "" {
		content, err := os.ReadFile(r.RejectsFile)
		must(x, err)
		rejected = string(content)
	}
	return counts, rejected
}

// sold is how many pieces the log has sold.
func (x *exports) sold() string {
	x.Helper()
	return storetest.Value[string](x, x.url, `SELECT coalesce(sum((body::jsonb -> 'payload' ->> 'quantity')::numeric), 0)::text FROM event_log`)
}

// TestOverlappingExports imports Monday's export and then Tuesday's, which has Monday's rows again: what is no key may
// have changed in them, and only what is new comes in.
func TestOverlappingExports(t *testing.T) {
	t.Parallel()
	const monday = "R1,1,MUG,2,3.10,2026-02-09 12:00,Mug red,open,100,18:00\nR1,1,MUG,2,3.10,2026-02-09 12:00,Mug red,open,97,18:00\nR2,1,CUP,1,1.55,2026-02-09 12:30,Cup,open,95,18:00\n"
	lined := strings.Replace(monday, "97,18:00\nR2,1,", "97,18:00\nR2,2,", 1)
	lined = strings.Replace(lined, "100,18:00\nR1,1,", "100,18:00\nR1,2,", 1)
	const later = "R3,1,MUG,4,6.20,2026-02-10 09:30,Mug red,open,90,19:00\n"
	const first = "R1,1,MUG,2,3.10,2026-02-09 12:00,Mug red,open,100,18:00\n"
	for _, c := range []struct {
		name, identity, monday, tuesday string
		want, again, sold               string
	}{
		{"printed again", "", monday, strings.ReplaceAll(monday, ",18:00", ",19:00") + later, "1/3", "0/4", "9"},
		{"a balance", "", monday, strings.NewReplacer(",100,", ",80,", ",97,", ",81,").Replace(monday) + later, "1/3", "0/4", "9"},
		{"renamed", "", monday, strings.ReplaceAll(monday, "Mug red", "Mug blue") + later, "1/3", "0/4", "9"},
		{"another status", "", monday, strings.ReplaceAll(monday, "open", "closed") + later, "1/3", "0/4", "9"},
		{"blanks and another order", "", monday, later + strings.ReplaceAll(strings.ReplaceAll(monday, "MUG", " MUG\u00a0"), "Mug", "mug"), "1/3", "0/4", "9"},
		{"a row fewer", "", monday, strings.TrimPrefix(monday, first) + later, "1/2", "0/3", "9"},
		{"the same once more", "", monday, first + monday + later, "2/3", "0/5", "11"},
		{"a cancelled row before", "", monday, strings.Replace(first, "open", "void", 1) + monday + later, "1/3/1 void", "0/4/1 void", "9"},
		{"by columns", "identity: [Receipt, Line]\n", lined, strings.ReplaceAll(lined, ",18:00", ",19:00") + later, "1/3", "0/4", "9"},
		{"by columns, renamed", "identity: [Receipt, Line]\n", lined, strings.ReplaceAll(lined, "Mug red", "Mug blue") + later, "1/3", "0/4", "9"},
		{"by columns, a row twice", "identity: [Receipt, Line]\n", lined, lined + later + later, "1/4", "0/5", "9"},
		{"by all", "identity: all\n", monday, monday + later, "1/3", "0/4", "9"},
		{"by all, printed again", "identity: all\n", monday, strings.ReplaceAll(monday, ",18:00", ",19:00") + later, "4/0", "0/4", "14"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, m := newExports(t), exportBy(t, c.identity)
			for i, step := range []struct{ text, want string }{{c.monday, "3/0"}, {c.tuesday, c.want}, {c.tuesday, c.again}} {
				if got, rejected := x.imports(m, exportHeader+step.text); got != step.want {
					t.Errorf("import %d: %s, want %s: %s", i+1, got, step.want, rejected)
				}
			}
			if got := x.sold(); got != c.sold {
				t.Errorf("%s pieces are sold, want %s", got, c.sold)
			}
		})
	}
}

// TestOneKeyWithAnotherContent has a key again whose row says something else: it is a conflict that names the field,
// in one file and in two; never a second event.
func TestOneKeyWithAnotherContent(t *testing.T) {
	t.Parallel()
	const row = "R1,1,MUG,2,3.10,2026-02-09 12:00,Mug,open,100,18:00\n"
	by := exportBy(t, "identity: [Receipt, Line]\n")
	for change, want := range map[string]string{
		"MUG,2,/MUG,3,":                     `payload.quantity: the log has ""2"", the row says ""3""`,
		"MUG,/CUP,":                         `payload.itemId: the log has ""MUG"", the row says ""CUP""`,
		"3.10/3.20":                         `payload.amount: the log has ""3.1"", the row says ""3.2""`,
		"2026-02-09 12:00/2026-02-09 12:01": `payload.timestamp: the log has`,
	} {
		old, changed, _ := strings.Cut(change, "/")
		other := strings.Replace(row, old, changed, 1)
		for way, files := range map[string][]string{"two files": {row, other}, "one file": {row + other}} {
			x := newExports(t)
			var got, rejected string
			for _, text := range files {
				got, rejected = x.imports(by, exportHeader+text)
			}
			if !strings.HasSuffix(got, "/0/1 conflict") || !strings.Contains(rejected, want) || x.sold() != "2" {
				t.Errorf("%s, %s: %s, %s pieces are sold; %s", change, way, got, x.sold(), rejected)
			}
		}
	}
	x := newExports(t)
	if got, rejected := x.imports(by, exportHeader+strings.Replace(row, "R1,1,", " ,,", 1)); got != "0/0/1 no_key" {
		t.Errorf("a row without a key: %s, %s", got, rejected)
	}
}

// TestFilesOfTheVersionBefore imports files whose rows are in the log by the ids of version 0.1: whole, in part, with
// the blanks that it left on codes, and longer by a row.
func TestFilesOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	const text = exportHeader + "R1,1,MUG,2,3.10,2026-02-09 12:00,Mug,open,100,18:00\nR1,1,MUG,2,3.10,2026-02-09 12:00,Mug,open,100,18:00\n" +
		"R2,1,CUP,1,1.55,2026-02-09 12:30,Cup,open,95,18:00\n"
	before := exportBy(t, "identity: all\n")
	for name, identity := range map[string]string{"default": "", "columns": "identity: [Receipt, Line, Sku]\n"} {
		x, m := newExports(t), exportBy(t, identity)
		if got, _ := x.imports(before, text); got != "3/0" {
			t.Fatalf("%s: before: %s", name, got)
		}
		for range 2 {
			if got, rejected := x.imports(m, text); got != "0/3" || x.sold() != "5" {
				t.Errorf("%s: the same file again: %s, %s", name, got, rejected)
			}
		}
		more := text + "R3,1,CUP,1,1.55,2026-02-09 12:31,Cup,open,94,18:00\n"
		if got, rejected := x.imports(m, more); got != "1/3" || x.sold() != "6" {
			t.Errorf("%s: a longer file: %s, %s", name, got, rejected)
		}
	}
	x, m := newExports(t), exportBy(t, "")
	blanks := strings.ReplaceAll(text, "CUP", "CUP ")
	var old []event.Any
	must(t, Read(t.Context(), writeFile(t, "old.csv", blanks), before, func(r Row) error {
		p, _ := r.Event.Payload.(event.SaleCompleted)
		p.ItemID = strings.Replace(p.ItemID, "CUP", "CUP ", 1)
		e, err := event.Encode(r.Event.Envelope, p)
		old = append(old, e)
		return err
	}))
	_, err := eventlog.AdmitOnce(t.Context(), x.db, old[1:], true)
	must(t, err)
	if got, rejected := x.imports(m, blanks); got != "1/2" || x.sold() != "5" {
		t.Errorf("with blanks, in part: %s, %s", got, rejected)
	}
	// A changed mapping is a conflict for these rows, too.
	elsewhere := mustParse(t, strings.Replace(strings.Replace(exportMapping, "IDENTITY\n", "", 1), "SHOP", "WEB", 1))
	if got, rejected := x.imports(elsewhere, blanks); got != "0/0/3 conflict" {
		t.Errorf("another place: %s, %s", got, rejected)
	}
}

// TestAnImportThatTheVersionBeforeBegan goes on from the beginning: that version counted rows otherwise.
func TestAnImportThatTheVersionBeforeBegan(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	before := l.interrupted(t, 5)
	storetest.Exec(t, l.url, `UPDATE import_progress SET tally = tally - 'reading'`)
	after := l.run(t)
	if after.ResumedAt != 0 {
		t.Errorf("it went on at row %d", after.ResumedAt)
	}
	wantTally(t, after, tillEvents-before.Admitted, before.Admitted)
	l.check(t)
}

// TestDefaultKey holds which columns a mapping's events are known by.
func TestDefaultKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m    *Mapping
		want string
	}{
		"default":   {exportBy(t, ""), "Amount Qty Receipt Sku SoldAt"},
		"named":     {exportBy(t, "identity: [Receipt, Line]\n"), "Line Receipt"},
		"all":       {exportBy(t, "identity: all\n"), "every column"},
		"derived":   {mustParse(t, smallMapping), "At Code No Pieces Price"},
		"redefined": {mustParse(t, strings.Replace(smallMapping, "derive:\n", "derive:\n  Code: {upper: Code}\n  Till: {text: \"${Shop}/${Code}\"}\n", 1)), "At Code No Pieces Price"},
	} {
		names, because := c.m.identity()
		if got := strings.Join(names, " "); got != c.want || because == "" {
			t.Errorf("%s: got %s (%s), want %s", name, got, because, c.want)
		}
	}
}
