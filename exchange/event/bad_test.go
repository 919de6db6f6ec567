package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// sale is a valid event; the tests below break it.
const sale = `{"eventId":"7d444840-9dc0-11d1-b245-5ffdce74fad2","eventType":"SALE_COMPLETED","aggregateType":"SALES_ORDER",
"aggregateId":"541431","tenantId":"acme","timestamp":"2026-02-09T12:00:00Z","version":"1.0",
"payload":{"saleId":"541431","itemId":"85123A","locationId":"UK-WH","quantity":5,"amount":52.50,"timestamp":"2026-02-09T12:00:00Z"},
"metadata":{"source":"pos"}}`

// TestBadInput pins the errors. Each row breaks a valid event: it replaces the first text by the second.
func TestBadInput(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	for _, c := range []struct{ name, old, new, want string }{
		{"quantity is a string", `"quantity":5`, `"quantity":"five"`, `payload.quantity: want a number, got string "five"`},
		{"quantity is digits in a string", `"quantity":5`, `"quantity":"5"`, `payload.quantity: want a number, got string "5"`},
		{"quantity is null", `"quantity":5`, `"quantity":null`, `payload.quantity: want a number, got null`},
		{"quantity is missing", `"quantity":5,`, ``, `payload.quantity: missing`},
		{"quantity in another case", `"quantity":5`, `"Quantity":5`, `payload.quantity: missing`},
		{"quantity is zero", `"quantity":5`, `"quantity":-0.0`, `payload.quantity: want a number other than zero, got number -0.0`},
		{"quantity too fine", `"quantity":5`, `"quantity":0.0000001`, `payload.quantity: want at most 15 integer and 6 fractional digits, got 0.0000001`},
		{"quantity too large", `"quantity":5`, `"quantity":1e15`, `payload.quantity: want at most 15 integer and 6 fractional digits, got 1e15`},
		{"amount is an object", `52.50`, `{}`, `payload.amount: want a number, got an object`},
		{"two things wrong", `"quantity":5,"amount":52.50`, `"quantity":true,"amount":[]`, `payload.quantity: want a number, got true`},
		{"item is a number", `"85123A"`, `85123`, `payload.itemId: want a string, got number 85123`},
		{"item is empty", `"85123A"`, `""`, `payload.itemId: want 1 to 64 bytes without control characters, got string ""`},
		{"item is too long", `"85123A"`, `"` + long + `"`, `payload.itemId: want 1 to 64 bytes without control characters, got string "` + long[:48] + `…"`},
		{"item is too long in bytes", `"85123A"`, `"` + strings.Repeat("é", 33) + `"`, `payload.itemId: want 1 to 64 bytes without control characters, got string "` + strings.Repeat("é", 24) + `…"`},
		{"item has a NUL", `"85123A"`, `"a\u0000b"`, `payload.itemId: want 1 to 64 bytes without control characters, got string "a\x00b"`},
		{"item name too long", `"quantity"`, `"itemName":"` + strings.Repeat("x", 256) + `","quantity"`, `payload.itemName: want at most 255 characters, got 256`},
		{"payload time is bad", `"timestamp":"2026-02-09T12:00:00Z"}`, `"timestamp":"2026-02-09 12:00"}`, `payload.timestamp: want an RFC 3339 time such as 2026-02-09T12:00:00Z, got string "2026-02-09 12:00"`},
		{"time is bad", `"2026-02-09T12:00:00Z","version"`, `"2026-02-30T12:00:00Z","version"`, `timestamp: want an RFC 3339 time such as 2026-02-09T12:00:00Z, got string "2026-02-30T12:00:00Z"`},
		{"time without a zone", `"2026-02-09T12:00:00Z","version"`, `"2026-02-09T12:00:00","version"`, `timestamp: want an RFC 3339 time such as 2026-02-09T12:00:00Z, got string "2026-02-09T12:00:00"`},
		{"time is a number", `"2026-02-09T12:00:00Z","version"`, `1770638400,"version"`, `timestamp: want a string, got number 1770638400`},
		{"id is no UUID", `7d444840-9dc0-11d1-b245-5ffdce74fad2`, `sale-1`, `eventId: want a UUID such as 7d444840-9dc0-11d1-b245-5ffdce74fad2, got string "sale-1"`},
		{"id in braces", `7d444840-9dc0-11d1-b245-5ffdce74fad2`, `{7d444840-9dc0-11d1-b245-5ffdce74fad2}`, `eventId: want a UUID such as 7d444840-9dc0-11d1-b245-5ffdce74fad2, got string "{7d444840-9dc0-11d1-b245-5ffdce74fad2}"`},
		{"id is all zeros", `7d444840-9dc0-11d1-b245-5ffdce74fad2`, `00000000-0000-0000-0000-000000000000`, `eventId: want a UUID that is not all zeros, got string "00000000-0000-0000-0000-000000000000"`},
		{"tenant is missing", `"tenantId":"acme",`, ``, `tenantId: missing`},
		{"tenant is too long", `acme`, long, `tenantId: want 1 to 64 bytes without control characters, got string "` + long[:48] + `…"`},
		{"unknown type", `SALE_COMPLETED`, `SALE_DREAMT`, `eventType: unknown type "SALE_DREAMT"`},
		{"unknown version", `"version":"1.0"`, `"version":"2.0"`, `version: no version "2.0" of SALE_COMPLETED, want "1.0"`},
		{"payload is missing", `"payload"`, `"data"`, `payload: missing`},
		{"payload is an array", `"payload":{`, `"payload":[],"x":{`, `payload: want an object, got an array`},
		{"sequence is a fraction", `"source":"pos"`, `"sequence":1.5`, `metadata.sequence: want a whole number, got number 1.5`},
		{"sequence is negative", `"source":"pos"`, `"sequence":-1`, `metadata.sequence: want at least 0, got number -1`},
		{"source is a number", `"pos"`, `7`, `metadata.source: want a string, got number 7`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(sale, c.old, c.new, 1)
			if body == sale {
				t.Fatalf("%s is not in the event", c.old)
			}
			_, err := event.DecodeOutside([]byte(body))
			checkError(t, err, c.want)
			if err := event.Validate([]byte(body)); err == nil || err.Error() != c.want {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}

// TestBadPayloads pins the checks of the other types' schemas.
func TestBadPayloads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ            event.Type
		old, new, want string
	}{
		{event.TypeReceiptCompleted, `"quantity": 100`, `"quantity": 0`, `payload.quantity: want more than 0, got number 0`},
		{event.TypeReceiptCompleted, `2026-03-09`, `2026-13-09`, `payload.expiryDate: want a date such as 2026-03-09, got string "2026-13-09"`},
		{event.TypeTransferInitiated, `12.5`, `-12.5`, `payload.quantity: want more than 0, got number -12.5`},
		{event.TypeStockAdjusted, `-3`, `0`, `payload.quantity: want a number other than zero, got number 0`},
		{event.TypeStockAdjusted, `wet,`, `wet\u0007`, `payload.reason: want text without control characters other than tab and line feed, got string "wet\a thrown away"`},
		{event.TypeStockCounted, `"quantity": 0`, `"quantity": -1`, `payload.quantity: want at least 0, got number -1`},
		{event.TypeInventoryUpdated, `"SALE"`, `"GIFT"`, `payload.transactionType: want one of SALE, RETURN, RECEIPT, TRANSFER, ADJUSTMENT, COUNT, got string "GIFT"`},
		{event.TypePurchaseOrderCreated, `0.000001`, `0`, `payload.lines[1].quantity: want more than 0, got number 0`},
		{event.TypePurchaseOrderCreated, `"itemId": "71053",`, ``, `payload.lines[1].itemId: missing`},
		{event.TypePurchaseOrderCreated, `"lines": [`, `"lines": [], "x": [`, `payload.lines: want at least 1 items, got 0`},
		{event.TypePurchaseOrderCreated, `"lines": [`, `"lines": [7,`, `payload.lines[0]: want an object, got number 7`},
		{event.TypeForecastGenerated, `7.25`, `"7.25"`, `payload.dailyDemand[2]: want a number, got string "7.25"`},
		{event.TypeForecastGenerated, `7.25`, `-7.25`, `payload.dailyDemand[2]: want at least 0, got number -7.25`},
		{event.TypeForecastGenerated, `"forecastCount": 3`, `"forecastCount": 3.5`, `payload.forecastCount: want a whole number, got number 3.5`},
	} {
		body := string(exampleOf(t, c.typ).Body)
		spoilt := strings.Replace(body, c.old, c.new, 1)
		if body == spoilt {
			t.Errorf("%s: %s is not in the event", c.typ, c.old)
			continue
		}
		_, err := event.DecodeOutside([]byte(spoilt))
		checkError(t, err, c.want)
	}
}

// checkError wants a *FieldError of this text, whose field is the part before the first colon.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %s", want)
		return
	}
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	var ferr *event.FieldError
	if !errors.As(err, &ferr) {
		t.Fatalf("a %T", err)
	}
	if field, _, _ := strings.Cut(want, ": "); ferr.Field != field && ferr.Field != "" {
		t.Errorf("the field is %s, want %s", ferr.Field, field)
	}
}

