package event

import "errors"

// ErrUnknownType is what errors.Is finds in the error about an event whose eventType is not in the catalogue.
var ErrUnknownType = errors.New("unknown event type")

// ErrTooLarge is what errors.Is finds in the error about a body of more than MaxBody bytes.
var ErrTooLarge = errors.New("event too large")

// FieldError says what is wrong with an event and where. It is meant to be read by the person who sent the event.
type FieldError struct {
	// Field is the path to the field, as in "payload.lines[2].quantity"; empty when it is the body as a whole.
	Field string
	// Problem says what was wanted and what was found, and for bad JSON the line and column.
	Problem string

	kind error
}

// Error gives the field and the problem, "payload.quantity: want a number, got null".
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Problem
	}
	return e.Field + ": " + e.Problem
}

// Unwrap gives ErrUnknownType or ErrTooLarge where it is one of these, else nil.
func (e *FieldError) Unwrap() error { return e.kind }

// within puts the name of what holds the field before the error's field. It changes the error.
func (e *FieldError) within(name string) *FieldError {
	if e.Field != "" && e.Field[0] != '[' {
		name += "."
	}
	e.Field = name + e.Field
	return e
}
