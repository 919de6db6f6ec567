package demo

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// Delivery is the goods of one order line that arrive on one day.
type Delivery struct {
	Tenant, OrderID, PONumber string
	Supplier, Location, Item  string
	Quantity                  event.Decimal
	Part                      int        // 1, or 2 for the rest of a shipment in two parts
	Date                      event.Date // of business
	Lot                       string
	Expiry                    event.Date // "" where the goods do not expire
	Late                      int        // days after the promised one
	Twice                     bool       // the delivery note is sent a second time
}

// number identifies the delivery: its second note has the same.
func (d *Delivery) number() string {
	return fmt.Sprintf("D-%.36s-%d", d.OrderID, d.Part)
}

// receipt is the warehouse's event for the goods.
func (d *Delivery) receipt(v *producer, at time.Time) event.Any {
	return v.encode(at, "wms", d.number(), event.ReceiptCompleted{
		ReceiptID: d.number(), ItemID: d.Item, LocationID: d.Location, Quantity: d.Quantity,
		LotNumber: d.Lot, ExpiryDate: d.Expiry, PurchaseOrderID: d.OrderID, Timestamp: at,
	})
}

// ship decides how a supplier delivers one line of an order: when, and in how many parts. It follows from the seed and
// the order alone.
func (c supplier) ship(seed uint64, o order, line orderLine, ordered event.Date, shelfLife int) []Delivery {
	d := randomFor(seed, "", o.PurchaseOrderID+"/"+line.ItemID) // without the day: a resumed run draws the same
	late := 0
	if d.IntN(100) < c.late {
		late = 1 + d.IntN(1+c.leadDays/2)
	}
	whole := Delivery{
		Tenant: o.TenantID, OrderID: o.PurchaseOrderID, PONumber: o.PONumber, Supplier: c.id, Location: o.LocationID, Item: line.ItemID,
		Quantity: line.Quantity, Part: 1, Date: ordered.AddDays(max(1, c.leadDays) + late), Late: late, Twice: d.IntN(100) < c.twice,
	}
	parts := []Delivery{whole}
	if pieces := line.Quantity.IntPart(); d.IntN(100) < c.partial && pieces >= 4 {
		parts[0].Quantity = event.NewDecimal(pieces / 2)
		rest := whole
		rest.Part, rest.Twice = 2, false
		rest.Quantity, rest.Date = line.Quantity.Sub(parts[0].Quantity), whole.Date.AddDays(1+d.IntN(3))
		parts = append(parts, rest)
	}
	for i := range parts {
		parts[i].mark(c, shelfLife)
	}
	return parts
}

// unknownExpiry is what warehouses write where a date is required and none is known.
const unknownExpiry event.Date = "9999-12-31"

// mark gives goods that expire their lot and date. They were made the day before they arrive.
func (d *Delivery) mark(c supplier, shelfLife int) {
	if shelfLife == 0 {
		return
	}
	d.Lot = fmt.Sprintf("%s-%s-%.8s", c.id, d.Date, d.OrderID)
	d.Expiry = d.Date.AddDays(shelfLife - 1)
	if c.unknownExpiry && d.Part == 2 {
		d.Expiry = unknownExpiry
	}
}

// deliveries are the goods on their way to the business, by day of arrival.
type deliveries map[event.Date][]Delivery

func (b deliveries) add(ds ...Delivery) {
	for _, d := range ds {
		b[d.Date] = append(b[d.Date], d)
	}
}

// due removes the deliveries up to a day and gives them in an order that does not depend on the order of the requests.
func (b deliveries) due(date event.Date) (all []Delivery) {
	for day, ds := range b {
		if day <= date {
			all = append(all, ds...)
			delete(b, day)
		}
	}
	slices.SortFunc(all, func(x, y Delivery) int {
		return cmp.Or(cmp.Compare(x.Date, y.Date), cmp.Compare(x.Supplier, y.Supplier), cmp.Compare(x.Location, y.Location),
			cmp.Compare(x.Item, y.Item), cmp.Compare(x.OrderID, y.OrderID), cmp.Compare(x.Part, y.Part))
	})
	return all
}
