package failures_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/composerp/composerp/store/failures"
)

// Errors of one line have one fingerprint; errors of different lines have different ones.
func TestErrorsWithTheSameFingerprint(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, same := range [][]string{
		{"no cup is left", " no  cup is left\n", "no cup is left\ngoroutine 7 [running]:\n\tmain.go:12 +0x1d"},
		{"the item is unknown"},
		{"the item isn't known"},
		{`item "cup" is unknown`, `item "a \"large\" cup" is unknown`, `item 'cup' is unknown`, "item `cup` is unknown", "item “cup” is unknown", `item "" is unknown`},
		{"posting sale 17: stock is -3.5", "posting sale 4711: stock is -12,25", "posting sale s-1: stock is 0"},
		{"claiming 0a3f5c1e-8f0b-5d0f-9a5e-0d1f6c1b2a31: gone", "claiming FFFFFFFF-8f0b-4d0f-9a5e-0d1f6c1b2a31: gone"},
		{"dial tcp 127.0.0.1:5432: connect: connection refused", "dial tcp 10.20.30.40:22399: connect: connection refused"},
		{"late since 2026-02-09T12:00:00.123Z", "late since 2024-12-31T23:59:59+01:00"},
		{"sending order o-1 to supplier potter: h answered 422", "sending order PO-2026-000123 to supplier potter: h answered 400"},
		{"sending order o-1 to supplier smith: h answered 422"},
		{`pq: value too long for type character varying(20)`, `pq: value too long for type character varying(64)`},
		{"pointer 0xc000123456 is wild", "pointer 0xdeadbeef0 is wild"},
		{"größe 12 fehlt", "größe ٣ fehlt"},
	} {
		print := failures.Fingerprint(same[0])
		if other, taken := seen[print]; taken || len(print) != 16 {
			t.Errorf("%q has the fingerprint %q of %q", same[0], print, other)
		}
		seen[print] = same[0]
		for _, text := range same[1:] {
			if failures.Fingerprint(text) != print {
				t.Errorf("%q is told from %q: %q, %q", text, same[0], failures.Normalize(text), failures.Normalize(same[0]))
			}
		}
	}
	if none := failures.Fingerprint(" \n\x00"); failures.Fingerprint("") != "" || none == "" {
		t.Errorf("no text has the fingerprint %q", failures.Fingerprint(""))
	}
}

func FuzzFingerprint(f *testing.F) {
	for _, text := range []string{"", "a \"b", "\xff'x'1", strings.Repeat("ß1-", 2000), "“", "#-#.#"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		normal := failures.Normalize(text)
		if !utf8.ValidString(normal) || strings.ContainsAny(normal, "\n0123456789") || normal != "" && failures.Normalize(text+"\nmore") != normal {
			t.Errorf("%q became %q", text, normal)
		}
	})
}
