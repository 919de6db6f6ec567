package rowfile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// allRecords reads CSV to its end, one byte at a time, so that every row is once cut in two at every place.
func allRecords(t testing.TB, in string, delimiter byte) []string {
	t.Helper()
	c, err := newCSVRecords(iotest.OneByteReader(strings.NewReader(in)), Format{Delimiter: delimiter}, anyHeader)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		r, err := c.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Problem != nil {
			got = append(got, fmt.Sprintf("%d !%s %q", r.Line, r.Problem.Reason, r.Raw))
			continue
		}
		got = append(got, fmt.Sprintf("%d %q", r.Line, r.Values))
	}
}

func anyHeader([]string) error { return nil }

func TestCSVRows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxRow+10)
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"plain":                     {"a,b\n1,2\n3,4\n", []string{`2 ["1" "2"]`, `3 ["3" "4"]`}},
		"no line feed at the end":   {"a,b\n1,2", []string{`2 ["1" "2"]`}},
		"empty last field":          {"a,b\n1,", []string{`2 ["1" ""]`}},
		"header only":               {"a,b\n", nil},
		"delimiters alone":          {"a,b\n,\n1,2\n,,,\n", []string{`3 ["1" "2"]`}},
		"empty fields behind":       {"a,b\n1,2,\n3,4,, ,\n", []string{`2 ["1" "2"]`, `3 ["3" "4"]`}},
		"columns without a name":    {"a,b,,\n1,2,,\n3,4,5,\n", []string{`2 ["1" "2" "" ""]`, `3 ["3" "4" "5" ""]`}},
		"a column without a name":   {"a,,b\n1,,2\n", []string{`2 ["1" "" "2"]`}},
		"Excel's line":              {"sep=;\r\na;b\r\n1;2\r\n", []string{`3 ["1" "2"]`}},
		"Excel's line, quoted":      {"\"SEP=\t\"\na\tb\n1\t2\n", []string{`3 ["1" "2"]`}},
		"a column named sep=x":      {"sep=x,b\n1,2\n", []string{`2 ["1" "2"]`}},
		"CRLF":                      {"a,b\r\n1,2\r\n", []string{`2 ["1" "2"]`}},
		"a return inside a field":   {"a,b\n1\r1,2\n", []string{`2 ["1\r1" "2"]`}},
		"blank lines":               {"a,b\n\n1,2\n\r\n3,4\n\n", []string{`3 ["1" "2"]`, `5 ["3" "4"]`}},
		"quoted nothing is a row":   {"a\n\"\"\n", []string{`2 [""]`}},
		"delimiter in quotes":       {"a,b\n\"1,5\",2\n", []string{`2 ["1,5" "2"]`}},
		"quote in quotes":           {"a,b\n\"7\"\" single\",2\n", []string{`2 ["7\" single" "2"]`}},
		"quote in a plain field":    {"a,b\n7\" single,2\n", []string{`2 ["7\" single" "2"]`}},
		"line break in quotes":      {"a,b\n\"1\n1\",2\n3,4\n", []string{`2 ["1\n1" "2"]`, `4 ["3" "4"]`}},
		"CRLF in quotes":            {"a,b\r\n\"1\r\n1\",2\r\n3,4\r\n", []string{`2 ["1\n1" "2"]`, `4 ["3" "4"]`}},
		"too few fields":            {"a,b\n1\n3,4\n", []string{`2 !wrong_field_count "1"`, `3 ["3" "4"]`}},
		"too many fields":           {"a,b\n1,2,3\n3,4\n", []string{`2 !wrong_field_count "1,2,3"`, `3 ["3" "4"]`}},
		"not UTF-8":                 {"a,b\ncaf\xe9,2\n3,4\n", []string{"2 !not_utf8 \"caf\\xe9,2\"", `3 ["3" "4"]`}},
		"something behind a quote":  {"a,b\n\"1\"x,2\n3,4\n", []string{`2 !malformed_row "\"1\"x,2"`, `3 ["3" "4"]`}},
		"never closed":              {"a,b\n\"1,2\n3,4\n5,6\n", []string{`2 !malformed_row "\"1,2"`, `3 ["3" "4"]`, `4 ["5" "6"]`}},
		"closed by the next's":      {"a,b\n\"1,2\n\"3\",4\n5,6\n", []string{`2 !malformed_row "\"1,2"`, `3 ["3" "4"]`, `4 ["5" "6"]`}},
		"a line that is too long":   {"a,b\n" + long + ",2\n3,4\n", []string{fmt.Sprintf("2 !row_too_long %q", long[:maxRow]), `3 ["3" "4"]`}},
		"quotes that are too long":  {"a,b\n\"1\n" + long + "\",2\n3,4\n", []string{`2 !malformed_row "\"1"`, fmt.Sprintf("3 !row_too_long %q", long[:maxRow]), `4 ["3" "4"]`}},
		"many lines in open quotes": {"a,b\n\"1,2\n" + strings.Repeat("3,4\n", maxRow/4+1), slices.Concat([]string{`2 !malformed_row "\"1,2"`}, numbered(3, maxRow/4+1, `["3" "4"]`))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := allRecords(t, c.in, ','); !slices.Equal(got, c.want) {
				t.Errorf("got %d rows %.300q\nwant %d rows %.300q", len(got), got, len(c.want), c.want)
			}
		})
	}
}

