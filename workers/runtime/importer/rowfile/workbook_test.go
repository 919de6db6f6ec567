package rowfile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// writeBook makes a workbook of one sheet and gives its path.
func writeBook(t *testing.T, change func(f *excelize.File), rows ...[]any) string {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	for i, row := range rows {
		if err := f.SetSheetRow("Sheet1", fmt.Sprintf("A%d", i+1), &row); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(f)
	}
	path := filepath.Join(t.TempDir(), "Sales.XLSX")
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readBook gives a sheet's rows as "line values".
func readBook(t *testing.T, path string, f Format) ([]string, error) {
	t.Helper()
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var got []string
	for range 2 { // every reading is the same
		got = nil
		rows, err := file.Rows(f, true, nil)
		if err != nil {
			return nil, err
		}
		for {
			r, err := rows.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return got, err
			}
			if r.Problem != nil {
				got = append(got, fmt.Sprintf("%d !%s", r.Line, r.Problem.Reason))
				continue
			}
			got = append(got, fmt.Sprintf("%d %q", r.Line, r.Values))
		}
		if _, err := file.Finish(); err != nil || file.Done() != file.Size() {
			t.Errorf("%v; %d of %d bytes were read", err, file.Done(), file.Size())
		}
	}
	return got, nil
}

func TestWorkbook(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 9, 12, 30, 0, 0, time.UTC)
	path := writeBook(t, func(f *excelize.File) {
		if _, err := f.NewSheet("Other"); err != nil {
			t.Fatal(err)
		}
		if err := f.SetSheetRow("Other", "A1", &[]any{"x"}); err != nil {
			t.Fatal(err)
		}
		if err := f.SetSheetRow("Other", "A3", &[]any{"y"}); err != nil {
			t.Fatal(err)
		}
	}, []any{"Code", "Pieces", "At", "", "Price"}, []any{"00123", 2, at, "", 4.8999999999999995}, nil, []any{"1E5", -1.5}, []any{"a\nb, \"c\"", 1, "", "", 1, "", "note"})
	got, err := readBook(t, path, Format{})
	want := []string{`2 ["00123" "2" "46062.520833333336" "" "4.8999999999999995"]`, `4 ["1E5" "-1.5" "" "" ""]`, `5 !wrong_field_count`}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if got, err = readBook(t, path, Format{Sheet: "Other"}); err != nil || fmt.Sprint(got) != `[3 ["y"]]` {
		t.Errorf("the other sheet: %s, %v", got, err)
	}
	if _, err = readBook(t, path, Format{Sheet: "Third"}); err == nil || !strings.Contains(err.Error(), `the workbook has no sheet "Third"; it has ["Sheet1" "Other"]`) {
		t.Errorf("a sheet that is not there: %v", err)
	}
	if _, err = readBook(t, writeBook(t, nil), Format{}); err == nil || !strings.Contains(err.Error(), `the sheet "Sheet1" is empty`) {
		t.Errorf("an empty sheet: %v", err)
	}
}

func TestSerialTimes(t *testing.T) {
	t.Parallel()
	for _, since1904 := range []bool{false, true} {
		path := writeBook(t, func(f *excelize.File) {
			if err := f.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &since1904}); err != nil {
				t.Fatal(err)
			}
		}, []any{"At"})
		file, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, ok := file.Serial("46062"); ok {
			t.Error("a file that is not being read has times")
		}
		if _, err := file.Rows(Format{}, true, nil); err != nil {
			t.Fatal(err)
		}
		for in, want := range map[string]string{
			"46062.520833333336": "2026-02-09T12:30:00Z", "46062": "2026-02-09T00:00:00Z", "46062.999988426": "2026-02-09T23:59:59Z",
			"61": "1900-03-01T00:00:00Z", "60": "", "0.5": "", "-1": "", "2958466": "", "NaN": "", "x": "", "": "", "2026-02-09": "",
		} {
			got := ""
			if at, ok := file.Serial(in); ok {
				got = at.Format(time.RFC3339)
			}
			if since1904 && want != "" {
				from, _ := time.Parse(time.RFC3339, want)
				want = from.AddDate(4, 0, 1).Format(time.RFC3339)
			}
			if got != want {
				t.Errorf("%s, since 1904 %v: got %s, want %s", in, since1904, got, want)
			}
		}
	}
}

