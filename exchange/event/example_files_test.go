package event

import (
	"os"
	"testing"
)

// readExample returns the bytes of a type's example.
func readExample(tb testing.TB, typ Type) []byte {
	tb.Helper()
	body, err := os.ReadFile("testdata/" + string(typ) + ".json")
	if err != nil {
		tb.Fatal(err)
	}
	return body
}
