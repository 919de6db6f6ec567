package importer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/workers/runtime/importer"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// readTable reads a file of this content and gives its rows as "line name=value ...".
func readTable(t *testing.T, name, content string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if strings.HasSuffix(name, ".gz") {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		content = packed.String()
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := importer.OpenTable(path, rowfile.Format{})
	if err != nil {
		return "", errors.New(strings.ReplaceAll(err.Error(), path, name))
	}
	defer table.Close()
	var rows []string
	for reading := range 2 {
		rows = rows[:0]
		err = table.Read(t.Context(), nil, func(r importer.TableRow) error {
			row := fmt.Sprint(r.Line)
			for i := range r.Names {
				row += " " + r.Names[i] + "=" + r.Values[i]
			}
			rows = append(rows, row)
			return nil
		})
		if err == nil && table.Done() != table.Size() {
			t.Errorf("reading %d: %d of %d bytes were read", reading, table.Done(), table.Size())
		}
	}
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), path, name))
	}
	return strings.Join(rows, "; "), err
}

func TestTables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, content, rows, problem string }{
		{"a.csv", "\uFEFFitemId,name\r\nA,\"a \"\"cup\"\",\nof tin\"\r\n\r\nB,\r\n", "2 itemId=A name=a \"cup\",\nof tin; 5 itemId=B name=", ""},
		{"a.csv.gz", "itemId\nA\n", "2 itemId=A", ""},
		{"a.ndjson", "{\"itemId\":\"A\",\"pack\":6.50,\"unitCost\":null}\n\n{\"name\":\"x\"}\n", "1 itemId=A pack=6.50 unitCost=; 3 name=x", ""},
		{"a.csv", "itemId,name\nA\n", "", "a.csv line 2: want 2 fields as in the header, got 1"},
		{"a.csv", "itemId,name\nA,b\nB,\"c\n", "2 itemId=A name=b", "a.csv line 3: a quoted field begins on this line and is not closed within 1048576 bytes"},
		{"a.csv", "itemId\n\xff\n", "", "a.csv line 2: byte 0xff at position 1 of the row is not UTF-8"},
		{"a.csv", "", "", "reading a.csv after row 0: the file is empty; want a header line with the columns' names"},
		{"a.ndjson", "[1]\n", "", "a.ndjson line 1: want a JSON object on the line"},
		{"a.ndjson", "{\"a\":1,\"a\":2}\n", "", `a.ndjson line 1: the key "a" stands there twice`},
		{"a.xls", "", "", "reading a.xls: want a file whose name ends in .csv, .tsv, .txt or .ndjson, each also with .gz, or .xlsx"},
		{"a.xlsx", "", "", "reading a.xlsx: the file is no whole .xlsx workbook; an .xls of old Excel, or one with a password, must be saved as .xlsx or CSV"},
	} {
		rows, err := readTable(t, c.name, c.content)
		if rows != c.rows || c.problem == "" && err != nil || c.problem != "" && (err == nil || err.Error() != c.problem) {
			t.Errorf("%s %q:\n got %q, %v\nwant %q, %s", c.name, c.content, rows, err, c.rows, c.problem)
		}
	}
}

func TestATableThatIsChangedBetweenItsReadings(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.csv")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("itemId\nA\n")
	table, err := importer.OpenTable(path, rowfile.Format{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	nothing := func(importer.TableRow) error { return nil }
	if err := table.Read(t.Context(), nil, nothing); err != nil {
		t.Fatal(err)
	}
	write("itemId\nB\n")
	var changed *importer.ChangedError
	if err := table.Read(t.Context(), nil, nothing); !errors.As(err, &changed) {
		t.Errorf("got error %v, want a ChangedError", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := table.Read(gone, nil, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled reading gives %v", err)
	}
}

func TestKeysThatStandTwice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rows          int
		repeat        map[int]int // row: the earlier row it repeats
		line, earlier int64
	}{
		{rows: 0}, {rows: 5},
		{rows: 5, repeat: map[int]int{3: 2, 5: 1}, line: 3, earlier: 2},
		{rows: 300_000, repeat: map[int]int{299_999: 7, 299_998: 150_000}, line: 299_998, earlier: 150_000},
	} {
		keys := importer.NewKeys()
		for row := 1; row <= c.rows; row++ {
			key := row
			if earlier := c.repeat[row]; earlier > 0 {
				key = earlier
			}
			if err := keys.Add(int64(row), "shop", fmt.Sprint(key)); err != nil {
				t.Fatal(err)
			}
		}
		line, earlier, err := keys.FirstRepeat()
		keys.Close()
		if err != nil || line != c.line || earlier != c.earlier {
			t.Errorf("of %d rows: line %d repeats %d, %v; want %d and %d", c.rows, line, earlier, err, c.line, c.earlier)
		}
	}
}
