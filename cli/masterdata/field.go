package masterdata

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/composerp/composerp/exchange/event"
)

// Field is one column of master data. It is a column of
// a file, by its JSON name, and a flag of `set`.
type Field[T any] struct {
	name  string
	usage string
	// key: it tells which row is meant.
	key bool
	// number: a file may write it in a form of its own.
	number bool
	// read gives what a text says of a row, or what is wrong with the text.
	read func(text string) (func(row *T), error)
}

// flag is how the field is typed: reorderPoint is --reorder-point, itemId --item.
func (f Field[T]) flag() string {
	var b strings.Builder
	for _, r := range strings.TrimSuffix(f.name, "Id") {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// plainName is a name without what people write differently: reorder_point, Reorder Point and reorderPoint are one.
func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// fieldOf takes what parse reads; an empty text means standard.
func fieldOf[T, V any](name, usage, standard string, parse func(text string) (V, error), at func(*T) *V) Field[T] {
	return Field[T]{name: name, usage: usage, read: func(text string) (func(*T), error) {
		value, err := parse(cmp.Or(text, standard))
		return func(row *T) { *at(row) = value }, err
	}}
}

func (f Field[T]) asNumber() Field[T] {
	f.number = true
	return f
}

// textField takes any text; an empty one means standard.
func textField[T any](name, usage, standard string, at func(*T) *string) Field[T] {
	return fieldOf(name, usage, standard, func(text string) (string, error) { return text, nil }, at)
}

// KeyField takes an id that tells which row is meant.
func KeyField[T any](name, usage string, at func(*T) *string) Field[T] {
	f := textField(name, usage, "", at)
	f.key = true
	return f
}

// numberField takes an exact number; an empty text means standard.
func numberField[T any](name, usage, standard string, at func(*T) *event.Decimal) Field[T] {
	return fieldOf(name, usage, standard, readNumber, at).asNumber()
}

// OptionalField takes an exact number, or an empty text for none.
func OptionalField[T any](name, usage string, at func(*T) **event.Decimal) Field[T] {
	return fieldOf(name, usage, "", func(text string) (*event.Decimal, error) {
		if text == "" {
			return nil, nil
		}
		number, err := readNumber(text)
		return &number, err
	}, at).asNumber()
}

// daysField takes a whole number; an empty text means standard.
func daysField[T any](name, usage, standard string, at func(*T) *int) Field[T] {
	return wholeField(name, "days", usage, standard, at)
}

// wholeField takes a whole number of a unit.
func wholeField[T any](name, unit, usage, standard string, at func(*T) *int) Field[T] {
	return fieldOf(name, usage, standard, func(text string) (int, error) {
		if text == "" {
			return 0, errMissing
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("want a whole number of %s, got %q", unit, text)
		}
		return n, nil
	}, at).asNumber()
}

var errMissing = errors.New("missing")

// readNumber takes .95 for 0.95, as people type it.
func readNumber(text string) (event.Decimal, error) {
	if text == "" {
		return event.Decimal{}, errMissing
	}
	number, err := event.ParseDecimal(text)
	if err != nil && strings.HasPrefix(text, ".") {
		number, err = event.ParseDecimal("0" + text)
	}
	if bad, ok := errors.AsType[*event.FieldError](err); ok {
		return number, errors.New(bad.Problem)
	}
	return number, err
}
