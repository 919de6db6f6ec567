package rowfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestNDJSONColumns(t *testing.T) {
	t.Parallel()
	long := `{"a":"` + strings.Repeat("x", maxRow) + `"}`
	in := strings.Join([]string{
		`{"a":"x","b":1.50,"c":null,"d":true,"e":[1, 2],"f":{"g": "h"}}`,
		``,
		`  {"a":"tab\there"}  ` + "\r",
		`{"a":1,"a":2}`,
		`{"a":1} {"a":2}`,
		`[1]`,
		`{"a":`,
		`{"a":"` + "\xff" + `"}`,
		long,
		`{"z":"last"}`,
	}, "\n")
	want := []string{
		`1 ["a" "b" "c" "d" "e" "f"] ["x" "1.50" "" "true" "[1,2]" "{\"g\":\"h\"}"]`,
		`3 ["a"] ["tab\there"]`,
		`4 !malformed_row the key "a" stands there twice`,
		`5 !malformed_row something stands behind the JSON object`,
		`6 !malformed_row want a JSON object on the line`,
		`7 !malformed_row the line ends inside of the JSON object`,
		`8 !not_utf8 byte 0xff at position 7 of the row is not UTF-8`,
		`9 !row_too_long the row has more than 1048576 bytes`,
		`10 ["z"] ["last"]`,
	}
	var got []string
	rows := newJSONRecords(iotest.OneByteReader(strings.NewReader(in)), true)
	for {
		r, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Problem != nil {
			got = append(got, fmt.Sprintf("%d !%s %s", r.Line, r.Problem.Reason, r.Problem.Detail))
			continue
		}
		got = append(got, fmt.Sprintf("%d %q %q", r.Line, r.Names, r.Values))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
