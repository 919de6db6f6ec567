package event

import "testing"

// BenchmarkSchema is the reason why the structs are asked first: it compares them with the schema library.
func BenchmarkSchema(b *testing.B) {
	d, ferr := parse(readExample(b, TypeInventoryUpdated))
	if ferr != nil {
		b.Fatal(ferr)
	}
	defer d.release()
	payload := d.member(0, 1, "payload")
	envelope, inner := known.Load().schemas().envelope, known.Load().schemas().payloads[TypeInventoryUpdated]["1.0"]
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !envelope.fast(d, 0) || !inner.fast(d, payload) {
				b.Fatal("the struct does not accept it")
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if envelope.full.Validate(d.value(0)) != nil || inner.full.Validate(d.value(payload)) != nil {
				b.Fatal("the library refuses it")
			}
		}
	})
}
