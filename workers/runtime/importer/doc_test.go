package importer

import (
	"os"
	"strings"
	"testing"

	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// TestDocExample reads the mapping that the package's doc promises.
func TestDocExample(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(doc)) {
		if text, ok := strings.CutPrefix(line, "//\t"); ok {
			example.WriteString(text)
		} else if line == "//\n" && example.Len() > 0 {
			example.WriteString("\n")
		}
	}
	tryExample(t, "doc.go", example.String())
}

// TestReferencePage reads the mapping in the reference, and holds its tables against the keys there are.
func TestReferencePage(t *testing.T) {
	t.Parallel()
	const name = "../../../docs/reference/mapping.md"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, tables, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatalf("%s has no mapping", name)
	}
	tryExample(t, name, example)
	for _, keys := range [][]string{topKeys, inputKeys, deriveKeys, conditionKeys, ruleKeys} {
		for _, key := range keys {
			if !strings.Contains(tables, "`"+key+"`") {
				t.Errorf("%s does not explain the key %s", name, key)
			}
		}
	}
	guide, err := os.ReadFile("../../../docs/howto/import.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{rowfile.ReasonMalformed, rowfile.ReasonTooLong, rowfile.ReasonFieldCount, ReasonBadNumber, ReasonBadTime, ReasonNoRule, ReasonInvalid, ReasonNotOutside, ReasonNoKey, ReasonConflict, eventlog.Untimely.String(), eventlog.ForeignCurrency.String()} {
		if !strings.Contains(string(guide), "`"+reason+"`") {
			t.Errorf("docs/howto/import.md does not explain the reason %s", reason)
		}
	}
}

// tryExample has a row go through each rule of the mapping.
func tryExample(t *testing.T, name, text string) {
	t.Helper()
	m, err := parseMapping(name, []byte(text))
	if err != nil {
		t.Fatalf("the example in %s: %v", name, err)
	}
	file := writeFile(t, "till.csv", strings.Join([]string{
		`R1;1;anna;BAG;Tüte;1;0,10;05.03.2026 10:00;`,
		`R1;1;anna;X;Gutschein;1;5,00;05.03.2026 10:00;`,
		`R1;1;anna; 12345-9 ;Vase lost;2;0;05.03.2026 10:00;;`,
		`WE7;1;;12345-9;Vase;12;0;2026-03-05T10:00:00+05:00;L8`,
		`R2;1;anna;12345-9;Vase;3;2,50 €;05.03.2026 10:00;`,
	}, "\n"))
	rows := readAll(t, file, m)
	got := make([]string, len(rows))
	for i, r := range rows {
		got[i] = outcome(r)
	}
	want := []string{
		"reject not_stocked", "reject unknown_code",
		`STOCK_ADJUSTED {"adjustmentId":"R1/12345-9","itemId":"12345","locationId":"BERLIN-1","quantity":-2,"reason":"Vase lost"}`,
		`RECEIPT_COMPLETED {"receiptId":"WE7","itemId":"12345","locationId":"BERLIN-1","quantity":12,"lotNumber":"L8","timestamp":"2026-03-05T05:00:00Z"}`,
		`SALE_COMPLETED {"saleId":"R2","itemId":"12345","locationId":"BERLIN-1","quantity":3,"amount":7.5,"itemName":"Vase","timestamp":"2026-03-05T09:00:00Z"}`,
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("row %d:\n got %s\nwant %s", i+1, got[i], want[i])
		}
	}
}
