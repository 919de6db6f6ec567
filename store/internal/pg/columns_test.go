package pg

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

func TestColumns(t *testing.T) {
	t.Parallel()
	number, decimal := int64(7), event.NewDecimal(3)
	at := time.Date(2026, 2, 9, 12, 30, 0, 5, time.FixedZone("", 3600))
	columns := NewColumns(13, 2)
	columns.Add(`a "b" \c`, 1, int64(-2), true, uuid.UUID{15: 0xff}, at, event.Decimal{Decimal: event.NewDecimal(15).Shift(-1)}, &number, &decimal, event.Date("2026-02-09"), Expiry("2026-02-10"), []byte{0, 0xab}, uuid.NullUUID{UUID: uuid.UUID{15: 1}, Valid: true})
	columns.Add("", nil, int64(0), false, nil, nil, event.Decimal{}, (*int64)(nil), (*event.Decimal)(nil), event.Date(""), Expiry(""), []byte(nil), uuid.NullUUID{})
	want := []string{
		`{"a \"b\" \\c",""}`, `{1,NULL}`, `{-2,0}`, `{true,false}`, `{00000000-0000-0000-0000-0000000000ff,NULL}`,
		`{2026-02-09T11:30:00.000000005Z,NULL}`, `{1.5,0}`, `{7,NULL}`, `{3,NULL}`, `{2026-02-09,NULL}`, `{2026-02-10,-infinity}`,
		`{"\\x00ab","\\x"}`, `{00000000-0000-0000-0000-000000000001,NULL}`,
	}
	var got []string
	for _, c := range columns {
		got = append(got, c.(*Column).String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := columns.Rows(); n != 2 {
		t.Errorf("%d rows", n)
	}
	for name, row := range map[string][]any{"too short": {1}, "of an unknown kind": append([]any{1.5}, make([]any, 12)...)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a row %s was taken", name)
				}
			}()
			columns.Add(row...)
		}()
	}
}
