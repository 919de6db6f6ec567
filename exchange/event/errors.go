package event

import "errors"

// ErrTooLarge means that the body has more than MaxBody bytes.
var ErrTooLarge = errors.New("event too large")

// FieldError is a problem of an event and the field that has it. It is written for the sender of the event.
type FieldError struct {
	// Field is the path to the field, as in "payload.lines[2].quantity"; empty for the body as a whole.
	Field string
	// Problem is what was wanted and what was found, for bad JSON with the line and column.
	Problem string

	kind error
}

// Error returns the field and the problem: "payload.quantity: want a number, got null".
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return e.Field + ": " + e.Problem
}

// Unwrap returns ErrTooLarge when that is the problem, else nil.
func (e *FieldError) Unwrap() error { return e.kind }

// within prefixes the error's field with the name of the object or list that holds it. It changes the error.
func (e *FieldError) within(name string) *FieldError {
	if e.Field != "" && e.Field[0] != '[' {
		name += "."
	}
	e.Field = name + e.Field
	return e
}
