package event_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

// TestBadJSON pins the reported positions, and that texts which other readers accept or repair are refused.
func TestBadJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, want string }{
		{"nothing", ``, `line 1, column 1: the text ends in the middle`},
		{"spaces", " \n ", `line 2, column 2: the text ends in the middle`},
		{"an array", `[]`, `line 1, column 1: want a JSON object, got '['`},
		{"a word", `hello`, `line 1, column 1: want a JSON object, got 'h'`},
		{"cut off", `{"eventId":`, `line 1, column 12: the text ends in the middle`},
		{"cut off in a string", `{"eventId`, `line 1, column 10: the text ends in the middle of a string`},
		{"a missing comma", "{\"é\":1\n \"b\":2}", `line 2, column 2: want a comma or }, got '"'`},
		{"a comma at the end", `{"a":1,}`, `line 1, column 8: want a name in quotes, got '}'`},
		{"a comma at the end of an array", `{"a":[1,]}`, `line 1, column 9: want a value, got ']'`},
		{"a name without quotes", `{a:1}`, `line 1, column 2: want a name in quotes, got 'a'`},
		{"no colon", `{"a" 1}`, `line 1, column 6: want a colon after "a", got '1'`},
		{"Python's None", `{"a":None}`, `line 1, column 6: want a value, got 'N'`},
		{"NaN", `{"a":NaN}`, `line 1, column 6: want a value, got 'N'`},
		{"a plus", `{"a":+1}`, `line 1, column 6: want a value, got '+'`},
		{"a zero before", `{"a":01}`, `line 1, column 6: not a number as JSON writes it: "01}"`},
		{"a point at the end", `{"a":1.}`, `line 1, column 6: not a number as JSON writes it: "1.}"`},
		{"a bare tab", "{\"a\":\"\t\"}", `line 1, column 7: a control character (0x09) in a string must be escaped`},
		{"a strange escape", `{"a":"\x41"}`, `line 1, column 7: no such escape in a string`},
		{"half a pair", `{"a":"\ud83d"}`, `line 1, column 7: half of a surrogate pair in a string`},
		{"a pair turned round", `{"a":"\ude00\ud83d"}`, `line 1, column 7: half of a surrogate pair in a string`},
		{"not UTF-8", "{\"a\":\"\xff\"}", `line 1, column 7: not UTF-8`},
		{"a byte order mark", "\ufeff{}", `line 1, column 1: want a JSON object, got '\ufeff'`},
		{"two events", `{} {}`, `line 1, column 4: want nothing after the object, got '{'`},
		{"a key twice", `{"payload":{"b":1,"b":1}}`, `payload.b: given twice, the second time at line 1, column 19`},
		{"a key twice, once escaped", `{"b":1,"\u0062":1}`, `b: given twice, the second time at line 1, column 8`},
		{"a key twice in an array", `{"a":[0,{"b":1,"b":1}]}`, `a[1].b: given twice, the second time at line 1, column 16`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := event.Decode([]byte(c.body))
			checkError(t, err, c.want)
			_, err = event.DecodeOutside([]byte(c.body))
			checkError(t, err, c.want)
		})
	}
}

// TestHostile reads bodies that are cheap to send. Without the bounds each of them takes minutes, the stack or the
// memory.
func TestHostile(t *testing.T) {
	t.Parallel()
	members := func(n int, name func(i int) string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `%q:0,`, name(i))
		}
		return `{` + b.String() + `"end":0}`
	}
	for _, c := range []struct{ name, body, want string }{
		{"a huge exponent", strings.Replace(sale, `"quantity":5`, `"quantity":1e999999999`, 1), `payload.quantity: the number 1e999999999 is out of bounds`},
		{"a huge negative exponent", strings.Replace(sale, `"quantity":5`, `"quantity":1E-999999999`, 1), `payload.quantity: the number 1E-999999999 is out of bounds`},
		{"a huge exponent in an unknown field", strings.Replace(sale, `"source"`, `"x":[1,1e309],"source"`, 1), `metadata.x[1]: the number 1e309 is out of bounds`},
		{"an exponent beyond int64", `{"a":1e99999999999999999999}`, `a: the number 1e99999999999999999999 is out of bounds`},
		{"a long number", `{"a":` + strings.Repeat("9", 65) + `}`, `a: the number ` + strings.Repeat("9", 48) + `… is out of bounds`},
		{"deep arrays", `{"a":` + strings.Repeat("[", 1<<19), `line 1, column 37: nested more than 32 deep`},
		{"deep objects", strings.Repeat(`{"a":`, 1<<17), `line 1, column 161: nested more than 32 deep`},
		{"many values", `{"a":[` + strings.Repeat("0,", 1<<18) + `0]}`, `line 1, column 200003: more than 100000 values`},
		{"many members", members(50_000, func(i int) string { return fmt.Sprint(i) }), `eventId: missing`},
		{"the same member at the end", members(50_000, func(i int) string { return fmt.Sprint(i % 49_999) }), `0: given twice, the second time at line 1, column 488882`},
		{"the seventeenth member again", members(18, func(i int) string { return fmt.Sprint(i % 17) }), `0: given twice, the second time at line 1, column 111`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := event.DecodeOutside([]byte(c.body))
			checkError(t, err, c.want)
		})
	}
}
