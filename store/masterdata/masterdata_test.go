package masterdata_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
)

func TestMasterDataChangesOnlyWhenItDiffers(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	ctx := t.Context()
	items := func(rows ...masterdata.Item) func() (masterdata.Written, error) {
		return func() (masterdata.Written, error) { return masterdata.SetItems(ctx, p.DB, rows) }
	}
	cup := masterdata.Item{Tenant: "shop", Item: "cup", Name: `a "cup" of {tin}, 5\`, Pack: storetest.Decimal(t, "6.0"), UnitCost: storetest.DecimalPtr(t, "1.50")}
	same := cup
	same.Unit, same.Pack, same.UnitCost = "each", storetest.Decimal(t, "6"), storetest.DecimalPtr(t, "1.5")
	free := cup
	free.UnitCost = storetest.DecimalPtr(t, "0")
	london := masterdata.Location{Tenant: "shop", Location: "LON", Name: "London", Timezone: "Europe/London"}
	acme := masterdata.SupplierRecord{Tenant: "shop", Supplier: "acme", Name: "Acme", LeadTimeDays: 3, Endpoint: "http://127.0.0.1:9/orders"}
	setting := masterdata.TenantSetting{Tenant: "shop", ApprovalLimit: storetest.DecimalPtr(t, "500"), ExpiryWarningDays: 3}
	for _, step := range []struct {
		what string
		do   func() (masterdata.Written, error)
		want masterdata.Written
	}{
		{"a new item", items(cup), masterdata.Written{New: 1}},
		{"the same item", items(same), masterdata.Written{Unchanged: 1}},
		{"one new, one changed, one twice", items(free, masterdata.Item{Tenant: "shop", Item: "pot"}, free), masterdata.Written{New: 1, Changed: 1}},
		{"a new location", func() (masterdata.Written, error) {
			return masterdata.SetLocations(ctx, p.DB, []masterdata.Location{london})
		}, masterdata.Written{New: 1}},
		{"the same location", func() (masterdata.Written, error) {
			return masterdata.SetLocations(ctx, p.DB, []masterdata.Location{london})
		}, masterdata.Written{Unchanged: 1}},
		{"a new supplier", func() (masterdata.Written, error) {
			return masterdata.SetSuppliers(ctx, p.DB, []masterdata.SupplierRecord{acme})
		}, masterdata.Written{New: 1}},
		{"the same supplier", func() (masterdata.Written, error) {
			return masterdata.SetSuppliers(ctx, p.DB, []masterdata.SupplierRecord{acme})
		}, masterdata.Written{Unchanged: 1}},
		{"new settings", func() (masterdata.Written, error) {
			return masterdata.SetTenantSettings(ctx, p.DB, []masterdata.TenantSetting{setting})
		}, masterdata.Written{New: 1}},
		{"the same settings", func() (masterdata.Written, error) {
			return masterdata.SetTenantSettings(ctx, p.DB, []masterdata.TenantSetting{setting})
		}, masterdata.Written{Unchanged: 1}},
		{"no settings", func() (masterdata.Written, error) { return masterdata.SetTenantSettings(ctx, p.DB, nil) }, masterdata.Written{}},
	} {
		got, err := step.do()
		storetest.Must(t, err)
		if got != step.want {
			t.Errorf("%s: got %+v, want %+v", step.what, got, step.want)
		}
	}
	listed, err := masterdata.Items(ctx, p.DB, masterdata.Filter{Tenant: "shop"})
	storetest.Must(t, err)
	if len(listed) != 2 || listed[0].Name != cup.Name || listed[0].Incomplete || listed[0].Unit != "each" || !listed[0].UnitCost.IsZero() || !listed[1].Incomplete {
		t.Errorf("the items are %+v", listed)
	}
	if incomplete, err := masterdata.Items(ctx, p.DB, masterdata.Filter{Incomplete: true}); err != nil || len(incomplete) != 1 || incomplete[0].Item != "pot" {
		t.Errorf("the incomplete items are %+v, %v", incomplete, err)
	}
	if settings, err := masterdata.TenantSettings(ctx, p.DB, masterdata.Filter{}); err != nil || len(settings) != 1 || settings[0].ForecastCadenceDays != 7 {
		t.Errorf("the settings are %+v, %v", settings, err)
	}
}

// Every tenant with items is named once, whatever comes between.
func TestTenantNames(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	names := func(limit int) string {
		return strings.Join(storetest.MustGet(masterdata.TenantNames(t.Context(), p.DB, limit))(t), " ")
	}
	if got := names(10); got != "" {
		t.Errorf("without items there are the tenants %s", got)
	}
	for _, tenant := range []string{"b", "a", "c"} {
		for _, item := range []string{"x", "y"} {
			storetest.MustGet(masterdata.SetItems(t.Context(), p.DB, []masterdata.Item{{Tenant: tenant, Item: item}}))(t)
		}
	}
	if got := names(10) + ", " + names(2); got != "a b c, a b" {
		t.Errorf("the tenants are %s", got)
	}
}

// Rows that the ledger made are completed, not replaced, and an edit changes only the fields it names.
func TestAnEditChangesWhatItNames(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	ctx := t.Context()
	tx := p.OpenTx()
	_, err := ledger.LockPositions(ctx, tx, []masterdata.PositionKey{storetest.PositionKey("cup", "S1"), storetest.PositionKey("cup", ledger.Customer)}, map[masterdata.ItemKey]string{{Tenant: "shop", Item: "cup"}: "a cup"})
	storetest.Must(t, err)
	storetest.Must(t, tx.Commit())
	w, err := masterdata.EditItems(ctx, p.DB, []masterdata.Edit[masterdata.Item]{{Of: masterdata.Item{Tenant: "shop", Item: "cup"}, Change: func(i *masterdata.Item) { i.Pack = event.NewDecimal(6) }}}, false)
	storetest.Must(t, err)
	if w != (masterdata.Written{Changed: 1}) {
		t.Errorf("completing an item is %+v", w)
	}
	items, err := masterdata.Items(ctx, p.DB, masterdata.Filter{Item: "cup"})
	storetest.Must(t, err)
	if got := items[0]; got.Name != "a cup" || got.Pack.String() != "6" || got.Incomplete {
		t.Errorf("the completed item is %+v", got)
	}
	w, err = masterdata.EditLocations(ctx, p.DB, []masterdata.Edit[masterdata.Location]{{Of: masterdata.Location{Tenant: "shop", Location: "S1"}, Change: func(l *masterdata.Location) { l.Timezone = "Europe/Berlin" }}}, false)
	storetest.Must(t, err)
	if w != (masterdata.Written{Changed: 1}) {
		t.Errorf("completing a location is %+v", w)
	}
	places, err := masterdata.Locations(ctx, p.DB, masterdata.Filter{Limit: 5})
	storetest.Must(t, err)
	if len(places) != 1 || places[0].Timezone != "Europe/Berlin" {
		t.Errorf("the locations are %+v, the ledger's own among them?", places)
	}
	storetest.MustGet(masterdata.SetSuppliers(ctx, p.DB, []masterdata.SupplierRecord{{Tenant: "shop", Supplier: "acme", LeadTimeDays: 4}}))(t)
	storetest.MustGet(masterdata.EditSuppliers(ctx, p.DB, []masterdata.Edit[masterdata.SupplierRecord]{{Of: masterdata.SupplierRecord{Tenant: "shop", Supplier: "acme"}, Change: func(s *masterdata.SupplierRecord) { s.Name = "Acme" }}}, false))(t)
	suppliers, err := masterdata.Suppliers(ctx, p.DB, masterdata.Filter{Supplier: "acme"})
	storetest.Must(t, err)
	if len(suppliers) != 1 || suppliers[0] != (masterdata.SupplierRecord{Tenant: "shop", Supplier: "acme", Name: "Acme", LeadTimeDays: 4}) {
		t.Errorf("the suppliers are %+v", suppliers)
	}
}

func TestMasterDataThatCannotBe(t *testing.T) {
	t.Parallel()
	item := func(change func(*masterdata.Item)) error {
		i := masterdata.Item{Tenant: "t", Item: "i", Unit: "each", Pack: event.NewDecimal(1)}
		change(&i)
		return i.Check()
	}
	supplier := func(change func(*masterdata.SupplierRecord)) error {
		s := masterdata.SupplierRecord{Tenant: "t", Supplier: "s"}
		change(&s)
		return s.Check()
	}
	location := func(change func(*masterdata.Location)) error {
		l := masterdata.Location{Tenant: "t", Location: "l", Timezone: "UTC"}
		change(&l)
		return l.Check()
	}
	setting := func(change func(*masterdata.TenantSetting)) error {
		s := masterdata.TenantSetting{Tenant: "t", ForecastCadenceDays: 7}
		change(&s)
		return s.Check()
	}
	for want, err := range map[string]error{
		"itemId: missing":                                                               item(func(i *masterdata.Item) { i.Item = "" }),
		"itemId: want at most 64 bytes, got 65":                                         item(func(i *masterdata.Item) { i.Item = strings.Repeat("x", 65) }),
		`itemId: want no control characters, got "a\x00b"`:                              item(func(i *masterdata.Item) { i.Item = "a\x00b" }),
		`name: want UTF-8, got "\xff"`:                                                  item(func(i *masterdata.Item) { i.Name = "\xff" }),
		"name: want at most 255 characters, got 256":                                    item(func(i *masterdata.Item) { i.Name = strings.Repeat("ä", 256) }),
		"pack: want more than 0, got 0":                                                 item(func(i *masterdata.Item) { i.Pack = event.Decimal{} }),
		"unitCost: want 0 or more, got -1":                                              item(func(i *masterdata.Item) { i.UnitCost = storetest.DecimalPtr(t, "-1") }),
		"leadTimeDays: want 0 to 365, got 366":                                          supplier(func(s *masterdata.SupplierRecord) { s.LeadTimeDays = 366 }),
		"leadTimeDays: missing: a supplier's lead time must be known":                   supplier(func(s *masterdata.SupplierRecord) { s.LeadTimeDays = -1 }),
		"endpoint: want an http or https URL such as https://acme.example/orders":       supplier(func(s *masterdata.SupplierRecord) { s.Endpoint = "ftp://acme.example" }),
		"endpoint: want an http or https URL such as https://acme.example/orders ":      supplier(func(s *masterdata.SupplierRecord) { s.Endpoint = "http:///orders" }),
		"endpoint: want the password itself, not the xxxxx that stands for it in lists": supplier(func(s *masterdata.SupplierRecord) { s.Endpoint = "http://me:xxxxx@acme.example" }),
		`timezone: want an IANA name such as Europe/London, got "Londres"`:              location(func(l *masterdata.Location) { l.Timezone = "Londres" }),
		`timezone: want an IANA name such as Europe/London, got "Local"`:                location(func(l *masterdata.Location) { l.Timezone = "Local" }),
		`locationId: "@loss": names that begin with @ are the ledger's own`:             location(func(l *masterdata.Location) { l.Location = "@loss" }),
		"approvalLimit: want 0 or more, got -0.5":                                       setting(func(s *masterdata.TenantSetting) { s.ApprovalLimit = storetest.DecimalPtr(t, "-0.5") }),
		"forecastCadenceDays: want 1 to 3650, got 0":                                    setting(func(s *masterdata.TenantSetting) { s.ForecastCadenceDays = 0 }),
		"expiryWarningDays: want 0 to 3650, got -1":                                     setting(func(s *masterdata.TenantSetting) { s.ExpiryWarningDays = -1 }),
	} {
		if err == nil || err.Error() != strings.TrimSpace(want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	p := storetest.NewEnv(t, 1)
	var bad *masterdata.InvalidError
	_, err := masterdata.SetItems(t.Context(), p.DB, []masterdata.Item{{Tenant: "t", Item: "ok"}, {Tenant: "t", Item: "a\x00b"}})
	if !errors.As(err, &bad) || bad.Index != 1 || bad.Field != "itemId" {
		t.Errorf("an id that PostgreSQL cannot hold: %v", err)
	}
}
