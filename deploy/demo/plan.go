package demo

import (
	"context"
	"math"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// plan is what a planner would write down for a product at a place before
// anything was sold, from the mean day: when to say that stock is low, when to
// order, how far, and what to begin with.
type plan struct {
	threshold, reorder, upTo, first int64
	coverDays                       int
}

func planFor(p product, at place) plan {
	mean, lead := p.mean(at), float64(leadOf(p.supplier))
	if p.habit == seasonal {
		mean /= 5 // nobody stocks up before the season
	}
	up := func(x float64) int64 { return int64(math.Ceil(x)) }
	if !p.ordered(at) {
		return plan{threshold: up(mean * 3), first: up(mean*8) + 1}
	}
	n := plan{coverDays: 14, threshold: up(mean * lead / 2), reorder: up(mean*(lead+1)*1.4) + 1}
	if p.keeps > 0 && p.keeps <= 14 {
		n.coverDays = max(1, p.keeps/2-1)
	}
	n.upTo = n.reorder + up(mean*float64(n.coverDays)) + 1
	n.first = n.upTo
	return n
}

func leadOf(supplier string) int {
	for _, s := range sources {
		if s.id == supplier {
			return s.leadDays
		}
	}
	return 0
}

// approvalLimit is up to what the shop's orders need nobody's word.
const approvalLimit = "300"

// Master is what the world's planners and buyers write down before the first day.
type Master struct {
	Items     []masterdata.Item
	Locations []masterdata.Location
	Suppliers []masterdata.SupplierRecord
	Rules     []masterdata.Rule
	Settings  masterdata.TenantSetting
}

// Master gives the shop's, its suppliers being reached below the address.
func (s *Shop) Master(suppliers string) (Master, error) {
	var m Master
	for _, p := range products {
		cost, err := event.ParseDecimal(p.cost)
		s.voice.keep(err)
		pack := event.NewDecimal(p.pack)
		m.Items = append(m.Items, masterdata.Item{Tenant: Tenant, Item: p.id, Name: p.name, Unit: "each", Pack: pack, UnitCost: &cost})
		for _, l := range places {
			m.Rules = append(m.Rules, s.rule(p, l))
		}
	}
	for _, l := range places {
		m.Locations = append(m.Locations, masterdata.Location{Tenant: Tenant, Location: l.id, Name: l.name, Timezone: shopZone})
	}
	for _, c := range sources {
		m.Suppliers = append(m.Suppliers, masterdata.SupplierRecord{Tenant: Tenant, Supplier: c.id, Name: c.name, LeadTimeDays: c.leadDays, Endpoint: endpoint(suppliers, c.id)})
	}
	limit, err := event.ParseDecimal(approvalLimit)
	s.voice.keep(err)
	m.Settings = masterdata.TenantSetting{Tenant: Tenant, ApprovalLimit: &limit, ForecastCadenceDays: 7, ExpiryWarningDays: 2}
	return m, s.voice.err
}

// rule follows the forecast, except for what is asked for so seldom that a fixed
// stock reads better, and for what a store does not order itself: there it only
// watches.
func (s *Shop) rule(p product, at place) masterdata.Rule {
	n := planFor(p, at)
	threshold := event.NewDecimal(n.threshold)
	r := masterdata.Rule{Tenant: Tenant, Item: p.id, Location: at.id, LowStockThreshold: &threshold}
	if !p.ordered(at) {
		return r
	}
	point := event.NewDecimal(n.reorder)
	r.Supplier, r.ReorderPoint = p.supplier, &point
	if p.habit == lumpy {
		upTo := event.NewDecimal(n.upTo)
		r.OrderUpTo = &upTo
		return r
	}
	level, err := event.ParseDecimal("0.97")
	s.voice.keep(err)
	r.Mode, r.ServiceLevel, r.CoverDays = masterdata.RuleAuto, level, n.coverDays
	return r
}

// writeDown sets the master data. What is there already and says the same is left alone.
func (g *Game) writeDown(ctx context.Context) error {
	m, err := g.World.Master(g.suppliers.addr)
	if err != nil {
		return err
	}
	if _, err := masterdata.SetItems(ctx, g.DB, m.Items); err != nil {
		return err
	}
	if _, err := masterdata.SetLocations(ctx, g.DB, m.Locations); err != nil {
		return err
	}
	if _, err := masterdata.SetSuppliers(ctx, g.DB, m.Suppliers); err != nil {
		return err
	}
	if _, err := masterdata.SetTenantSettings(ctx, g.DB, []masterdata.TenantSetting{m.Settings}); err != nil {
		return err
	}
	_, err = masterdata.SetRules(ctx, g.DB, m.Rules, g.Moment(g.first))
	return err
}
