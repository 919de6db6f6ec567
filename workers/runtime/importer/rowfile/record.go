package rowfile

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Record is one row as the file has it: columns with names, before any mapping.
type Record struct {
	Line   int64  // the physical line it begins on, from 1; in a workbook the row's number
	Raw    string // the row as it stands in the file, without its line end; of a workbook its cells as CSV
	Names  []string
	Values []string
	// Order lists the columns by name, so that a file with its columns in another order has the same content.
	Order []int
	// Uniform says that all records of the file have these names, as those of CSV have.
	Uniform bool
	// Problem says why this is no row at all; nil when it is one.
	Problem *Rejection
}

// Records gives a file's rows one by one, and io.EOF behind the last. A record is valid until the next call.
type Records interface {
	Next() (*Record, error)
}

// Rejection says why a row became no event: a reason to count by, and a detail by which the row can be corrected.
type Rejection struct {
	Reason string
	Detail string
}

// Error gives reason and detail.
func (r *Rejection) Error() string { return r.Reason + ": " + r.Detail }

// The reasons of rows that cannot be read.
const (
	ReasonMalformed  = "malformed_row"     // not CSV, not a JSON object
	ReasonTooLong    = "row_too_long"      // more than maxRow bytes
	ReasonNotUTF8    = "not_utf8"          // bytes that are no text
	ReasonFieldCount = "wrong_field_count" // fewer fields than the header, or values behind its last
)

// Reject makes a Rejection, its detail as fmt.Sprintf has it.
func Reject(reason, format string, args ...any) *Rejection {
	return &Rejection{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// checkText refuses bytes that are not UTF-8, and says where they are.
func checkText(raw []byte) *Rejection {
	if utf8.Valid(raw) {
		return nil
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && size <= 1 {
			return Reject(ReasonNotUTF8, "byte %#02x at position %d of the row is not UTF-8", raw[i], i+1)
		}
		i += size
	}
}

// Trim takes away what is no part of a value and looks like nothing: blanks and no-break spaces of all kinds, byte
// order marks, joiners and marks of direction, as they come from web pages and joined files.
func Trim(text string) string {
	if text == "" || plain(text[0]) && plain(text[len(text)-1]) {
		return text
	}
	return strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || '\u200B' <= r && r <= '\u200F' || r == '\u2060' || r == '\uFEFF'
	})
}

// plain says that Trim leaves a byte.
func plain(c byte) bool { return ' ' < c && c < utf8.RuneSelf }

// Column gives the index of a column by its name, and -1 when there is none. Blanks around a name in the file are no
// part of it where no column has exactly the name.
func Column(names []string, name string) int {
	if i := slices.Index(names, name); i >= 0 {
		return i
	}
	return slices.IndexFunc(names, func(have string) bool { return Trim(have) == name })
}

// checkHeader refuses a name that two columns have. Columns without a name are as many as there are.
func checkHeader(columns []string) error {
	for i, name := range columns {
		if name != "" && slices.Contains(columns[:i], name) {
			return fmt.Errorf("the header has two columns %q; a column must have a name of its own", name)
		}
	}
	return nil
}

// nameOrder lists the indexes of names by name.
func nameOrder(names []string) []int {
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(names[a], names[b]) })
	return order
}

// fit holds a row's values against the columns' number: empty ones behind the last column are no part of the row.
func (r *Record) fit() {
	want, have := len(r.Names), len(r.Values)
	if r.Problem != nil || want == 0 || have == want {
		return
	}
	if have > want && !slices.ContainsFunc(r.Values[want:], func(v string) bool { return Trim(v) != "" }) {
		r.Values = r.Values[:want]
		return
	}
	r.Problem = Reject(ReasonFieldCount, "want %d fields as in the header, got %d", want, have)
}
