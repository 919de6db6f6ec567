package importer

import (
	"errors"
	"io"
	"testing"

	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// FuzzNDJSON looks for a line that the reader stumbles over.
func FuzzNDJSON(f *testing.F) {
	for _, in := range []string{`{"a":1}`, "{\"a\":[{}]}\n\n{", `{"":null}`, "\xff\n[]", `{"a":1e999999999}`, "\uFEFF{}"} {
		f.Add([]byte(in))
	}
	m := mustParse(f, generatedMapping)
	f.Fuzz(func(t *testing.T, in []byte) {
		file, err := rowfile.Open(writeFile(t, "fuzz.ndjson", string(in)))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		rows, err := file.Rows(rowfile.Format{}, true, nil)
		if err != nil {
			return // it is UTF-16, and damaged
		}
		r, id := newRow(m), identity{}
		for {
			rec, err := rows.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				return
			}
			if rec.Problem != nil {
				continue
			}
			id.of(rec)
			r.take(rec)
			if made, problem := m.event(r, &id, 1); problem == nil && len(made.Body) == 0 {
				t.Fatal("neither an event nor a rejection")
			}
		}
	})
}
