package importer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// writeFile makes a file in a directory of the test's own.
func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustParse(t testing.TB, mapping string) *Mapping {
	t.Helper()
	m, err := parseMapping("test.yaml", []byte(mapping))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// recordOf makes a record as a file has it.
func recordOf(names, values []string) *rowfile.Record {
	r := &rowfile.Record{Names: names, Values: values, Order: make([]int, len(names))}
	for i := range names {
		r.Order[i] = i
	}
	slices.SortStableFunc(r.Order, func(a, b int) int { return strings.Compare(names[a], names[b]) })
	return r
}

func readAll(t testing.TB, file string, m *Mapping) []Row {
	t.Helper()
	var rows []Row
	if err := Read(t.Context(), file, m, func(r Row) error {
		rows = append(rows, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return rows
}

// outcome says what became of a row: its event's type and payload, or the reason for its rejection.
func outcome(r Row) string {
	if r.Reject != nil {
		return "reject " + r.Reject.Reason
	}
	var body struct {
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(r.Event.Body, &body); err != nil {
		return err.Error()
	}
	return string(r.Event.Type) + " " + string(body.Payload)
}
