package importer

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

// TestRules has rows with all kinds of dirt go through a mapping and looks at what becomes of each.
func TestRules(t *testing.T) {
	t.Parallel()
	const sale = `{"saleId":"7","itemId":"A","locationId":"SHOP","quantity":%,"timestamp":"2026-01-05T10:00:00Z"}`
	sold := func(quantityAmount string) string {
		return "SALE_COMPLETED " + strings.Replace(sale, "%", quantityAmount, 1)
	}
	for _, c := range []struct{ row, want string }{
		{"7,A,2,1.255,2026-01-05 10:00", sold(`2,"amount":2.51`)},
		{"7,A,-2,1.255,2026-01-05 10:00", sold(`-2,"amount":-2.51`)},
		{"7,A,1e1,0.1,2026-01-05 10:00", sold(`10,"amount":1`)},
		{"7,A, +02 ,.50,2026-01-05 10:00", sold(`2,"amount":1`)},
		{"7,A,-.5,2.,2026-01-05 10:00", sold(`-0.5,"amount":-1`)},
		{"7,A,123456789012345,0.000001,2026-01-05 10:00", sold(`123456789012345,"amount":123456789.012345`)},
		{"7,X1,many,free,never", "reject not_stocked"}, // its number and time are not read
		{"7,A,many,1,2026-01-05 10:00", "reject bad_number: Pieces: want a number, got \"many\""},
		{"7,A,\"1,5\",1,2026-01-05 10:00", `reject bad_number: Pieces: want a number, got "1,5"`},
		{"7,A,,1,2026-01-05 10:00", `reject bad_number: Pieces: want a number, got ""`},
		{"7,A,0x10,1,2026-01-05 10:00", `reject bad_number`},
		{"7,A,NaN,1,2026-01-05 10:00", `reject bad_number`},
		{"7,A,--1,1,2026-01-05 10:00", `reject bad_number`},
		{"7,A,1e999999999,1,2026-01-05 10:00", `reject bad_number: Pieces: want at most 15 integer and 6 fractional digits`},
		{"7,A,2,1,05.01.2026", `reject bad_time: timestamp: want a time written like 2006-01-02 15:04, got "05.01.2026"`},
		{"7,A,2,1,2026-02-30 10:00", `reject bad_time`},
		{"7,A,2,1,", `reject bad_time`},
		{"7,A,0,1,2026-01-05 10:00", `reject invalid_event: payload.quantity: `},
		{"7,,2,1,2026-01-05 10:00", `reject invalid_event: payload.itemId: `},
		{"7," + strings.Repeat("A", 65) + ",2,1,2026-01-05 10:00", `reject invalid_event: payload.itemId: `},
		{"7,A\x00,2,1,2026-01-05 10:00", `reject invalid_event: payload.itemId: `},
		{"7,A,0.0000001,1,2026-01-05 10:00", `reject bad_number`},
		{"7,A,0.001,0.0001,2026-01-05 10:00", `reject invalid_event: payload.amount: want at most 15 integer and 6 fractional digits`},
		{"7,A,2,1", "reject wrong_field_count: want 5 fields as in the header, got 4"},
	} {
		file := writeFile(t, "rows.csv", "No,Code,Pieces,Price,At\n"+c.row+"\n")
		rows := readAll(t, file, mustParse(t, smallMapping))
		if len(rows) != 1 {
			t.Fatalf("%q: %d rows", c.row, len(rows))
		}
		got := outcome(rows[0])
		if rows[0].Reject != nil {
			got = "reject " + rows[0].Reject.Error()
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%q:\n got %s\nwant %s", c.row, got, c.want)
		}
	}
}

// TestConditions tries each condition on values that meet it and values that do not.
func TestConditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ when, meets, fails string }{
		{`{equals: "1"}`, "1", "1.0|11|"},
		{`{equals: 007}`, "007", "7"},
		{`{oneOf: [a, b]}`, "a|b", "c||ab"},
		{`{prefix: C}`, "C|C1", "c|1C|"},
		{`{matches: 'a|bc'}`, "a|bc", "ab|abc|xa|"},
		{`{matches: '(?i)x.*'}`, "x|Xy", "yx"},
		{`{empty: true}`, "| |\u00a0", "x"},
		{`{empty: false}`, "x", "| "},
		{`{lessThan: 0}`, "-1|-0.001", "0|1"},
		{`{moreThan: 1.5}`, "1.51|2", "1.5|-2"},
		{`{moreThan: 0, lessThan: 10}`, "1|9.9", "0|10"},
		{`{not: {prefix: C}}`, "|c", "C"},
		{`{not: {moreThan: 0, lessThan: 10}}`, "0|10", "1|9.9"},
		{`{prefix: a, not: {equals: ab}}`, "a|abc", "ab|b"},
	} {
		m := mustParse(t, "tenant: t\nsource: s\ntimestamp: x\nrules:\n  - when: {V: "+c.when+"}\n    reject: yes\n  - reject: no\n")
		for want, values := range map[string]string{"yes": c.meets, "no": c.fails} {
			for value := range strings.SplitSeq(values, "|") {
				r := newRow(m)
				r.take(recordOf([]string{"V"}, []string{value}))
				if _, got := m.event(r, &identity{}, 1); got.Reason != want {
					t.Errorf("%q of %s: got %v, want %s", c.when, value, got, want)
				}
			}
		}
	}
}

// TestNames shows that a name hides what had it before, and that numbers may have a decimal comma.
func TestNames(t *testing.T) {
	t.Parallel()
	m := mustParse(t, `
tenant: "${Shop}"
source: till-$$${Till}
timestamp: ${At}
userId: ${Who}
correlationId: ${No}/${Till}
input: {decimal: ",", delimiter: ";"}
constants: {Till: "9", Shop: s1}
derive:
  Code: {trim: Code}
  Code2: {lower: Code}
  Item: {text: "${Code}-${Code2}"}
rules:
  - event: STOCK_COUNTED
    aggregateId: ${No}
    payload: {countId: "${No}", itemId: "${Item}", locationId: L, quantity: "${Pieces}"}
`[1:])
	file := writeFile(t, "count.csv", "No;Code;Pieces;At;Who;Till\n7; Ab ;1,50;2026-01-05T10:00:00+01:00;anna;5\n7;Ab;1.5;2026-01-05T10:00:00+01:00;anna;5\n")
	rows := readAll(t, file, m)
	want := `,"eventType":"STOCK_COUNTED","aggregateType":"STOCK_COUNT","aggregateId":"7","tenantId":"s1","timestamp":"2026-01-05T09:00:00Z","version":"1.0",` +
		`"payload":{"countId":"7","itemId":"Ab-ab","locationId":"L","quantity":1.5},"metadata":{"source":"till-$9","userId":"anna","correlationId":"7/9"}}`
	if got := string(rows[0].Event.Body); !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if outcome(rows[1]) != "reject bad_number" {
		t.Errorf("a decimal point where commas are meant: %s", outcome(rows[1]))
	}
}

// event makes of a row what the mapping says it is. The identity has the row's key already.
func (m *Mapping) event(r *row, id *identity, occurrence int64) (event.Any, *Rejection) {
	l, problem := m.ruleOf(r)
	if problem != nil {
		return event.Any{}, problem
	}
	return m.fill(l, r, id, occurrence)
}
