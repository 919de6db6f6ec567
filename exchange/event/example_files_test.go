package event

import (
	"os"
	"testing"
)

// readExample gives a type's example as it stands in its file.
func readExample(tb testing.TB, typ Type) []byte {
	tb.Helper()
	body, err := os.ReadFile("testdata/" + string(typ) + ".json")
	if err != nil {
		tb.Fatal(err)
	}
	return body
}
