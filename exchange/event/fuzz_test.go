package event

import (
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// seeds adds the examples and some broken events to a fuzz target.
func seeds(f *testing.F) {
	f.Helper()
	names, err := filepath.Glob("testdata/*.json")
	if err != nil || len(names) == 0 {
		f.Fatalf("no examples: %v", err)
	}
	for _, name := range names {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"eventId":"7d444840-9dc0-11d1-b245-5ffdce74fad2","eventType":"STOCK_COUNTED","aggregateType":"\ud83d\ude00","aggregateId":"x\u0001","tenantId":"",` +
		`"timestamp":"0001-01-01T00:00:00.0000009+23:59","version":"1","payload":{"countId":"a","itemId":"b","locationId":"c","quantity":-0.00e-2,"x":[[]]}}`))
	f.Add([]byte(`{"a":1e999,"a":[null,true,false,-0.1E+2,"\n"]}`))
}

// FuzzDecode: Decode does not panic, it accepts only what the standard library accepts as JSON, and an accepted event
// can be written and read again.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := Decode(body)
		if err != nil {
			checkFieldError(t, err)
			return
		}
		if !json.Valid(body) {
			t.Fatalf("taken, and no JSON: %s", body)
		}
		again, ferr := known.Load().byType[a.Type].write(a.Envelope, a.Payload)
		if ferr != nil {
			t.Fatalf("writing %s: %v", body, ferr)
		}
		checkSame(t, a, again)
	})
}

// FuzzDecodeOutside: Encode can make an accepted event again, and the structs accept only what the schema library
// accepts.
func FuzzDecodeOutside(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := DecodeOutside(body)
		if d, ferr := parse(body); ferr == nil {
			checkFast(t, d)
			d.release()
		}
		if err != nil {
			checkFieldError(t, err)
			return
		}
		again, err := Encode(a.Envelope, a.Payload)
		if errors.Is(err, ErrTooLarge) {
			return // 1e14 is written in full, so an event may grow.
		}
		if err != nil {
			t.Fatalf("encoding %s: %v", body, err)
		}
		checkSame(t, a, again)
	})
}

func checkFieldError(t *testing.T, err error) {
	t.Helper()
	var ferr *FieldError
	if !errors.As(err, &ferr) || ferr.Problem == "" {
		t.Fatalf("a %T: %v", err, err)
	}
}

// checkSame checks that a written event is read as the event a that it was written from.
func checkSame(t *testing.T, a, written Any) {
	t.Helper()
	if len(written.Body) > MaxBody {
		return
	}
	back, err := Decode(written.Body)
	if err != nil {
		t.Fatalf("reading again %s: %v", written.Body, err)
	}
	back.Body = a.Body
	if !reflect.DeepEqual(a, back) {
		t.Fatalf("read\n%+v\nread again\n%+v", a, back)
	}
}

// checkFast compares the structs of several schemas with the library. A bad event gets in where a struct accepts what
// the library refuses.
func checkFast(t *testing.T, d *document) {
	t.Helper()
	set := known.Load().schemas()
	payload := d.member(0, 1, "payload")
	if payload < 0 {
		payload = 0
	}
	for _, s := range []*schema{set.envelope, set.payloads[TypeSaleCompleted]["1.0"], set.payloads[TypePurchaseOrderCreated]["1.0"], set.payloads[TypeForecastGenerated]["1.0"], set.payloads[typeOf(d)]["1.0"]} {
		if s == nil {
			continue
		}
		for _, i := range []int32{0, payload} {
			err := s.full.Validate(d.value(i))
			if s.fast != nil && s.fast(d, i) && err != nil {
				t.Fatalf("the struct of %s accepts it, the library: %v", s.full.Location, err)
			}
			if err != nil {
				checkFieldError(t, d.explain(i, err))
			}
		}
	}
}

func typeOf(d *document) Type {
	if i := d.member(0, 1, "eventType"); i >= 0 {
		return Type(d.nodes[i].text)
	}
	return ""
}

// FuzzParseDecimal: an accepted number is within the bounds, equals the exact fraction of the same text, and can be
// written and read again.
func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0.0", "5", "52.50", "1.5e3", "1e-6", "999999999999999.999999", "1e999999999", "007", "5.", "-", "1e15"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDecimal(s)
		if err != nil {
			checkFieldError(t, err)
			return
		}
		exact, ok := new(big.Rat).SetString(s)
		if !ok || !json.Valid([]byte(s)) || exact.Cmp(d.Rat()) != 0 {
			t.Fatalf("%q is taken for %s", s, d)
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatalf("writing %q: %v", s, err)
		}
		again, err := ParseDecimal(string(b))
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%q becomes %s, then %s, %v", s, d, again, err)
		}
		if len(b) > maxIntegerDigits+maxFractionalDigits+2 {
			t.Fatalf("%q is written as %s", s, b)
		}
	})
}
