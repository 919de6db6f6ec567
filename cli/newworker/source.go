package newworker

import (
	"bytes"
	"fmt"
	"go/format"
	"reflect"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/composerp/composerp/exchange/event"
)

// consumer is one event type of the worker as the templates need it.
type consumer struct {
	Type    event.Type
	Payload string // event.SaleCompleted
	Handler string // saleCompleted
	Example string // a literal of the payload that keeps its schema
}

type workerData struct {
	Name      string
	Consumers []consumer
}

// Types names the event types in a sentence.
func (w workerData) Types() string {
	var names []string
	for _, c := range w.Consumers {
		names = append(names, string(c.Type))
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

var packageText = template.Must(template.New("package").Parse(`// Package {{.Name}} is a worker that consumes {{.Types}}.
package {{.Name}}

import (
	"context"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the worker {{.Name}}. It consumes {{.Types}}.
func New() worker.Worker {
	return worker.New("{{.Name}}"{{range .Consumers}}, worker.On({{.Handler}}){{end}})
}
{{range .Consumers}}
// {{.Handler}} accepts every {{.Type}} and does nothing yet. Events that a handler emits with tx.Emit, and rows
// that it writes with functions of store/, commit in one transaction with the inbox row.
func {{.Handler}}(_ context.Context, _ *worker.Tx, _ event.Of[{{.Payload}}]) error {
	return nil
}
{{end}}`))

var testText = template.Must(template.New("test").Parse(`package {{.Name}}_test

import (
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/{{.Name}}"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// The worker handles an event of each type that it consumes, and emits nothing. The second copy is a duplicate.
func TestEachEventIsHandled(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	for _, payload := range []event.Payload{
{{- range .Consumers}}
		{{.Example}},
{{- end}}
	} {
		e := workertest.Event(t, payload)
		emitted, err := workertest.Handle(t, db, {{.Name}}.New(), e, e)
		if err != nil || len(emitted) != 0 {
			t.Errorf("handling %s: emitted %v, error %v", e.Type, emitted, err)
		}
	}
}
`))

// source is a template's Go file, formatted.
func source(t *template.Template, name string, definitions []event.Definition) ([]byte, error) {
	data := workerData{Name: name}
	for _, d := range definitions {
		c := consumer{Type: d.Type, Payload: d.Payload.String(), Handler: lowerFirst(d.Payload.Name())}
		var err error
		if c.Example, err = literal("", d.Payload); err != nil {
			return nil, fmt.Errorf("making an example of %s: %w", d.Type, err)
		}
		data.Consumers = append(data.Consumers, c)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("writing the worker %s: %w", name, err)
	}
	formatted, err := format.Source(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("formatting the worker %s: %w", name, err)
	}
	return formatted, nil
}

// literal is a Go expression for a value of the type that keeps every rule of Register's event tags: numbers are
// 1, lists have one item. Optional fields are left out.
func literal(field string, t reflect.Type) (string, error) {
	enum, isEnum := reflect.Zero(t).Interface().(event.Enum)
	switch {
	case t == reflect.TypeFor[event.Decimal]():
		return "event.NewDecimal(1)", nil
	case t == reflect.TypeFor[time.Time]():
		return "workertest.Day", nil
	case t == reflect.TypeFor[event.Date]():
		return `"2024-03-01"`, nil
	case isEnum && len(enum.Values()) > 0:
		return fmt.Sprintf("%q", enum.Values()[0]), nil
	case t.Kind() == reflect.String:
		return fmt.Sprintf("%q", strings.ToLower(strings.TrimSuffix(field, "ID"))+"-1"), nil
	case t.Kind() == reflect.Int64:
		return "1", nil
	case t.Kind() == reflect.Bool:
		return "true", nil
	case t.Kind() == reflect.Slice:
		item, err := literal(field, t.Elem())
		return fmt.Sprintf("%s{%s}", t, item), err
	case t.Kind() == reflect.Struct:
		return structLiteral(t)
	}
	return "", fmt.Errorf("no example value of the type %s", t)
}

func structLiteral(t reflect.Type) (string, error) {
	var fields []string
	for f := range t.Fields() {
		if _, option, _ := strings.Cut(f.Tag.Get("json"), ","); option != "" {
			continue
		}
		value, err := literal(f.Name, f.Type)
		if err != nil {
			return "", fmt.Errorf("field %s: %w", f.Name, err)
		}
		fields = append(fields, f.Name+": "+value)
	}
	return fmt.Sprintf("%s{%s}", t, strings.Join(fields, ", ")), nil
}

func lowerFirst(name string) string {
	runes := []rune(name)
	runes[0] = unicode.ToLower(runes[0])
	return string(runes)
}
