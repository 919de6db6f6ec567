package importer

import (
	"errors"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

// smallMapping is a mapping without a fault. Tests replace a line of it by one with a fault.
const smallMapping = `tenant: demo
source: test
timestamp: ${At}
input:
  timezone: Europe/London
  times: ["2006-01-02 15:04"]
constants:
  Place: SHOP
derive:
  Amount: {product: [Pieces, Price]}
rules:
  - when:
      Code: {prefix: X}
    reject: not_stocked
  - event: SALE_COMPLETED
    aggregateId: ${No}
    payload:
      saleId: ${No}
      itemId: ${Code}
      locationId: ${Place}
      quantity: ${Pieces}
      amount: ${Amount}
`

func init() {
	event.Register[badge](event.Definition{RoutingKey: "badges.printed", AggregateType: "BADGE", Version: "1.0", Outside: true})
}

func TestMappingFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, line, instead, want string }{
		{"unknown key", "tenant: demo", "tennant: demo", `test.yaml:1: tennant: unknown key; allowed here: tenant, source, timestamp,`},
		{"missing key", "source: test", "", `test.yaml: the key "source" is missing; a mapping has the keys tenant,`},
		{"not a text", "tenant: demo", "tenant: [demo]", `test.yaml:1: tenant: want a text with names in it such as ${InvoiceNo}, got a list`},
		{"nothing", "tenant: demo", "tenant:", `test.yaml:1: tenant: want a text with names in it such as ${InvoiceNo}, got nothing`},
		{"open template", "tenant: demo", "tenant: a${b", `test.yaml:1: tenant: want a name in braces behind the $`},
		{"lone dollar", "tenant: demo", "tenant: $", `test.yaml:1: tenant: want a name in braces behind the $`},
		{"zone", "  timezone: Europe/London", "  timezone: Europe/Londn", `test.yaml:5: input.timezone: want a time zone of the IANA database such as Europe/London or UTC, got "Europe/Londn"`},
		{"layout", `  times: ["2006-01-02 15:04"]`, "  times: [YYYY-MM-DD]", `test.yaml:6: input.times[0]: want the moment 2006-01-02 15:04:05 as the file would write it`},
		{"zone name in layout", `  times: ["2006-01-02 15:04"]`, "  times: [2006-01-02 MST]", `test.yaml:6: input.times[0]: an abbreviated zone`},
		{"delimiter", "  timezone: Europe/London", "  delimiter: ab", `test.yaml:5: input.delimiter: want one character`},
		{"decimal", "  timezone: Europe/London", "  decimal: x", `test.yaml:5: input.decimal: want "." or ",", got "x"`},
		{"thousands", "  timezone: Europe/London", "  thousands: .", `test.yaml:5: input.thousands: "." is the decimal mark already`},
		{"negatives", "  timezone: Europe/London", "  negatives: [minus]", `test.yaml:5: input.negatives: want "6-" or "(6)", got "minus"`},
		{"currency", "  timezone: Europe/London", "  currency: {a: b}", `test.yaml:5: input.currency: want a list of currency signs, got a mapping`},
		{"identity", "source: test", "source: test\nidentity: some", `test.yaml:3: identity: want a list of the columns by which a row is known again, or all for every column; got "some"`},
		{"identity of nothing", "source: test", "source: test\nidentity: []", `test.yaml:3: identity: want a list of the columns by which a row is known again, each once`},
		{"identity twice", "source: test", "source: test\nidentity: [No, No]", `test.yaml:3: identity: want a list of the columns by which a row is known again, each once`},
		{"columns twice", "  timezone: Europe/London", "  columns: [a, a]", `test.yaml:5: input.columns: want the names of the columns`},
		{"derivation", "  Amount: {product: [Pieces, Price]}", "  Amount: {sum: [Pieces, Price]}", `test.yaml:10: derive.Amount.sum: unknown key; allowed here: text, upper, lower, trim, match, product, negate`},
		{"two derivations", "  Amount: {product: [Pieces, Price]}", "  Amount: {upper: a, lower: b}", `test.yaml:10: derive.Amount: want exactly one of text,`},
		{"one factor", "  Amount: {product: [Pieces, Price]}", "  Amount: {product: [Pieces]}", `test.yaml:10: derive.Amount.product: want a list of two column names or more`},
		{"template as a name", "  Amount: {product: [Pieces, Price]}", `  Amount: {negate: "${Pieces}"}`, `test.yaml:10: derive.Amount.negate: want the name of a column alone`},
		{"half a match", "  Amount: {product: [Pieces, Price]}", "  Amount: {match: {column: a}}", `test.yaml:10: derive.Amount.match: want both column and pattern`},
		{"pattern", "  Amount: {product: [Pieces, Price]}", "  Amount: {match: {column: a, pattern: '('}}", `test.yaml:10: derive.Amount.match.pattern: want a regular expression`},
		{"condition", "      Code: {prefix: X}", "      Code: {begins: X}", `test.yaml:13: rules[0].when.Code.begins: unknown key; allowed here: equals, oneOf, prefix, matches, empty, lessThan, moreThan, not`},
		{"short condition", "      Code: {prefix: X}", "      Code: X", `test.yaml:13: rules[0].when.Code: want one of equals, oneOf, prefix, matches, empty, lessThan, moreThan, not with a value, got "X"`},
		{"no condition", "      Code: {prefix: X}", "      Code: {}", `test.yaml:13: rules[0].when.Code: want one of`},
		{"number", "      Code: {prefix: X}", "      Code: {lessThan: few}", `test.yaml:13: rules[0].when.Code.lessThan: want a number, got "few"`},
		{"not in not", "      Code: {prefix: X}", "      Code: {not: {not: {prefix: X}}}", `test.yaml:13: rules[0].when.Code.not.not: unknown key`},
		{"empty what", "      Code: {prefix: X}", "      Code: {empty: perhaps}", `test.yaml:13: rules[0].when.Code.empty: want true or false, got "perhaps"`},
		{"reason", "    reject: not_stocked", "    reject: Not stocked!", `test.yaml:14: rules[0].reject: want a reason of small letters`},
		{"both", "    reject: not_stocked", "    reject: a\n    event: SALE_COMPLETED", `test.yaml:12: rules[0]: want either reject with a reason, or event with a type`},
		{"payload of a reject", "    reject: not_stocked", "    reject: a\n    payload: {}", `test.yaml:15: rules[0].payload: has no meaning in a rule with reject; allowed there: when, reject`},
		{"type", "  - event: SALE_COMPLETED", "  - event: SALE", `test.yaml:15: rules[1].event: want a type of event that comes from outside, one of SALE_COMPLETED, RECEIPT_COMPLETED, TRANSFER_INITIATED, STOCK_ADJUSTED, STOCK_COUNTED, BADGE_PRINTED; got "SALE"`},
		{"a worker's type", "  - event: SALE_COMPLETED", "  - event: INVENTORY_UPDATED", `test.yaml:15: rules[1].event: want a type of event that comes from outside`},
		{"missing aggregate", "    aggregateId: ${No}", "", `rules[1]: the key "aggregateId" is missing`},
		{"unknown field", "      saleId: ${No}", "      saleID: ${No}", `test.yaml:18: rules[1].payload.saleID: unknown key; allowed here: saleId, itemId, locationId, quantity, amount, currency, itemName, timestamp`},
		{"missing field", "      saleId: ${No}", "", `rules[1].payload: SALE_COMPLETED needs the field "saleId"`},
		{"text for a number", "      quantity: ${Pieces}", "      quantity: ${Pieces} pieces", `test.yaml:21: rules[1].payload.quantity: want a number, or one name such as ${Quantity}`},
		{"no anchor", "      saleId: ${No}", "      saleId: *sale", `anchor`},
		{"never reached", "  - when:\n      Code: {prefix: X}\n    reject: not_stocked", "  - reject: all", `test.yaml:13: rules[1]: this rule is never reached`},
		{"key twice", "source: test", "source: test\nsource: test", `test.yaml:3: mapping key "source" already defined`},
		{"two documents", "tenant: demo", "tenant: demo\n---\nuserId: x", `test.yaml: want one YAML document`},
		{"syntax", "tenant: demo", "tenant: [", `test.yaml:`},
		{"a tab", "  Place: SHOP", "\tPlace: SHOP", `test.yaml:8`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(smallMapping, c.line+"\n", c.instead+"\n", 1)
			if text == smallMapping {
				t.Fatal("the line to replace is not there")
			}
			_, err := parseMapping("some/where/test.yaml", []byte(text))
			var fault *MappingError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	if _, err := parseMapping("test.yaml", []byte(smallMapping)); err != nil {
		t.Errorf("the mapping without a fault: %v", err)
	}
	for _, marked := range []string{"\uFEFF" + smallMapping, "\xFF\xFE" + strings.Join(strings.Split(smallMapping, ""), "\x00") + "\x00"} {
		if _, err := parseMapping("test.yaml", []byte(marked)); err != nil {
			t.Errorf("the mapping with a byte order mark: %v", err)
		}
	}
	if _, err := parseMapping("test.yaml", nil); err == nil || !strings.Contains(err.Error(), "want one YAML document") {
		t.Errorf("the empty mapping: %v", err)
	}
}

// TestOutsideTypes holds the payloads a mapping can make against the catalogue.
func TestOutsideTypes(t *testing.T) {
	t.Parallel()
	for _, kind := range event.Types() {
		d, _ := event.Lookup(kind)
		of := payloadType(kind)
		if got := of != nil; got != d.Outside {
			t.Errorf("%s: external publishers may publish it is %v, a mapping can make it is %v", kind, d.Outside, got)
		}
		if of == nil || kind == badgePrinted {
			continue
		}
		for i := range of.NumField() {
			field := of.Field(i)
			if kind := field.Type.Kind().String(); kind != "string" && field.Type != timeType && field.Type != decimalType {
				t.Errorf("%s has the field %s of type %s, which no setter fills", d.Type, field.Name, field.Type)
			}
		}
	}
}

// badge is the payload of a type that another team registers: a mapping can make it, but cannot fill a number of
// copies, which is no Decimal.
type badge struct {
	BadgeID string `json:"badgeId"`
	Copies  int64  `json:"copies,omitempty"`
}

const badgePrinted event.Type = "BADGE_PRINTED"

func (badge) EventType() event.Type { return badgePrinted }

func TestMappingOfARegisteredType(t *testing.T) {
	t.Parallel()
	text := func(payload string) []byte {
		return []byte("tenant: demo\nsource: test\ntimestamp: ${At}\nrules:\n  - event: BADGE_PRINTED\n    aggregateId: ${No}\n    payload:\n" + payload)
	}
	if _, err := parseMapping("test.yaml", text("      badgeId: ${No}\n")); err != nil {
		t.Error(err)
	}
	_, err := parseMapping("test.yaml", text("      badgeId: ${No}\n      copies: ${Pieces}\n"))
	if want := "test.yaml:9: rules[0].payload.copies: a mapping cannot fill a field of the type int64"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// FuzzMapping looks for a mapping that the loader stumbles over, and lets each that it takes see a row.
func FuzzMapping(f *testing.F) {
	f.Add([]byte(smallMapping))
	f.Add([]byte(generatedMapping))
	f.Add([]byte("a: &a {b: *a}\n<<: *a\nrules: *a"))
	f.Add([]byte("tenant: !!binary aGk=\nsource: |\n  x\ntimestamp: >-\n  y\nrules: [{when: &w {a: {not: {empty: true}}}, reject: a}, {when: *w, reject: b}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMapping("fuzz.yaml", text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("an error of several lines: %q", err)
			}
			return
		}
		rec := recordOf([]string{"a", "At"}, []string{"1", "2026-01-01T00:00:00Z"})
		r, id := newRow(m), identity{}
		id.of(rec)
		r.take(rec)
		if made, problem := m.event(r, &id, 1); problem == nil && len(made.Body) == 0 {
			t.Fatal("neither an event nor a rejection")
		}
	})
}