func numbered(from, n int, row string) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("%d %s", from+i, row)
	}
	return rows
}

func TestCSVHeader(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":           "the file is empty; want a header line",
		"\n\n":       "the file is empty; want a header line",
		"a,b,a\n":    `two columns "a"`,
		"\"a,b\n1,2": "reading the header line: malformed_row",
	} {
		if _, err := newCSVRecords(strings.NewReader(in), Format{Delimiter: ','}, anyHeader); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("header of %q: got %v, want %q", in, err, want)
		}
	}
}

// FuzzCSV holds the reader against encoding/csv where that one finds no fault, and otherwise to its own promise: the
// rows and what lies between them are the whole file, line by line.
func FuzzCSV(f *testing.F) {
	for _, in := range []string{"a,b\n1,2\n", "\"a\"\"\",b\r\n\"1\n2\",\n\n", "a\n\"b\nc\n", "\"\n\"\"\n", "a,b\n\"x\"y,z\n", "\r\n\r\r\n\"\r\"\r"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &csvRecords{in: newWindow(iotest.HalfReader(bytes.NewReader(in))), parser: csvParser{delimiter: ','}}
		var got [][]string
		faults := 0
		line := int64(0)
		for {
			r, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Line <= line {
				t.Fatalf("line %d after line %d", r.Line, line)
			}
			line = r.Line
			if r.Problem != nil {
				faults++
			}
			got = append(got, slices.Clone(r.Values))
		}
		if rest := len(c.in.rest()); rest > 0 || c.in.line != int64(bytes.Count(in, []byte{'\n'}))+1 {
			t.Fatalf("ended on line %d with %d bytes left", c.in.line, rest)
		}
		empty := func(row []string) bool {
			return len(row) > 1 && !slices.ContainsFunc(row, func(v string) bool { return v != "" })
		}
		want := csv.NewReader(bytes.NewReader(in))
		want.FieldsPerRecord = -1
		rows, err := want.ReadAll()
		if err != nil || faults > 0 {
			return
		}
		// Rows of delimiters alone are none here; with quotes around nothing, they are, and encoding/csv cannot tell.
		got, rows = slices.DeleteFunc(got, empty), slices.DeleteFunc(rows, empty)
		// encoding/csv takes a return at the very end of a file for a part of its line end, as is done here; it also
		// takes every CRLF inside of quotes for one line feed.
		if !slices.EqualFunc(got, rows, slices.Equal[[]string]) {
			t.Fatalf("%q:\n got %q\nwant %q", in, got, rows)
		}
	})
}
