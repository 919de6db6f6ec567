// Package event is what Composerp's workers, tills and warehouses say to one another: the envelope every event
// travels in, the catalogue of event types, the payload of each, and the JSON Schemas that are the contract with
// everybody outside.
//
// An event is made once, by Encode or Derive, and from then on its body is carried byte for byte: the log keeps it,
// the exchange publishes it, and whoever hears it reads it with Decode. What comes from outside, where nobody has
// checked it, is read with DecodeOutside.
//
// What holds for every event that this package lets through:
//
//   - One reading. A body has one meaning or none: the same key twice in an object, a key in another case, bytes
//     that are not UTF-8, anything after the closing brace are refused, by Decode as by DecodeOutside, so that two
//     readers of one log can never see two events in it.
//   - Exact numbers. Quantities and amounts are decimals of at most 15 integer and 6 fractional digits from the
//     text of the number to the database and back. No float64 lies on that way.
//   - Bounded work. Size, nesting, and the length and exponent of every number are bounded before anything is
//     computed from them, so a body of a few bytes such as 1e999999999 costs its sender more than its reader.
//   - The same again. Encode gives the same bytes for the same input, and a derived event's id follows from its
//     worker, its cause and its place among the cause's effects: whoever handles an event twice says the same
//     thing twice, and downstream knows it.
//   - Room to grow. Fields this version does not know are ignored, never refused; what is known is held to its type.
//
// An error names the field and what is wrong with it ("payload.quantity: want a number, got string \"five\"") and is
// a *FieldError. It says nothing of who sent the event: that is for the one who received it to add.
package event

// The schemas come first, because the tests of what follows are compiled with them.
//
//go:generate go test -run TestGoldenSchemas -count 1 . -update
//go:generate go test -run Golden -count 1 . -update
