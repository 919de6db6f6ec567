package lots_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func moment(text string) time.Time {
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return at
}

// said gives what was told as "A 5 of 2024-04-10 on 2024-03-11T09:01".
func said(t *testing.T, events []event.Any) string {
	t.Helper()
	var parts []string
	for _, e := range events {
		p, ok := e.Payload.(event.LotExpiring)
		if !ok {
			t.Fatalf("the worker said %s", e.Type)
		}
		parts = append(parts, fmt.Sprintf("%s %s of %s at %s", p.LotNumber, p.Quantity, p.ExpiryDate, e.Timestamp.Format("01-02 15:04")))
	}
	return strings.Join(parts, ", ")
}

// A lot is told of on the first day on which its expiry is near, once, if something is left.
func TestLotsNearExpiryAreToldOfOnce(t *testing.T) {
	t.Parallel()
	type step struct {
		at   string
		do   func(l *till) event.Any
		want string
	}
	sell := func(quantity string) func(*till) event.Any {
		return func(l *till) event.Any { return l.sell(quantity) }
	}
	receive := func(lot string, expiry event.Date) func(*till) event.Any {
		return func(l *till) event.Any { return l.receive("5", lot, expiry) }
	}
	other := func(l *till) event.Any {
		tea := *l
		tea.item, tea.sequence, tea.onHand = "tea", 0, event.NewDecimal(0)
		return tea.sell("1")
	}
	for name, c := range map[string]struct {
		zone    string
		warning int // 0: no settings
		steps   []step
	}{
		"when its day has come": {steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-04-10"), ""},
			{"2024-03-10 10:00", sell("1"), ""}, // 31 days
			{"2024-03-11 09:00", sell("1"), "A 4 of 2024-04-10 at 03-11 09:00"},
			{"2024-03-12 09:00", sell("1"), ""},
		}},
		"by an event of any item": {steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-04-10"), ""},
			{"2024-03-11 09:00", other, "A 5 of 2024-04-10 at 03-11 09:00"},
		}},
		"after days without an event": {steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-04-10"), ""},
			{"2024-06-01 10:00", sell("1"), "A 5 of 2024-04-10 at 06-01 10:00"},
		}},
		"not when nothing is left": {steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-04-10"), ""},
			{"2024-03-10 10:00", sell("5"), ""},
			{"2024-03-11 10:00", sell("1"), ""},
		}},
		"near when it comes": {steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-03-20"), "A 5 of 2024-03-20 at 03-01 10:00"},
			{"2024-03-01 11:00", receive("A", "2024-03-20"), ""},
			{"2024-03-02 11:00", sell("1"), ""},
		}},
		"once, though used up and filled again": {steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-03-20"), "A 5 of 2024-03-20 at 03-01 10:00"},
			{"2024-03-02 11:00", sell("5"), ""},
			{"2024-03-03 10:00", receive("A", "2024-03-20"), ""},
		}},
		"near when it comes, and short": {steps: []step{
			{"2024-03-01 10:00", sell("5"), ""},
			{"2024-03-01 11:00", receive("A", "2024-03-20"), ""},
		}},
		"a late event begins no day": {steps: []step{
			{"2024-03-11 10:00", receive("A", "2024-04-11"), ""},
			{"2024-03-10 10:00", sell("1"), ""},
			{"2024-03-11 11:00", sell("1"), ""},
			{"2024-03-12 11:00", sell("1"), "A 3 of 2024-04-11 at 03-12 11:00"},
		}},
		"late, and near on the day that is": {steps: []step{
			{"2024-03-11 10:00", sell("1"), ""},
			{"2024-03-01 10:00", receive("A", "2024-04-10"), "A 4 of 2024-04-10 at 03-01 10:00"},
		}},
		"no date, no word": {steps: []step{
			{"2024-03-01 10:00", receive("A", "9999-12-31"), ""},
			{"2024-03-01 10:00", receive("B", ""), ""},
			{"2026-03-01 10:00", sell("1"), ""},
		}},
		"without a number": {steps: []step{{"2024-03-01 10:00", receive("", "2024-03-20"), "unnamed 5 of 2024-03-20 at 03-01 10:00"}}},
		"as early as the tenant wants": {warning: 2, steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-03-10"), ""},
			{"2024-03-07 23:59", sell("1"), ""},
			{"2024-03-08 00:00", sell("1"), "A 4 of 2024-03-10 at 03-08 00:00"},
		}},
		"where the sun rises earlier": {zone: "Asia/Tokyo", steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-04-10"), ""},
			{"2024-03-10 14:59", sell("1"), ""},
			{"2024-03-10 15:00", sell("1"), "A 4 of 2024-04-10 at 03-10 15:00"},
		}},
		"and where later": {zone: "America/New_York", steps: []step{
			{"2024-03-01 10:00", receive("A", "2024-04-10"), ""},
			{"2024-03-11 03:59", sell("1"), ""},
			{"2024-03-11 04:00", sell("1"), "A 4 of 2024-04-10 at 03-11 04:00"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.URL(t)
			db := storetest.Open(t, url, 2)
			if c.zone != "" {
				storetest.Exec(t, url, `INSERT INTO location (tenant_id, location_id, kind, timezone) VALUES ($1, 'shop', 'stock', $2)`, workertest.Tenant, c.zone)
			}
			if c.warning > 0 {
				storetest.Exec(t, url, `INSERT INTO tenant_setting (tenant_id, expiry_warning_days) VALUES ($1, $2)`, workertest.Tenant, c.warning)
			}
			l := newTill(t)
			for _, s := range c.steps {
				l.at = moment(s.at).Add(-time.Minute)
				if got := said(t, handle(t, db, s.do(l))); got != s.want {
					t.Errorf("%s: want %q, got %q", s.at, s.want, got)
				}
			}
		})
	}
}