// TestDecodeIsStrictByItself: without a schema, known fields are still held to their types.
func TestDecodeIsStrictByItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, new, want string }{
		{`"quantity":5`, `"quantity":"five"`, `payload.quantity: want a number, got string "five"`},
		{`"quantity":5,`, ``, `payload.quantity: missing`},
		{`"quantity":5`, `"quantity":1e15`, `payload.quantity: want at most 15 integer and 6 fractional digits, got 1e15`},
		{`"85123A"`, `{}`, `payload.itemId: want a string, got an object`},
		{`"payload":{`, `"payload":"x","y":{`, `payload: want an object, got string "x"`},
		{`"timestamp":"2026-02-09T12:00:00Z"}`, `"timestamp":"noon"}`, `payload.timestamp: want an RFC 3339 time such as 2026-02-09T12:00:00Z, got string "noon"`},
		{`7d444840`, `x`, `eventId: want a UUID such as 7d444840-9dc0-11d1-b245-5ffdce74fad2, got string "x-9dc0-11d1-b245-5ffdce74fad2"`},
		{`SALE_COMPLETED`, `SALE_DREAMT`, `eventType: unknown type "SALE_DREAMT"`},
		{`"version":"1.0"`, `"version":"2.0"`, `version: want 1.x of SALE_COMPLETED, got "2.0"`},
		{`"source":"pos"`, `"sequence":"7"`, `metadata.sequence: want a number, got string "7"`},
		{`"metadata":{`, `"metadata":null,"m":{`, `metadata: want an object, got null`},
	} {
		_, err := event.Decode([]byte(strings.Replace(sale, c.old, c.new, 1)))
		checkError(t, err, c.want)
	}
}

