package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// Explanation says how a file is read by a mapping, before any of it is imported.
type Explanation struct {
	File    string        `json:"file"`
	Found   rowfile.Found `json:"found"`
	Columns []ColumnUse   `json:"columns"`
	// Identity are the values by which a row is known again, and how they came to be those.
	Identity []string `json:"identity"`
	Because  string   `json:"because"`
	Timezone string   `json:"timezone,omitzero"`
	// Rows are the first of the file.
	Rows []ExplainedRow `json:"rows"`
	// Rejected counts rejected rows among the Looked that were looked at.
	Looked   int64 `json:"looked"`
	Rejected int64 `json:"rejected"`
	// Wants are what the file seems to want of the mapping.
	Wants []string `json:"wants"`
}

// ColumnUse says what the mapping does with a column of the file.
type ColumnUse struct {
	Name string `json:"name"`
	Use  string `json:"use"` // key, read or passed over
}

// ExplainedRow is a row with the event it would become, or why it would become none.
type ExplainedRow struct {
	Line   int64           `json:"line"`
	Event  json.RawMessage `json:"event,omitzero"`
	Reject string          `json:"reject,omitzero"`
}

const (
	explainedRows = 1000 // are looked at for what the file wants
	mostWants     = 5
)

var errEnough = errors.New("enough rows")

// Explain reads a file's first rows and gives the first show of them as events, with the ids that an import would give
// them. Nothing is imported.
func Explain(ctx context.Context, file string, m *Mapping, show int) (Explanation, error) {
	e := Explanation{File: file, Columns: []ColumnUse{}, Identity: []string{"eventId"}, Because: "each line is an event with an id of its own", Rows: []ExplainedRow{}, Wants: []string{}}
	src, err := rowfile.Open(file)
	if err != nil {
		return e, err
	}
	defer src.Close()
	if m != nil {
		e.Identity, e.Because = m.identity()
		e.Timezone = m.Zone().String()
	}
	err = readFile(ctx, src, m, func(r Row) error {
		e.row(r, show)
		if e.Looked == explainedRows {
			return errEnough
		}
		return nil
	})
	if e.Found = src.Found(); m != nil {
		e.Columns = m.uses(e.Found.Header)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return e, err
}

func (e *Explanation) row(r Row, show int) {
	e.Looked++
	shown := ExplainedRow{Line: r.Line}
	if r.Reject == nil {
		shown.Event = slices.Clone(r.Event.Body)
	} else {
		e.Rejected++
		shown.Reject = r.Reject.Error()
		if _, want, found := strings.Cut(r.Reject.Detail, wanted); found {
			want = fmt.Sprintf("%s: line %d", want, r.Line)
			option, _, _ := strings.Cut(want, ": line ")
			if len(e.Wants) < mostWants && !slices.ContainsFunc(e.Wants, func(w string) bool { return strings.HasPrefix(w, option+": line ") }) {
				e.Wants = append(e.Wants, want)
			}
		}
	}
	if len(e.Rows) < show {
		e.Rows = append(e.Rows, shown)
	}
}

// identity gives the names of the key, and says why they are it.
func (m *Mapping) identity() ([]string, string) {
	const occurrences = "; the how-many-eth row with these values is told apart, too"
	switch {
	case m.key.whole:
		return []string{"every column"}, "the mapping's identity is all" + occurrences
	case m.key.named:
		return m.key.names(), "the mapping's identity names them; two rows with these values are one event"
	}
	return m.key.names(), "the default: the columns that events are made of, but for what only describes" + occurrences
}

// uses says of each column of a file what it is for.
func (m *Mapping) uses(header []string) []ColumnUse {
	uses := []ColumnUse{}
	is := func(names []string, column string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return rowfile.Column([]string{column}, name) == 0 })
	}
	key := map[int]bool{}
	for _, p := range m.key.parts {
		m.names.columnSlots(p.slot, key)
	}
	var keys []string
	for slot := range key {
		keys = append(keys, m.names.columns[m.names.source[slot]])
	}
	for _, column := range header {
		use := "passed over"
		switch {
		case m.key.whole || is(keys, column):
			use = "key"
		case is(m.names.columns, column):
			use = "read"
		}
		uses = append(uses, ColumnUse{column, use})
	}
	return uses
}
