package demo

import (
	"cmp"
	"hash/fnv"
	"maps"
	"math"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// The file does not name suppliers: each item is given one of these.
var fileSuppliers = []supplier{
	{"SUPPLIER-A", "Next-door Wholesale", 3, 8, 6, 3, false},
	{"SUPPLIER-B", "Midlands Giftware", 5, 10, 8, 3, false},
	{"SUPPLIER-C", "Harbour Imports", 7, 15, 10, 4, false},
	{"SUPPLIER-D", "Continental Home", 10, 18, 10, 4, false},
	{"SUPPLIER-E", "Far East Trading", 14, 25, 15, 5, false},
}

const (
	fileApprovalLimit = 1000
	absurdFactor      = 20 // times the limit
	fileCoverDays     = 28
)

func supplierOf(item string) supplier {
	h := fnv.New32a()
	_, _ = h.Write([]byte(item))
	return fileSuppliers[h.Sum32()%uint32(len(fileSuppliers))]
}

// Master makes the master data from the file: items, their cost, and a rule each.
func (f *File) Master(suppliers string) (Master, error) {
	m := Master{Settings: masterdata.TenantSetting{Tenant: f.Tenant(), ForecastCadenceDays: 7, ExpiryWarningDays: 30, MaxAheadHours: 36}}
	limit := event.NewDecimal(fileApprovalLimit)
	m.Settings.ApprovalLimit = &limit
	for _, c := range fileSuppliers {
		m.Suppliers = append(m.Suppliers, masterdata.SupplierRecord{
			Tenant: f.Tenant(), Supplier: c.id, Name: c.name, LeadTimeDays: c.leadDays, Endpoint: endpoint(suppliers, c.id),
		})
	}
	locations, items := map[string]bool{}, map[string]bool{}
	for _, key := range f.scan.keys() {
		i := f.scan.items[key]
		m.Rules = append(m.Rules, f.rule(key, i))
		if !locations[key.Location] {
			locations[key.Location] = true
			m.Locations = append(m.Locations, masterdata.Location{Tenant: key.Tenant, Location: key.Location, Timezone: f.zone.String()})
		}
		if !items[key.Item] {
			items[key.Item] = true
			cost := rounded(i.cost(), 2)
			m.Items = append(m.Items, masterdata.Item{
				Tenant: key.Tenant, Item: key.Item, Name: i.name, Unit: "each", Pack: event.NewDecimal(i.pack()), UnitCost: &cost,
			})
		}
	}
	return m, f.producer.err
}

// rule orders by the mean demand of the item's first weeks, up to four weeks' demand above the reorder point. A fixed
// rule stays so; an auto rule begins so, and then follows the forecast.
func (f *File) rule(key masterdata.PositionKey, i *itemScan) masterdata.Rule {
	c := supplierOf(key.Item)
	point := i.reorderPoint(c)
	reorder, threshold := event.NewDecimal(point), event.NewDecimal((point+1)/2)
	r := masterdata.Rule{
		Tenant: key.Tenant, Item: key.Item, Location: key.Location, Mode: f.mode, Supplier: c.id,
		ReorderPoint: &reorder, LowStockThreshold: &threshold, CoverDays: fileCoverDays, ServiceLevel: rounded(0.95, 2),
	}
	if f.mode == masterdata.RuleFixed {
		upTo := event.NewDecimal(point + max(i.pack(), int64(math.Ceil(fileCoverDays*i.mean()))))
		r.OrderUpTo = &upTo
	}
	return r
}

// keys are the positions, sorted.
func (s *fileScan) keys() []masterdata.PositionKey {
	return slices.SortedFunc(maps.Keys(s.items), func(a, b masterdata.PositionKey) int {
		return cmp.Or(cmp.Compare(a.Item, b.Item), cmp.Compare(a.Location, b.Location))
	})
}

func rounded(x float64, digits int32) event.Decimal {
	scale := math.Pow10(int(digits))
	return event.Decimal{Decimal: event.NewDecimal(int64(math.Round(x * scale))).Shift(-digits)}
}
