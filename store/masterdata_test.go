package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

func TestMasterDataChangesOnlyWhenItDiffers(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	ctx := t.Context()
	items := func(rows ...store.Item) func() (store.Written, error) {
		return func() (store.Written, error) { return p.SetItems(ctx, rows) }
	}
	cup := store.Item{Tenant: "shop", Item: "cup", Name: `a "cup" of {tin}, 5\`, Pack: decimal(t, "6.0"), UnitCost: number(t, "1.50")}
	same := cup
	same.Unit, same.Pack, same.UnitCost = "each", decimal(t, "6"), number(t, "1.5")
	free := cup
	free.UnitCost = number(t, "0")
	london := store.Location{Tenant: "shop", Location: "LON", Name: "London", Timezone: "Europe/London"}
	acme := store.SupplierRecord{Tenant: "shop", Supplier: "acme", Name: "Acme", LeadTimeDays: 3, Endpoint: "http://127.0.0.1:9/orders"}
	setting := store.TenantSetting{Tenant: "shop", ApprovalLimit: number(t, "500"), ExpiryWarningDays: 3}
	for _, step := range []struct {
		what string
		do   func() (store.Written, error)
		want store.Written
	}{
		{"a new item", items(cup), store.Written{New: 1}},
		{"the same item", items(same), store.Written{Unchanged: 1}},
		{"one new, one changed, one twice", items(free, store.Item{Tenant: "shop", Item: "pot"}, free), store.Written{New: 1, Changed: 1}},
		{"a new location", func() (store.Written, error) { return p.SetLocations(ctx, []store.Location{london}) }, store.Written{New: 1}},
		{"the same location", func() (store.Written, error) { return p.SetLocations(ctx, []store.Location{london}) }, store.Written{Unchanged: 1}},
		{"a new supplier", func() (store.Written, error) { return p.SetSuppliers(ctx, []store.SupplierRecord{acme}) }, store.Written{New: 1}},
		{"the same supplier", func() (store.Written, error) { return p.SetSuppliers(ctx, []store.SupplierRecord{acme}) }, store.Written{Unchanged: 1}},
		{"new settings", func() (store.Written, error) { return p.SetTenantSettings(ctx, []store.TenantSetting{setting}) }, store.Written{New: 1}},
		{"the same settings", func() (store.Written, error) { return p.SetTenantSettings(ctx, []store.TenantSetting{setting}) }, store.Written{Unchanged: 1}},
		{"no settings", func() (store.Written, error) { return p.SetTenantSettings(ctx, nil) }, store.Written{}},
	} {
		got, err := step.do()
		must(t, err)
		if got != step.want {
			t.Errorf("%s: got %+v, want %+v", step.what, got, step.want)
		}
	}
	listed, err := p.Items(ctx, store.MasterDataFilter{Tenant: "shop"})
	must(t, err)
	if len(listed) != 2 || listed[0].Name != cup.Name || listed[0].Incomplete || listed[0].Unit != "each" || !listed[0].UnitCost.IsZero() || !listed[1].Incomplete {
		t.Errorf("the items are %+v", listed)
	}
	if incomplete, err := p.Items(ctx, store.MasterDataFilter{Incomplete: true}); err != nil || len(incomplete) != 1 || incomplete[0].Item != "pot" {
		t.Errorf("the incomplete items are %+v, %v", incomplete, err)
	}
	if settings, err := p.TenantSettings(ctx, store.MasterDataFilter{}); err != nil || len(settings) != 1 || settings[0].ForecastCadenceDays != 7 {
		t.Errorf("the settings are %+v, %v", settings, err)
	}
}

// What the ledger has made on first sight is completed, not replaced: and an
// edit leaves alone what it does not name.
func TestAnEditChangesWhatItNames(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	ctx := t.Context()
	tx := p.begin()
	_, err := tx.LockPositions(ctx, []store.PositionKey{key("cup", "S1"), key("cup", store.Customer)}, map[store.ItemKey]string{{Tenant: "shop", Item: "cup"}: "a cup"})
	must(t, err)
	must(t, tx.Commit())
	w, err := p.EditItems(ctx, []store.Edit[store.Item]{{Of: store.Item{Tenant: "shop", Item: "cup"}, Change: func(i *store.Item) { i.Pack = event.NewDecimal(6) }}}, false)
	must(t, err)
	if w != (store.Written{Changed: 1}) {
		t.Errorf("completing an item is %+v", w)
	}
	items, err := p.Items(ctx, store.MasterDataFilter{Item: "cup"})
	must(t, err)
	if got := items[0]; got.Name != "a cup" || got.Pack.String() != "6" || got.Incomplete {
		t.Errorf("the completed item is %+v", got)
	}
	w, err = p.EditLocations(ctx, []store.Edit[store.Location]{{Of: store.Location{Tenant: "shop", Location: "S1"}, Change: func(l *store.Location) { l.Timezone = "Europe/Berlin" }}}, false)
	must(t, err)
	if w != (store.Written{Changed: 1}) {
		t.Errorf("completing a location is %+v", w)
	}
	places, err := p.Locations(ctx, store.MasterDataFilter{Limit: 5})
	must(t, err)
	if len(places) != 1 || places[0].Timezone != "Europe/Berlin" {
		t.Errorf("the locations are %+v, the ledger's own among them?", places)
	}
	must2(p.SetSuppliers(ctx, []store.SupplierRecord{{Tenant: "shop", Supplier: "acme", LeadTimeDays: 4}}))(t)
	must2(p.EditSuppliers(ctx, []store.Edit[store.SupplierRecord]{{Of: store.SupplierRecord{Tenant: "shop", Supplier: "acme"}, Change: func(s *store.SupplierRecord) { s.Name = "Acme" }}}, false))(t)
	suppliers, err := p.Suppliers(ctx, store.MasterDataFilter{Supplier: "acme"})
	must(t, err)
	if len(suppliers) != 1 || suppliers[0] != (store.SupplierRecord{Tenant: "shop", Supplier: "acme", Name: "Acme", LeadTimeDays: 4}) {
		t.Errorf("the suppliers are %+v", suppliers)
	}
}

func TestMasterDataThatCannotBe(t *testing.T) {
	t.Parallel()
	item := func(change func(*store.Item)) error {
		i := store.Item{Tenant: "t", Item: "i", Unit: "each", Pack: event.NewDecimal(1)}
		change(&i)
		return i.Check()
	}
	supplier := func(change func(*store.SupplierRecord)) error {
		s := store.SupplierRecord{Tenant: "t", Supplier: "s"}
		change(&s)
		return s.Check()
	}
	location := func(change func(*store.Location)) error {
		l := store.Location{Tenant: "t", Location: "l", Timezone: "UTC"}
		change(&l)
		return l.Check()
	}
	setting := func(change func(*store.TenantSetting)) error {
		s := store.TenantSetting{Tenant: "t", ForecastCadenceDays: 7}
		change(&s)
		return s.Check()
	}
	for want, err := range map[string]error{
		"itemId: missing":                                                               item(func(i *store.Item) { i.Item = "" }),
		"itemId: want at most 64 bytes, got 65":                                         item(func(i *store.Item) { i.Item = strings.Repeat("x", 65) }),
		`itemId: want no control characters, got "a\x00b"`:                              item(func(i *store.Item) { i.Item = "a\x00b" }),
		`name: want UTF-8, got "\xff"`:                                                  item(func(i *store.Item) { i.Name = "\xff" }),
		"name: want at most 255 characters, got 256":                                    item(func(i *store.Item) { i.Name = strings.Repeat("ä", 256) }),
		"pack: want more than 0, got 0":                                                 item(func(i *store.Item) { i.Pack = event.Decimal{} }),
		"unitCost: want 0 or more, got -1":                                              item(func(i *store.Item) { i.UnitCost = number(t, "-1") }),
		"leadTimeDays: want 0 to 365, got 366":                                          supplier(func(s *store.SupplierRecord) { s.LeadTimeDays = 366 }),
		"leadTimeDays: missing: a supplier's lead time must be known":                   supplier(func(s *store.SupplierRecord) { s.LeadTimeDays = -1 }),
		"endpoint: want an http or https URL such as https://acme.example/orders":       supplier(func(s *store.SupplierRecord) { s.Endpoint = "ftp://acme.example" }),
		"endpoint: want an http or https URL such as https://acme.example/orders ":      supplier(func(s *store.SupplierRecord) { s.Endpoint = "http:///orders" }),
		"endpoint: want the password itself, not the xxxxx that stands for it in lists": supplier(func(s *store.SupplierRecord) { s.Endpoint = "http://me:xxxxx@acme.example" }),
		`timezone: want an IANA name such as Europe/London, got "Londres"`:              location(func(l *store.Location) { l.Timezone = "Londres" }),
		`timezone: want an IANA name such as Europe/London, got "Local"`:                location(func(l *store.Location) { l.Timezone = "Local" }),
		`locationId: "@loss": names that begin with @ are the ledger's own`:             location(func(l *store.Location) { l.Location = "@loss" }),
		"approvalLimit: want 0 or more, got -0.5":                                       setting(func(s *store.TenantSetting) { s.ApprovalLimit = number(t, "-0.5") }),
		"forecastCadenceDays: want 1 to 3650, got 0":                                    setting(func(s *store.TenantSetting) { s.ForecastCadenceDays = 0 }),
		"expiryWarningDays: want 0 to 3650, got -1":                                     setting(func(s *store.TenantSetting) { s.ExpiryWarningDays = -1 }),
	} {
		if err == nil || err.Error() != strings.TrimSpace(want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	p := newPlace(t, 1)
	var bad *store.InvalidError
	_, err := p.SetItems(t.Context(), []store.Item{{Tenant: "t", Item: "ok"}, {Tenant: "t", Item: "a\x00b"}})
	if !errors.As(err, &bad) || bad.Index != 1 || bad.Field != "itemId" {
		t.Errorf("an id that PostgreSQL cannot hold: %v", err)
	}
}
