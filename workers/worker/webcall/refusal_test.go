package webcall

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 9, 12, 0, 0, 0, time.UTC)
	for text, c := range map[string]struct {
		date  string
		wait  time.Duration
		asked bool
	}{
		"":                              {"", 0, false},
		"soon":                          {"", 0, false},
		"-5":                            {"", 0, false},
		"1.5":                           {"", 0, false},
		"0":                             {"", 0, true},
		" 90 ":                          {"", 90 * time.Second, true},
		"18446744073709551615":          {"", longestWait, true},
		"99999999999999999999999":       {"", 0, false},
		"Mon, 09 Mar 2026 12:10:00 GMT": {"", 10 * time.Minute, true},
		"Mon, 09 Mar 2026 11:00:00 GMT": {"", 0, true},
		// Their clock is an hour before ours: they mean five minutes, not none.
		"Mon, 09 Mar 2026 11:05:00 GMT":  {"Mon, 09 Mar 2026 11:00:00 GMT", 5 * time.Minute, true},
		"Monday, 09-Mar-26 12:10:00 GMT": {"", 10 * time.Minute, true},
		"Mon Mar  9 12:10:00 2026":       {"", 10 * time.Minute, true},
		"Fri, 01 Jan 2100 00:00:00 GMT":  {"", longestWait, true},
	} {
		header := http.Header{"Retry-After": {text}}
		if c.date != "" {
			header.Set("Date", c.date)
		}
		if wait, asked := retryAfter(header, now); wait != c.wait || asked != c.asked {
			t.Errorf("%q: want %s, %t, got %s, %t", text, c.wait, c.asked, wait, asked)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	for _, text := range []string{"", "no\x00 such\r\nitem", "\xff\xfe", "\u202egnirts", "a\u2028b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := OneLine(text, 20)
		if len([]rune(line)) > 20 || OneLine(line, 20) != line {
			t.Errorf("%q became %q", text, line)
		}
		for _, r := range line {
			if r < ' ' || r == 0x7f || r == '\u202e' || r == '\u2028' {
				t.Errorf("%q became %q", text, line)
			}
		}
	})
}
