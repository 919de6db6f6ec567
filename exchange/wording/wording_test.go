package wording_test

import (
	"math"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/wording"
)

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 events", 1: "1 event", -1: "-1 events", 999: "999 events", 1000: "1,000 events", -1000: "-1,000 events",
		-999: "-999 events", 1234567: "1,234,567 events", math.MinInt64: "-9,223,372,036,854,775,808 events",
	} {
		if got := wording.Count(n, "event"); got != want {
			t.Errorf("%d are written %q, want %q", n, got, want)
		}
	}
}

func TestShortened(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "ab…", "äöü": "äöü", "äöüß": "äö…"} {
		if got := wording.Shortened(text, 3); got != want {
			t.Errorf("%q is shortened to %q, want %q", text, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	if got := wording.OneLine(" a\n\tb  c\r\n"); got != "a b c" {
		t.Errorf("the line is %q", got)
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		-1: "0s", 0: "0s", 0.2154: "215ms", 0.9996: "1s", 2.3456: "2.35s", 9.999: "10s", 42.4: "42s", 59.6: "1m0s", 200: "3m20s", 3599.6: "1h0m",
		18725: "5h12m", 2 * 86400: "2d0h", 2*86400 - 20: "48h0m", 90 * 3600: "3d18h",
	} {
		if got := wording.Span(time.Duration(seconds * float64(time.Second))); got != want || wording.Seconds(seconds) != want {
			t.Errorf("%v seconds read %s, want %s", seconds, got, want)
		}
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"0": "0", "-5": "-5", "999": "999", "-999.5": "-999.5", "1000": "1,000", "-1234567.8901": "-1,234,567.8901", "123456": "123,456", "-123456": "-123,456",
	} {
		if got := wording.Grouped(number); got != want {
			t.Errorf("%s reads %s, want %s", number, got, want)
		}
	}
	if got := wording.Sprintf("%d of %s in %d%%", 12345, "67890", 5); got != "12,345 of 67890 in 5%" {
		t.Error(got)
	}
}
