package demo

import (
	"context"
	"math"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// plan is how a planner sets up a product at a location before the first sale, from its mean demand: low-stock
// threshold, reorder point, order-up-to level and opening stock.
type plan struct {
	threshold, reorder, upTo, first int64
	coverDays                       int
}

func planFor(p product, at location) plan {
	mean, lead := p.mean(at), float64(leadOf(p.supplier))
	if p.pattern == seasonal {
		mean /= 5 // no stock is built up before the season
	}
	up := func(x float64) int64 { return int64(math.Ceil(x)) }
	if !p.ordersItself(at) {
		return plan{threshold: up(mean * 3), first: up(mean*8) + 1}
	}
	n := plan{coverDays: 14, threshold: up(mean * lead / 2), reorder: up(mean*(lead+1)*1.4) + 1}
	if p.shelfLife > 0 && p.shelfLife <= 14 {
		n.coverDays = max(1, p.shelfLife/2-1)
	}
	n.upTo = n.reorder + up(mean*float64(n.coverDays)) + 1
	n.first = n.upTo
	return n
}

func leadOf(supplier string) int {
	for _, s := range shopSuppliers {
		if s.id == supplier {
			return s.leadDays
		}
	}
	return 0
}

// shopApprovalLimit is up to which amount policy approves the shop's orders.
const shopApprovalLimit = "300"

// Master is the master data of a scenario.
type Master struct {
	Items     []masterdata.Item
	Locations []masterdata.Location
	Suppliers []masterdata.SupplierRecord
	Rules     []masterdata.Rule
	Settings  masterdata.TenantSetting
}

// Master gives the shop's master data, with suppliers that take orders below the address.
func (s *Shop) Master(suppliers string) (Master, error) {
	var m Master
	for _, p := range products {
		cost, err := event.ParseDecimal(p.cost)
		s.producer.keepError(err)
		pack := event.NewDecimal(p.pack)
		m.Items = append(m.Items, masterdata.Item{Tenant: Tenant, Item: p.id, Name: p.name, Unit: "each", Pack: pack, UnitCost: &cost})
		for _, l := range locations {
			m.Rules = append(m.Rules, s.rule(p, l))
		}
	}
	for _, l := range locations {
		m.Locations = append(m.Locations, masterdata.Location{Tenant: Tenant, Location: l.id, Name: l.name, Timezone: shopZone})
	}
	for _, c := range shopSuppliers {
		m.Suppliers = append(m.Suppliers, masterdata.SupplierRecord{Tenant: Tenant, Supplier: c.id, Name: c.name, LeadTimeDays: c.leadDays, Endpoint: endpoint(suppliers, c.id)})
	}
	limit, err := event.ParseDecimal(shopApprovalLimit)
	s.producer.keepError(err)
	m.Settings = masterdata.TenantSetting{Tenant: Tenant, ApprovalLimit: &limit, ForecastCadenceDays: 7, ExpiryWarningDays: 2, MaxAheadHours: 36}
	return m, s.producer.err
}

// rule follows the forecast, except for lumpy products, which have a fixed level, and for products that the location
// does not order itself, which have only a low-stock threshold.
func (s *Shop) rule(p product, at location) masterdata.Rule {
	n := planFor(p, at)
	threshold := event.NewDecimal(n.threshold)
	r := masterdata.Rule{Tenant: Tenant, Item: p.id, Location: at.id, LowStockThreshold: &threshold}
	if !p.ordersItself(at) {
		return r
	}
	point := event.NewDecimal(n.reorder)
	r.Supplier, r.ReorderPoint = p.supplier, &point
	if p.pattern == lumpy {
		upTo := event.NewDecimal(n.upTo)
		r.OrderUpTo = &upTo
		return r
	}
	level, err := event.ParseDecimal("0.97")
	s.producer.keepError(err)
	r.Mode, r.ServiceLevel, r.CoverDays = masterdata.RuleAuto, level, n.coverDays
	return r
}

// setMasterData writes the master data. Records that have not changed are left alone.
func (s *Simulation) setMasterData(ctx context.Context) error {
	m, err := s.Scenario.Master(s.suppliers.addr)
	if err != nil {
		return err
	}
	if _, err := masterdata.SetItems(ctx, s.DB, m.Items); err != nil {
		return err
	}
	if _, err := masterdata.SetLocations(ctx, s.DB, m.Locations); err != nil {
		return err
	}
	if _, err := masterdata.SetSuppliers(ctx, s.DB, m.Suppliers); err != nil {
		return err
	}
	if _, err := masterdata.SetTenantSettings(ctx, s.DB, []masterdata.TenantSetting{m.Settings}); err != nil {
		return err
	}
	_, err = masterdata.SetRules(ctx, s.DB, m.Rules, s.Moment(s.first))
	return err
}
