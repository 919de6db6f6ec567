// Package event defines the messages between Composerp's workers, tills and warehouses: the envelope of every event,
// the catalogue of event types, each type's payload, and the JSON Schemas that external systems build against.
//
// Encode or Derive makes an event once. From then on its body is carried byte for byte: the log stores it, the relay
// publishes it, and consumers read it with Decode. DecodeOutside reads events that were not checked before, such as
// those of external publishers.
//
// A payload's fields are declared once, in its Go struct. The reader and the writer follow the struct's tags, and
// make generate writes the JSON Schemas from the tags and the doc comments. Register adds types of your own.
//
// Guarantees for every event that this package accepts:
//
//   - One reading. A body has one meaning or is refused: a key twice in one object, a key in another case, bytes that
//     are not UTF-8 and anything after the closing brace are errors in Decode and in DecodeOutside. Two readers of
//     one log therefore see the same event.
//   - Exact numbers. Quantities and amounts are decimals of at most 15 integer and 6 fractional digits, from the text
//     of the number to the database and back. No float64 is involved.
//   - Bounded work. Size, nesting, and the length and exponent of every number are bounded before anything is
//     computed from them. A short body such as 1e999999999 cannot cost its reader more than its sender.
//   - Determinism. Encode returns the same bytes for the same input. A derived event's id follows from its worker, its
//     cause and its ordinal among the cause's effects: a worker that handles an event twice emits the same events
//     twice, and consumers recognize the copies.
//   - Room to grow. Unknown fields are ignored, known fields are held to their type.
//
// An error names the field and the problem ("payload.quantity: want a number, got string \"five\"") and is a
// *FieldError. It does not name the sender; the receiver adds that.
package event

// The schemas follow the structs; docs/reference/events.md is written by the tests of cli.
//
//go:generate go test -run TestGoldenSchemas -count 1 . -update
