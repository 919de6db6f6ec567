package event

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// update draws an INVENTORY_UPDATED.
func update(rt *rapid.T) (Envelope, InventoryUpdated) {
	number := func(name string) Decimal {
		return Decimal{NewDecimal(rapid.Int64Range(-1e15+1, 1e15-1).Draw(rt, name)).Shift(rapid.Int32Range(-6, 0).Draw(rt, name+"'s exponent"))}
	}
	text := func(name string) string {
		return rapid.StringOfN(rapid.RuneFrom([]rune(`a{}":\<é,`)), 1, 12, 40).Draw(rt, name)
	}
	at := DateOf(epochStart).AddDays(rapid.IntRange(0, 30000).Draw(rt, "day"))
	p := InventoryUpdated{
		ItemID: text("item"), LocationID: text("location"), OnHand: number("onHand"), Available: number("available"), Change: number("change"),
		TransactionID: text("transaction"), TransactionType: TransactionType(rapid.SampledFrom(TransactionSale.Values()).Draw(rt, "kind")),
	}
	if rapid.Bool().Draw(rt, "all fields") {
		p.Reserved, p.PurchaseOrderID, p.TransferID, p.ToLocationID, p.LotNumber, p.ExpiryDate = number("reserved"), text("order"), text("transfer"), text("to"), text("lot"), at
	}
	return Envelope{ID: uuid.New(), AggregateID: text("aggregate"), TenantID: text("tenant"), Timestamp: at.Time(), Metadata: Metadata{Source: text("source")}}, p
}

// members is a body as a map with exact numbers.
func membersOf(tb testing.TB, body []byte) map[string]any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// 1.0 -> 2.0 -> 1.0 and 2.0 -> 1.0 -> 2.0 lose nothing, unknown fields neither, and the fast codec of the older version
// reads and writes what the converters do.
func TestVersionsOfInventoryUpdatedConvert(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		env, p := update(rt)
		now, err := Encode(env, p)
		if err != nil {
			rt.Fatal(err)
		}
		env.Version = "1.0"
		then, err := Encode(env, p)
		if err != nil {
			rt.Fatal(err)
		}
		if VersionOf(now.Body) != "2.0" || VersionOf(then.Body) != "1.0" || then.Version != "1.0" || !Same(now.Body, then.Body) {
			rt.Fatalf("versions %s and %s of\n%s\n%s", VersionOf(now.Body), VersionOf(then.Body), now.Body, then.Body)
		}
		for _, pair := range [][2][]byte{{now.Body, then.Body}, {then.Body, now.Body}, {extended(now.Body), extended(then.Body)}, {extended(then.Body), extended(now.Body)}} {
			there, err := Convert(pair[0], VersionOf(pair[1]))
			if err != nil {
				rt.Fatal(err)
			}
			if got, want := membersOf(t, there), membersOf(t, pair[1]); !reflect.DeepEqual(got, want) {
				rt.Fatalf("converted to\n%v\nwant\n%v", got, want)
			}
			back, err := Convert(there, VersionOf(pair[0]))
			if err != nil || !reflect.DeepEqual(membersOf(t, back), membersOf(t, pair[0])) {
				rt.Fatalf("back is\n%s, %v\nwant\n%s", back, err, pair[0])
			}
		}
		want, err := Decode(now.Body)
		if err != nil {
			rt.Fatal(err)
		}
		for _, body := range [][]byte{now.Body, then.Body} {
			a, err := DecodeOutside(body)
			if err != nil {
				rt.Fatal(err)
			}
			if a.Version != "2.0" || !reflect.DeepEqual(a.Payload, want.Payload) || !bytes.Equal(a.Body, body) {
				rt.Fatalf("%s is read as %+v", body, a)
			}
		}
	})
}

// extended is a body with an unknown field at the end of its payload.
func extended(body []byte) []byte {
	return bytes.Replace(body, []byte(`},"metadata":`), []byte(`,"colour":{"deep":[0.10]}},"metadata":`), 1)
}

var epochStart = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)

// The schema of the older version is the one that was made from the struct of then: its events may be checked by the
// struct of now.
func TestTheOlderSchemaIsThatOfTheStruct(t *testing.T) {
	t.Parallel()
	withoutTexts := func(text string) (v any) {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		drop(v)
		return v
	}
	for _, e := range builtIn {
		if e.older == nil {
			continue
		}
		file, err := os.ReadFile("schema/" + string(e.Type) + "-" + e.Older() + ".json")
		if err != nil {
			t.Fatal(err)
		}
		made := payloadSchema(e.Type, e.Older(), e.older.object, nil)
		if got, want := withoutTexts(made), withoutTexts(string(file)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s: the struct makes\n%v\nthe file has\n%v", e.Type, e.Older(), got, want)
		}
	}
}