func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	_, err := event.DecodeOutside([]byte(strings.Replace(sale, "SALE_COMPLETED", "X", 1)))
	if err == nil || errors.Is(err, event.ErrTooLarge) {
		t.Errorf("an unknown type is %v", err)
	}
	large := sale + strings.Repeat(" ", event.MaxBody)
	for name, read := range map[string]func([]byte) (event.Any, error){"Decode": event.Decode, "DecodeOutside": event.DecodeOutside} {
		_, err = read([]byte(large))
		if !errors.Is(err, event.ErrTooLarge) || !strings.Contains(err.Error(), "at most 1048576 are allowed") {
			t.Errorf("%s of a large body: %v", name, err)
		}
		if _, err := read([]byte(large[:event.MaxBody])); err != nil {
			t.Errorf("%s of just 1 MiB: %v", name, err)
		}
	}
}

// TestWhatIsUnknownIsIgnored: old consumers ignore new fields, of a newer minor version too.
func TestWhatIsUnknownIsIgnored(t *testing.T) {
	t.Parallel()
	body := strings.NewReplacer(`"quantity"`, `"colour":{"deep":[1e300,{}]},"quantity"`, `"source"`, `"mood":null,"source"`, `"eventId"`, `"EVENTID":7,"eventId"`).Replace(sale)
	a, err := event.DecodeOutside([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := event.As[event.SaleCompleted](a); !ok || !p.Payload.Amount.Equal(decimal(t, "52.5")) {
		t.Errorf("got %+v", a)
	}
	if string(a.Body) != body {
		t.Error("the body is not kept byte for byte")
	}
	if _, err := event.Decode([]byte(strings.Replace(body, `"version":"1.0"`, `"version":"1.7"`, 1))); err != nil {
		t.Errorf("a newer minor version: %v", err)
	}
}

// The signs of quantity and amount agree, or the amount is zero: from outside and when made. What the log has is read
// as it is.
func TestSignsOfASale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ quantity, amount, want string }{
		{"2", "5", ""}, {"-2", "-5", ""}, {"2", "0", ""}, {"-2", "0", ""}, {"-2", "-0.0", ""},
		{"2", "-5", "payload.amount: want 0 or the sign of the quantity 2, got -5"},
		{"-2", "0.01", "payload.amount: want 0 or the sign of the quantity -2, got 0.01"},
	} {
		body := []byte(strings.NewReplacer(`"quantity":5`, `"quantity":`+c.quantity, `"amount":52.50`, `"amount":`+c.amount).Replace(sale))
		logged, err := event.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		_, outside := event.DecodeOutside(body)
		_, made := event.Encode(logged.Envelope, logged.Payload)
		for _, err := range []error{outside, made} {
			if c.want != "" {
				checkError(t, err, c.want)
			} else if err != nil {
				t.Errorf("%s for %s: %v", c.amount, c.quantity, err)
			}
		}
	}
}

func TestACurrencyIsACode(t *testing.T) {
	t.Parallel()
	for code, right := range map[string]bool{"EUR": true, "eur": false, "EURO": false, "€": false, "E1R": false} {
		body := strings.Replace(sale, `"amount"`, `"currency":"`+code+`","amount"`, 1)
		_, err := event.DecodeOutside([]byte(body))
		if right && err != nil {
			t.Errorf("%s: %v", code, err)
		} else if !right {
			checkError(t, err, `payload.currency: want an ISO 4217 code of three capital letters such as EUR, got "`+code+`"`)
		}
	}
}

// A transfer leads elsewhere: it is refused from outside, and not made.
func TestATransferToItsOwnLocation(t *testing.T) {
	t.Parallel()
	const want = `payload.toLocationId: want another location than fromLocationId, got "shop"`
	there := event.TransferInitiated{TransferID: "t", ItemID: "cup", FromLocationID: "shop", ToLocationID: "depot", Quantity: event.NewDecimal(1)}
	made, err := event.Encode(event.Envelope{ID: uuid.New(), TenantID: "acme", AggregateID: "t", Timestamp: time.Unix(0, 0)}, there)
	if err != nil {
		t.Fatal(err)
	}
	_, err = event.DecodeOutside([]byte(strings.Replace(string(made.Body), "depot", "shop", 1)))
	checkError(t, err, want)
	there.ToLocationID = "shop"
	_, err = event.Encode(made.Envelope, there)
	checkError(t, err, want)
}