// The cut of the batches changes nothing: what is told, and of what quantity, is the same.
func TestABatchTellsWhatSingleEventsTell(t *testing.T) {
	t.Parallel()
	history := func(l *till) []event.Any {
		var all []event.Any
		for day := range 40 {
			l.at = workertest.Day.AddDate(0, 0, day)
			if day%3 == 0 {
				expiry := event.DateOf(l.at.AddDate(0, 0, 10+day))
				all = append(all, l.receive("6", fmt.Sprint("lot-", day), expiry))
			}
			all = append(all, l.sell("1"))
		}
		return all
	}
	told := func(size int) []string {
		db, l := storetest.DB(t), newTill(t)
		var got []string
		for batch := range slices.Chunk(history(l), size) {
			if words := said(t, handle(t, db, batch...)); words != "" {
				got = append(got, strings.Split(words, ", ")...)
			}
		}
		return got
	}
	one := told(1)
	if len(one) < 8 {
		t.Fatalf("only %v was told", one)
	}
	for _, size := range []int{7, 200} {
		if got := told(size); !slices.Equal(got, one) {
			t.Errorf("in batches of %d: want\n%s, got\n%s", size, strings.Join(one, "\n"), strings.Join(got, "\n"))
		}
	}
}

// The event carries the lot's own id, by which a consumer recognises a second copy.
func TestTheEventOfALot(t *testing.T) {
	t.Parallel()
	tell := func() event.Any {
		l := newTill(t)
		return handle(t, storetest.DB(t), l.receive("5", "A", "2024-03-20"))[0]
	}
	one, two := tell(), tell()
	if one.ID != two.ID || one.AggregateID != two.AggregateID || one.Metadata.CausationID == two.Metadata.CausationID || one.AggregateType != "LOT" {
		t.Errorf("want one lot's event, by two causes, got %+v and %+v", one.Envelope, two.Envelope)
	}
}

// A planner sees how many days are left, counted on the location's calendar.
func TestLotsOnHandTellTheDaysLeft(t *testing.T) {
	t.Parallel()
	db, l := storetest.DB(t), newTill(t)
	handle(t, db, l.receive("1", "A", "2024-03-01"), l.receive("2", "B", "2024-03-31"), l.receive("3", "C", "2024-04-01"), l.receive("4", "D", "2069-12-31"))
	shelves, err := lots.OnHand(t.Context(), db, masterdata.PositionKey{Tenant: workertest.Tenant, Location: "shop"})
	if err != nil || len(shelves) != 1 {
		t.Fatalf("want one shelf, got %d, %v", len(shelves), err)
	}
	got := ""
	for _, lot := range shelves[0].Lots {
		days := "?"
		if lot.DaysLeft != nil {
			days = fmt.Sprint(*lot.DaysLeft)
		}
		got += fmt.Sprintf("%s %s %t; ", lot.Number, days, lot.Expiring)
	}
	if want := "D ? false; A 0 true; B 30 true; C 31 false; "; got != want || shelves[0].Day != "2024-03-01" {
		t.Errorf("want %s, got %s on %s", want, got, shelves[0].Day)
	}
}

// History fills lots and tells of none; the day that the next event begins tells of those that are near.
func TestHistoryTellsOfNoLot(t *testing.T) {
	t.Parallel()
	db, l := storetest.DB(t), newTill(t)
	l.at = moment("2024-03-01 10:00")
	if got := said(t, handle(t, db, workertest.History(t, l.receive("5", "A", "2024-03-20")), workertest.History(t, l.sell("1")))); got != "" {
		t.Errorf("history told of %s", got)
	}
	if got := standing(t, db, "milk"); got != "A 2024-03-20 4" {
		t.Errorf("want the lot, got %s", got)
	}
	l.at = moment("2024-03-10 10:00")
	if got := said(t, handle(t, db, l.sell("1"))); got != "A 4 of 2024-03-20 at 03-10 10:01" {
		t.Errorf("the next day told of %q", got)
	}
}
