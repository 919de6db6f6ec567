package importer

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"semicolon.csv", strings.ReplaceAll(good, ",", ";"), `speaks of columns that the file has not: "Pieces", "Price", "At", "Code", "No"; it has ["No;Code;Pieces;Price;At"]; the header has one field with ";" in it: is that the delimiter?`},
		{"column.csv", "No,Code,Qty,Price,At\n", `speaks of columns that the file has not: "Pieces"; it has ["No" "Code" "Qty" "Price" "At"]`},
		{"sales.xlsx", "", "want a file whose name ends in .csv, .csv.gz, .ndjson or .ndjson.gz"},
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
	src, err := openSource(file)
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
	found, err := src.survey(t.Context(), m, func(int64) {})
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
