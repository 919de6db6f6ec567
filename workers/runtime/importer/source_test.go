package importer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/unicode"

	"github.com/xuri/excelize/v2"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

func packed(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFileFaults reads files that cannot be read as what they are named, and looks for a word that helps.
func TestFileFaults(t *testing.T) {
	t.Parallel()
	m := mustParse(t, smallMapping)
	good := "No,Code,Pieces,Price,At\n" + strings.Repeat("7,A,2,1,2026-01-05 10:00\n", 500)
	zipped := packed(t, good)
	damaged := []byte(zipped)
	damaged[len(damaged)-6] ^= 1 // a bit of the checksum
	for _, c := range []struct{ name, content, want string }{
		{"empty.csv", "", "empty.csv after row 0: the file is empty; want a header line"},
		{"empty.csv.gz", "", "empty.csv.gz: the file is not compressed by gzip"},
		{"plain.csv.gz", good, "plain.csv.gz: the file is not compressed by gzip, though its name ends in .gz"},
		{"packed.csv", zipped, "packed.csv: the file is compressed by gzip; its name must end in .gz"},
		{"cut.csv.gz", zipped[:len(zipped)-20], "cut.csv.gz: the compressed file is cut off after row "},
		{"cut.ndjson.gz", zipped[:len(zipped)-20], "cut.ndjson.gz: the compressed file is cut off after row "},
		{"damaged.csv.gz", string(damaged), "damaged.csv.gz: the compressed file is damaged after row 500"},
		{"colon.csv", strings.ReplaceAll(good, ",", ":"), `speaks of columns that the file has not: "Pieces", "Price", "At", "Code", "No"; it has ["No:Code:Pieces:Price:At"]`},
		{"column.csv", "No,Code,Qty,Price,At\n", `speaks of columns that the file has not: "Pieces"; it has ["No" "Code" "Qty" "Price" "At"]`},
		{"sales.pdf", "", "want a file whose name ends in .csv, .tsv, .txt or .ndjson, each also with .gz, or .xlsx"},
		{"sales.xlsx", good, "sales.xlsx: the file is no whole .xlsx workbook"},
		{"zip.csv", "PK\x03\x04", "zip.csv: the file is a zip archive"},
		{"half.csv", "\xFF\xFEN\x00o", "half.csv after row 0: the text in UTF-16 is damaged"},
		{"behind.csv.gz", zipped + "no gzip at all", "behind.csv.gz: the compressed file is damaged after row 500"},
	} {
		file := writeFile(t, c.name, c.content)
		err := Read(t.Context(), file, m, func(Row) error { return nil })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
	}
	if err := Read(t.Context(), writeFile(t, "no.csv", good), nil, nil); err == nil || !strings.Contains(err.Error(), "needs a mapping") {
		t.Errorf("CSV without a mapping: %v", err)
	}
	if err := Read(t.Context(), filepath.Join(t.TempDir(), "none.csv"), m, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "dir.csv")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Read(t.Context(), dir, m, nil); err == nil || !strings.Contains(err.Error(), "want a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

// TestFileForms reads the same rows from every form of file, and gets the same events: the ids are of the content.
func TestFileForms(t *testing.T) {
	t.Parallel()
	m := mustParse(t, smallMapping)
	named := mustParse(t, strings.Replace(smallMapping, "input:\n", "input:\n  columns: [No, Code, Pieces, Price, At]\n", 1))
	comma := mustParse(t, strings.Replace(smallMapping, "input:\n", "input:\n  delimiter: ','\n", 1))
	utf16 := func(text string, order unicode.Endianness) string {
		recoded, err := unicode.UTF16(order, unicode.ExpectBOM).NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		return recoded
	}
	semicolon := mustParse(t, strings.Replace(smallMapping, "input:\n", "input:\n  delimiter: ;\n", 1))
	const header, row1, row2 = "No,Code,Pieces,Price,At\n", "7,A,2,1,2026-01-05 10:00\n", "8,B,1,1,2026-01-05 10:01\n"
	var want string
	for i, c := range []struct {
		name, content string
		mapping       *Mapping
	}{
		{"plain.csv", header + row1 + row1 + row2, m},
		{"packed.csv.gz", packed(t, header+row1+row1+row2), m},
		{"pieces.csv.gz", packed(t, header+row1) + packed(t, row1+row2), m},
		{"crlf.csv", strings.ReplaceAll(header+row1+row1+row2, "\n", "\r\n"), m},
		{"quoted.csv", header + "\"7\",A,\"2\",1,2026-01-05 10:00\n" + row1 + "\n" + row2, m},
		{"named.csv", row1 + row1 + row2, named},
		{"found.csv", strings.ReplaceAll(header+row1+row1+row2, ",", ";"), m},
		{"TABS.TSV", strings.ReplaceAll(header+row1+row1+row2, ",", "\t"), m},
		{"pipes.txt", strings.ReplaceAll(header+row1+row1+row2, ",", "|"), m},
		{"excel.csv", "sep=;\r\n" + strings.ReplaceAll(header+row1+row1+row2, ",", ";"), comma},
		{"marked.csv", "\uFEFFsep=;\n" + strings.ReplaceAll(header+row1+row1+row2, ",", ";"), m},
		{"UPPER.CSV.GZ", packed(t, header+row1+row1+row2), m},
		{"padded.csv.gz", packed(t, header+row1+row1+row2) + strings.Repeat("\x00", 512), m},
		{"returns.csv", strings.ReplaceAll(header+row1+row1+row2, "\n", "\r"), m},
		{"returns.ndjson", `{"No":7,"Code":"A","Pieces":2,"Price":1,"At":"2026-01-05 10:00"}` + "\r" +
			`{"No":7,"Code":"A","Pieces":2,"Price":1,"At":"2026-01-05 10:00"}` + "\r" + `{"No":8,"Code":"B","Pieces":1,"Price":1,"At":"2026-01-05 10:01"}` + "\r", m},
		{"little.csv", utf16(header+row1+row1+row2, unicode.LittleEndian), m},
		{"big.csv", utf16(header+row1+row1+row2, unicode.BigEndian), m},
		{"bare.csv", utf16(header+row1+row1+row2, unicode.LittleEndian)[2:], m},
		{"bare.txt", utf16(header+row1+row1+row2, unicode.BigEndian)[2:], m},
		{"unicode.TXT", utf16(strings.ReplaceAll(strings.ReplaceAll(header+row1+row1+row2, ",", "\t"), "\n", "\r\n"), unicode.LittleEndian), m},
		{"packed.CSV.gz", packed(t, utf16(strings.ReplaceAll(header+row1+row1+row2, "\n", "\r"), unicode.BigEndian)), m},
		{"columns.csv", "No,Code,Pieces,Price,At,,\n" + strings.ReplaceAll(row1+row1+row2, "\n", ",,\n"), m},
		{"behind.csv", header + strings.ReplaceAll(row1+row1+row2, "\n", ",\n") + ",,,,,\n", m},
		{"blanks.csv", "\uFEFF No ,Code\u00a0,Pieces,Price,At\n 7,A ,2, 1,2026-01-05 10:00\n\u200b7,\uFEFFA,2,1\u00a0,2026-01-05 10:00\n8,B\u202f,1,1,2026-01-05 10:01 \n", m},
		{"semicolon.csv", strings.ReplaceAll(header+row1+row1+row2, ",", ";"), semicolon},
		{"order.csv", "At,Pieces,Empty,Price,No,Code\n2026-01-05 10:00,2,,1,7,A\n2026-01-05 10:00,2,,1,7,A\n2026-01-05 10:01,1,,1,8,B\n", m},
		{"lines.ndjson", `{"No":"7","Code":"A","Pieces":2,"Price":1,"At":"2026-01-05 10:00"}` + "\n" +
			`{"At":"2026-01-05 10:00","Price":1,"Pieces":2,"Code":"A","No":7,"Till":null}` + "\r\n\n" +
			`{"No":8,"Code":"B","Pieces":1,"Price":1,"At":"2026-01-05 10:01"}`, m},
	} {
		var bodies []string
		for _, r := range readAll(t, writeFile(t, c.name, c.content), c.mapping) {
			if r.Reject != nil {
				t.Fatalf("%s: row %d: %v", c.name, r.Number, r.Reject)
			}
			bodies = append(bodies, string(r.Event.Body))
		}
		got := strings.Join(bodies, "\n")
		if i == 0 {
			want = got
		}
		if got != want || len(bodies) != 3 || bodies[0] == bodies[1] {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
	}
}

// TestChangedFile writes to a file between its two readings.
func TestChangedFile(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "till.csv", "No,Code,Pieces,Price,At\n7,A,2,1,2026-01-05 10:00\n")
	m := mustParse(t, smallMapping)
	src, err := rowfile.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	found, err := surveyOf(t.Context(), src, m, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(more, "8,A,2,1,2026-01-05 10:00\n"); err != nil {
		t.Fatal(err)
	}
	more.Close()
	rows, err := newReading(t.Context(), src, m, found, 0)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = rows.next()
	}
	var changed *ChangedError
	if !errors.As(err, &changed) {
		t.Errorf("got %v, want a ChangedError", err)
	}
}

// TestBlanks reads codes with what looks like nothing around them: they are one item.
func TestBlanks(t *testing.T) {
	t.Parallel()
	m := mustParse(t, smallMapping)
	const row = "7,%,2,1,2026-01-05 10:00\n"
	text := " No ,Code\u00a0,\uFEFFPieces,Price,At\n"
	codes := []string{"A", "A ", " A", "A\u00a0", "\uFEFFA", "A\u200b", "\tA\u202f", "\u2003A\u2060", "\u3000A\u200e"}
	for _, code := range codes {
		text += strings.Replace(row, "%", code, 1)
	}
	rows := readAll(t, writeFile(t, "blanks.csv", text), m)
	for i, r := range rows {
		if got := outcome(r); got != outcome(rows[0]) || !strings.Contains(got, `"itemId":"A"`) {
			t.Errorf("%q: %s", codes[i], got)
		}
	}
	if len(rows) != len(codes) {
		t.Errorf("%d rows", len(rows))
	}
}

// TestNumberForms reads numbers as tills and ERPs write them, by the mapping, and says in a rejection how they would
// be read.
func TestNumberForms(t *testing.T) {
	t.Parallel()
	with := func(options string) *Mapping {
		return mustParse(t, strings.Replace(smallMapping, "input:\n", "input:\n"+options, 1))
	}
	plain := with("")
	till := with("  thousands: ','\n  negatives: [6-, (6)]\n  currency: [£, GBP]\n")
	german := with("  delimiter: ;\n  decimal: ','\n  thousands: '.'\n  currency: €\n")
	for _, c := range []struct {
		m         *Mapping
		row, want string
	}{
		{plain, "7,A,1,4.8999999999999995,2026-01-05 10:00", `"quantity":1,"amount":4.9,`},
		{plain, "7,A,1,0.30000000000000004,2026-01-05 10:00", `"quantity":1,"amount":0.3,`},
		{plain, "7,A,\u22121,1.50,2026-01-05 10:00", `"quantity":-1,"amount":-1.5,`},
		{plain, "7,A,6-,1.50,2026-01-05 10:00", `bad_number: Pieces: want a number, got "6-"; a number by the mapping's input {negatives: "6-"}`},
		{plain, "7,A,\"1,000\",1,2026-01-05 10:00", `got "1,000"; a number by the mapping's input {thousands: ","} or {decimal: ","}`},
		{till, "7,A,\"1,000\",1.5,2026-01-05 10:00", `"quantity":1000,"amount":1500,`},
		{till, "7,A,6-,£1.50,2026-01-05 10:00", `"quantity":-6,"amount":-9,`},
		{till, "7,A,(2),GBP 1.50,2026-01-05 10:00", `"quantity":-2,"amount":-3,`},
		{german, "7;A;1.000;1,5 €;2026-01-05 10:00", `"quantity":1000,"amount":1500,`},
		{german, "7;A;1.5;1;2026-01-05 10:00", `bad_number: Pieces: want a number, got "1.5"`},
	} {
		header := "No,Code,Pieces,Price,At\n"
		if c.m == german {
			header = strings.ReplaceAll(header, ",", ";")
		}
		r := readAll(t, writeFile(t, "rows.csv", header+c.row+"\n"), c.m)[0]
		got := outcome(r)
		if r.Reject != nil {
			got = r.Reject.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%q:\n got %s\nwant %s", c.row, got, c.want)
		}
	}
}

// TestWorkbookEvents reads a workbook's rows as events: its numbers and times are those that Excel keeps, and its codes
// are texts.
func TestWorkbookEvents(t *testing.T) {
	t.Parallel()
	book := excelize.NewFile()
	defer book.Close()
	for i, row := range [][]any{
		{"No", "Code", "Pieces", "Price", "At"},
		{"7", "00123", 2, 12.489999999999998, time.Date(2026, 7, 5, 10, 0, 0, 0, time.UTC)}, // 10:00 on a clock in London
		{"8", "1E5", -1, 1.5, "2026-01-05 10:00"},
	} {
		must(t, book.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &row))
	}
	var b bytes.Buffer
	must(t, book.Write(&b))
	rows := readAll(t, writeFile(t, "till.xlsx", b.String()), mustParse(t, smallMapping))
	for i, want := range []string{
		`SALE_COMPLETED {"saleId":"7","itemId":"00123","locationId":"SHOP","quantity":2,"amount":24.98,"timestamp":"2026-07-05T09:00:00Z"}`,
		`SALE_COMPLETED {"saleId":"8","itemId":"1E5","locationId":"SHOP","quantity":-1,"amount":-1.5,"timestamp":"2026-01-05T10:00:00Z"}`,
	} {
		if got := outcome(rows[i]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A file of an old Windows program is read by its mapping's encoding; a byte order mark says more than that.
func TestEncodingOfAMapping(t *testing.T) {
	t.Parallel()
	m := mustParse(t, strings.Replace(strings.Replace(exportMapping, "IDENTITY\n", "", 1), "input: {", "input: {encoding: windows-1252, ", 1))
	row := func(sku string) string { return "R1,1," + sku + ",2,3.10,2026-02-09 12:00,Mug,open,100,18:00\n" }
	for name, text := range map[string]string{"windows": exportHeader + row("CAF\xc9-\x80"), "marked": "\uFEFF" + exportHeader + row("CAFÉ-€")} {
		rows := readAll(t, writeFile(t, name+".csv", text), m)
		if sale, ok := rows[0].Event.Payload.(event.SaleCompleted); !ok || sale.ItemID != "CAFÉ-€" {
			t.Errorf("%s: got %+v", name, rows[0])
		}
	}
	if _, err := parseMapping("m.yaml", []byte(strings.Replace(strings.Replace(exportMapping, "IDENTITY\n", "", 1), "input: {", "input: {encoding: latin-9, ", 1))); err == nil || !strings.Contains(err.Error(), "want windows-1252 or UTF-8") {
		t.Errorf("another encoding: %v", err)
	}
}
