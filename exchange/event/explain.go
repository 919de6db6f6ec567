package event

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	keyword "github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// explain turns the schema library's error about the value at index i into a FieldError. Of several problems it reports
// the one that comes first in the event, so that the same event always has the same error.
func (d *document) explain(i int32, err error) *FieldError {
	var verr *jsonschema.ValidationError
	if !errors.As(err, &verr) {
		return &FieldError{Field: d.path(i), Problem: err.Error()}
	}
	type finding struct {
		at  int32
		err *FieldError
	}
	var findings []finding
	for _, leaf := range leaves(verr) {
		at := d.locate(i, leaf.InstanceLocation)
		findings = append(findings, finding{at, d.translate(at, leaf)})
	}
	first := slices.MinFunc(findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.err.Error(), b.err.Error()))
	})
	return first.err
}

// leaves returns the errors that do not merely summarize others.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

// locate returns the index of the value at the library's location, member names and array indexes, below index i.
func (d *document) locate(i int32, location []string) int32 {
	for _, step := range location {
		inner := int32(-1)
		if d.nodes[i].kind == kindArray {
			inner = i + 1
			for n, _ := strconv.Atoi(step); n > 0; n-- {
				inner = d.nodes[inner].next
			}
		} else if d.nodes[i].kind == kindObject {
			inner = d.member(i, i+1, step)
		}
		if inner < 0 {
			return i
		}
		i = inner
	}
	return i
}

// articles are the first halves of errors about a value of a wrong JSON type.
var articles = map[string]string{
	"string": wantString, "number": wantNumber, "array": wantArray, "object": wantObject,
	"integer": wantWhole, "boolean": "want true or false", "null": "want null",
}

// translate returns the library's error e about the value at index i in this package's words.
func (d *document) translate(i int32, e *jsonschema.ValidationError) *FieldError {
	field, got := d.path(i), ", got "+d.describe(i)
	problem := ""
	switch k := e.ErrorKind.(type) {
	case *keyword.Required:
		field, problem = joinPath(field, k.Missing[0]), "missing"
	case *keyword.Type:
		problem = articles[k.Want[0]] + got
	case *keyword.Format:
		problem = k.Err.Error()
		if !strings.Contains(problem, ", got ") {
			problem += got
		}
	case *keyword.Enum:
		var choice []string
		for _, v := range k.Want {
			choice = append(choice, fmt.Sprint(v))
		}
		problem = "want one of " + strings.Join(choice, ", ") + got
	case *keyword.Not:
		problem = "want a number other than zero" + got
	case *keyword.Minimum:
		problem = "want at least " + k.Want.RatString() + got
	case *keyword.ExclusiveMinimum:
		problem = "want more than " + k.Want.RatString() + got
	case *keyword.MinLength:
		problem = fmt.Sprintf("want at least %d characters%s", k.Want, got)
	case *keyword.MaxLength:
		problem = fmt.Sprintf("want at most %d characters, got %d", k.Want, k.Got)
	case *keyword.MinItems:
		problem = fmt.Sprintf("want at least %d items, got %d", k.Want, k.Got)
	default:
		problem = e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	}
	return &FieldError{Field: field, Problem: problem}
}