// repack changes the parts of a workbook.
func repack(t *testing.T, path string, change func(name string, text []byte) []byte, more map[string]int64) string {
	t.Helper()
	in, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out := filepath.Join(t.TempDir(), "bomb.xlsx")
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := zip.NewWriter(file)
	for _, part := range in.File {
		from, err := part.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := w.Create(part.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(change(part.Name, text)); err != nil {
			t.Fatal(err)
		}
	}
	for name, size := range more {
		to, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(to, zeros{}, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestWorkbookBombs opens workbooks that are small packed and huge unpacked: they are refused before they are unpacked,
// or their rows are read in memory that does not grow with them.
func TestWorkbookBombs(t *testing.T) {
	path := writeBook(t, nil, []any{"Code", "Pieces"}, []any{"A", 1})
	as := func(_ string, text []byte) []byte { return text }
	for name, more := range map[string]map[string]int64{
		"texts":      {"xl/sharedStrings.xml": maxTexts + 1},
		"other part": {"xl/media/image1.png": maxOther + 1},
		"many parts": {"xl/a.bin": maxOther / 2, "xl/b.bin": maxOther / 2, "xl/c.bin": 1 << 20},
	} {
		without := func(part string, text []byte) []byte { return text }
		if _, err := readBook(t, repack(t, path, without, more), Format{}); err == nil || !strings.Contains(err.Error(), "save the sheet as CSV") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Many rows in one sheet, 10 MiB unpacked: more than is held in memory.
	row := `<row r="%d"><c r="A%d" t="inlineStr"><is><t>A</t></is></c><c r="B%d"><v>1</v></c></row>`
	const rows = 100_000
	big := repack(t, path, func(name string, text []byte) []byte {
		if !strings.HasPrefix(name, sheetsFolder) {
			return as(name, text)
		}
		var b bytes.Buffer
		before, after, _ := strings.Cut(string(text), "</sheetData>")
		b.WriteString(before)
		for i := range rows {
			fmt.Fprintf(&b, row, i+3, i+3, i+3)
		}
		b.WriteString("</sheetData>" + after)
		return b.Bytes()
	}, nil)
	file, err := Open(big)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, err := file.Rows(Format{}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var early int64
	n := 0
	for ; ; n++ {
		if _, err := in.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if n == rows/10 {
			early = heap()
		}
	}
	if late := heap(); n != rows+1 || late > early+2<<20 {
		t.Errorf("%d rows; the heap grew from %d to %d bytes", n, early, late)
	}
}

// TestDamagedWorkbooks opens files that are no whole workbook.
func TestDamagedWorkbooks(t *testing.T) {
	t.Parallel()
	path := writeBook(t, nil, []any{"Code"}, []any{"A"})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	middle := bytes.Clone(whole)
	for i := 60; i < 90; i++ {
		middle[i] ^= 0x55
	}
	for name, content := range map[string][]byte{
		"cut": whole[:len(whole)-30], "empty": nil, "old Excel": []byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1" + strings.Repeat("x", 600)), "damaged": middle,
	} {
		file := filepath.Join(t.TempDir(), "bad.xlsx")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readBook(t, file, Format{}); err == nil || !strings.Contains(err.Error(), "bad.xlsx: the ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A sheet whose XML ends early has rows that no error tells of.
	cut := repack(t, path, func(name string, text []byte) []byte {
		if strings.HasPrefix(name, sheetsFolder) {
			return text[:bytes.Index(text, []byte("</sheetData>"))-12]
		}
		return text
	}, nil)
	if got, err := readBook(t, cut, Format{}); err == nil || !strings.Contains(err.Error(), "reading its part xl/worksheets/sheet1.xml: XML syntax error") {
		t.Errorf("a sheet that is cut off gives %q, %v", got, err)
	}
}
