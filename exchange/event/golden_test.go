package event_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/event"
)

func goldenFile(typ event.Type) string { return filepath.Join("testdata", string(typ)+".json") }

// exampleOf reads the example of a type as DecodeOutside does.
func exampleOf(t *testing.T, typ event.Type) event.Any {
	t.Helper()
	body, err := os.ReadFile(goldenFile(typ))
	if err != nil {
		t.Fatal(err)
	}
	a, err := event.DecodeOutside(body)
	if err != nil {
		t.Fatalf("reading the example of %s: %v", typ, err)
	}
	return a
}

// TestGolden pins the JSON of every type: the event read from the example is written as the example again.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		t.Run(string(typ), func(t *testing.T) {
			t.Parallel()
			a := exampleOf(t, typ)
			made, err := event.Encode(a.Envelope, a.Payload)
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, made.Body, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			golden.Compare(t, goldenFile(typ), pretty.String())
			again, err := event.Decode(made.Body)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(again, made) {
				t.Errorf("Encode gave\n%+v\nDecode\n%+v", made, again)
			}
		})
	}
}
