package terminal_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/cli/terminal"
)

// Times carry the zone of the machine, or that of TZ, which Go reads into time.Local.
func TestMomentsCarryTheirZone(t *testing.T) {
	before := time.Local
	defer func() { time.Local = before }()
	at := time.Date(2026, 2, 9, 23, 30, 0, 0, time.UTC)
	for zone, want := range map[*time.Location]string{
		time.UTC:                          "2026-02-09 23:30:00 UTC",
		time.FixedZone("JST", 9*60*60):    "2026-02-10 08:30:00 JST",
		time.FixedZone("", 5*60*60+45*60): "2026-02-10 05:15:00 +0545",
	} {
		time.Local = zone
		if got := terminal.Moment(at); got != want {
			t.Errorf("in %s it is %s, want %s", zone, got, want)
		}
	}
}

func TestAnEmptyTableSaysSo(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	terminal.Table(&out, []int(nil), []any{"NUMBER"}, func(n *int) []any { return []any{*n} })
	if !strings.Contains(out.String(), "(none)") {
		t.Errorf("an empty table is %q", out.String())
	}
	out.Reset()
	terminal.Table(&out, []int{7}, []any{"NUMBER"}, func(n *int) []any { return []any{*n} })
	if out.String() != "NUMBER\n7\n" {
		t.Errorf("a table is %q", out.String())
	}
}
