package demo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/runtime/importer"
)

const tillFile = `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HEART,28,2010-12-01 08:26:00,2.00,17850.0,United Kingdom
536366,85123a,WHITE HEART,3000,2010-12-01 23:30:00,3.00,17850.0,United Kingdom
C36367,85123A,WHITE HEART,-6,2010-12-03 09:00:00,2.00,17850.0,United Kingdom
536368,POST,POSTAGE,1,2010-12-03 09:00:00,18.00,17850.0,United Kingdom
536369,71053,LANTERN,100,2011-07-01 00:10:00,4.00,17850.0,United Kingdom
536370,71053,broken,-5,2011-07-02 10:00:00,0,,United Kingdom
`

func openFile(t *testing.T, mode string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "till.csv")
	if err := os.WriteFile(path, []byte(tillFile), 0o600); err != nil {
		t.Fatal(err)
	}
	mapping, err := importer.LoadMapping("online-retail.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(t.Context(), path, mapping, mode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The days of a file are those of its own time zone: ten past midnight in London's summer is still the day before in
// UTC.
func TestFileDays(t *testing.T) {
	t.Parallel()
	f := openFile(t, masterdata.RuleAuto)
	if first, last := f.Days(); first != "2010-12-01" || last != "2011-07-02" {
		t.Errorf("the days are %s to %s", first, last)
	}
	want := map[event.Date]int{"2010-12-01": 2, "2010-12-03": 1, "2011-07-01": 1, "2011-07-02": 1}
	var total Tally
	for date := event.Date("2010-12-01"); date <= "2011-07-03"; date = date.AddDays(1) {
		opened, err := f.OpenDay(date)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(opened.Logged); (n == 1) != (date == "2010-12-01" || date == "2011-07-01") {
			t.Errorf("when %s opens, %d items are counted", date, n)
		}
		activity, err := f.Trade(t.Context(), date)
		if err != nil || len(activity.Logged) != want[date] {
			t.Errorf("%s has %d events, want %d (%v)", date, len(activity.Logged), want[date], err)
		}
		total.add(activity)
	}
	heart := masterdata.PositionKey{Tenant: "demo", Item: "85123A", Location: "UK-WH"}
	lost := 3028 - f.scan.items[heart].opening(supplierOf("85123A"))
	if total.Sold.String() != "3128" || lost <= 0 || total.Lost.IntPart() != lost || total.Returned.String() != "6" || total.Found.String() != "5" {
		t.Errorf("sold %s, %s without stock, want %d; returned %s, found %s", total.Sold, total.Lost, lost, total.Returned, total.Found)
	}
}

// A file that was simulated up to a day resumes with that day: the log recognises its events.
func TestFileResumes(t *testing.T) {
	t.Parallel()
	f := openFile(t, masterdata.RuleAuto)
	if err := f.Resume("2010-12-03", nil, nil); err != nil {
		t.Fatal(err)
	}
	first, _ := f.Days()
	activity, err := f.Trade(t.Context(), first)
	if err != nil || first != "2010-12-03" || len(activity.Logged) != 1 || activity.Logged[0].AggregateID != "C36367" {
		t.Errorf("it resumes with %s: %d events, %v", first, len(activity.Logged), err)
	}
}

// The master data is made from the file.
func TestFileMaster(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{masterdata.RuleAuto, masterdata.RuleFixed} {
		m, err := openFile(t, mode).Master("http://127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Items) != 2 || len(m.Rules) != 2 || len(m.Locations) != 1 || m.Locations[0].Timezone != "Europe/London" {
			t.Fatalf("%s: %+v", mode, m)
		}
		heart := m.Items[1]
		if heart.Item != "85123A" || heart.Name != "WHITE HEART" || heart.UnitCost.String() != "1.65" || heart.Pack.String() != "48" {
			t.Errorf("%s: %+v costs %s, in packs of %s", mode, heart, heart.UnitCost, heart.Pack)
		}
		for _, r := range m.Rules {
			if err := r.Check(); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
			if r.Mode != mode || (r.OrderUpTo != nil) != (mode == masterdata.RuleFixed) {
				t.Errorf("%+v is not a rule of mode %s", r, mode)
			}
		}
	}
}

// The buyer rejects an order that only a mistyped sale can explain.
func TestBuyerRejectsAbsurdOrders(t *testing.T) {
	t.Parallel()
	for amount, want := range map[int64]bool{1001: false, 20000: false, 20001: true} {
		if got := rejectAbsurd(purchasing.WaitingOrder{Total: event.NewDecimal(amount)}, 1) != ""; got != want {
			t.Errorf("an order over %d: rejected %v", amount, got)
		}
	}
}