// drop removes the descriptions.
func drop(v any) {
	if object, is := v.(map[string]any); is {
		delete(object, "description")
		for _, member := range object {
			drop(member)
		}
	}
}

func TestVersionOf(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"eventId":"1","version":"1.0","payload":{}}`:                             "1.0",
		`{"payload":{"version":"7.0"},"version":"2.0"}`:                            "2.0",
		`{"metadata":{"version":"7.0"},"version":"2.1"}`:                           "2.1",
		`{"aggregateId":"\"version\":\"9.9\"","version":"1.2","payload":{}}`:       "1.2",
		`{"aggregateId":"{","version":"1.3","payload":{"version":"4.0"}}`:          "1.3",
		`{ "version" : "1.4" , "payload" : { } }`:                                  "1.4",
		`{"payload":{"a":[{"version":"3.0"}]}}`:                                    "",
		`{"version":7}`:                                                            "",
		`no event`:                                                                 "",
		`{"tenantId":"a","version":"1.0`:                                           "",
		`{"payload":{"a":"}` + `","version":"5.0"},"version":"2.0","metadata":{}}`: "2.0",
	} {
		if got := VersionOf([]byte(body)); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestWhatCannotBeConvertedIsRefused(t *testing.T) {
	t.Parallel()
	body := string(readExample(t, TypeInventoryUpdated))
	for name, c := range map[string]struct{ body, version, want string }{
		"both names":   {strings.Replace(body, `"change"`, `"quantity": 3, "change"`, 1), "1.0", "change becomes quantity, and there is a quantity already"},
		"no version":   {body, "3.0", "2.0 of INVENTORY_UPDATED cannot be written as version 3.0"},
		"another type": {string(readExample(t, TypeSaleCompleted)), "2.0", "1.0 of SALE_COMPLETED cannot be written as version 2.0"},
		"half":         {body[:100], "1.0", ""},
	} {
		if _, err := Convert([]byte(c.body), c.version); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	same, err := Convert([]byte(body), "2.7")
	if err != nil || string(same) != body {
		t.Errorf("a newer minor version is converted: %s, %v", same, err)
	}
	other := strings.Replace(body, `"change": -6`, `"change": -7`, 1)
	older, err := Convert([]byte(body), "1.0")
	if err != nil || !Same([]byte(body), older) || !Same(older, []byte(body)) || Same([]byte(other), older) || Same([]byte(body), []byte(other)) {
		t.Errorf("Same is wrong about %s, %v", older, err)
	}
}

// A former version by which a field would be lost is refused when it is registered.
func TestDeclarationsOfRenamedFields(t *testing.T) {
	t.Parallel()
	change := func(map[string]any) error { return nil }
	for want, former := range map[string][]Former{
		"":                                 {Renamed("2.0", "{}", map[string]string{"grams": "weight"})},
		"is no field of":                   {Renamed("2.0", "{}", map[string]string{"grams": "mass"})},
		"cannot be the old name of weight": {Renamed("2.0", "{}", map[string]string{"unit": "weight"})},
		"has a Downcast and no Upcast":     {{Version: "3.0", Schema: "{}", Downcast: change}},
		"only the newest of them":          {{Version: "1.0", Schema: "{}", Upcast: change, Downcast: change}, {Version: "2.0", Schema: "{}", Upcast: change}},
	} {
		_, err := entryOf[trayWeighed](Definition{RoutingKey: "a.b", AggregateType: "TRAY", Version: "3.1", Former: former})
		if got := text(err); (want == "") != (err == nil) || !strings.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	if d := (Definition{Version: "3.0", Former: slices.Clone(formerTrays)}); d.Older() != "" {
		t.Errorf("a version without Downcast can be emitted: %s", d.Older())
	}
}

func BenchmarkOlderVersion(b *testing.B) {
	env, p := Envelope{ID: uuid.New(), AggregateID: "a", TenantID: "t", Timestamp: epochStart}, InventoryUpdated{
		ItemID: "85123A", LocationID: "UK-WH", TransactionID: "541431-17", TransactionType: TransactionSale, OnHand: NewDecimal(7), Available: NewDecimal(7), Change: NewDecimal(-6)}
	for _, version := range []string{"1.0", "2.0"} {
		env.Version = version
		a, err := Encode(env, p)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode "+version, func(b *testing.B) {
			for b.Loop() {
				_, _ = Encode(env, p)
			}
		})
		b.Run("decode "+version, func(b *testing.B) {
			for b.Loop() {
				_, _ = Decode(a.Body)
			}
		})
		b.Run("version of "+version, func(b *testing.B) {
			for b.Loop() {
				_ = VersionOf(a.Body)
			}
		})
	}
}
