package cli

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/demo"
	"github.com/composerp/composerp/deploy/bench"
	"github.com/composerp/composerp/deploy/chaos"
	"github.com/composerp/composerp/deploy/golden"
)

// What takes minutes to make is held against its shape alone: every key that a
// reader of -o json may rely on, with a value of its kind.
func TestGoldenShapes(t *testing.T) {
	t.Parallel()
	const folder = "testdata/shape"
	known := map[string]bool{}
	for name, shown := range map[string]any{"bench.json": &bench.Report{}, "chaos.json": &chaos.Report{}, "demo.json": &demo.Summary{}} {
		known[name] = true
		fillIn(reflect.ValueOf(shown).Elem())
		raw, err := json.MarshalIndent(shown, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, filepath.Join(folder, name), string(raw)+"\n")
	}
	golden.NoOthers(t, folder, known)
}

// fillIn puts something into every exported field, so that none is left out of the JSON.
func fillIn(v reflect.Value) {
	switch v.Kind() {
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillIn(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillIn(key)
		fillIn(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if _, isText := v.Interface().(json.Marshaler); isText || strings.HasPrefix(v.Type().String(), "event.") {
			return // it writes itself
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fillIn(v.Field(i))
			}
		}
	}
}
