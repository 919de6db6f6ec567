package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Currency
//
// A location has one currency: its own, else its tenant's, else none. A sale that names another currency than its
// location's is refused where it comes in, so that all amounts of a location are in its currency and can be added up. A
// sale without a currency is in its location's; a location without one takes every sale, as before there were
// currencies, and its amounts are not comparable. What is in the log already is not judged again.

// LocationCurrencySQL is the currency of a location l, whose tenant has the settings s; both rows may be missing. It is
// empty where there is none.
const LocationCurrencySQL = `coalesce(nullif(l.currency, ''), s.currency, '')`

// ErrCurrency is the error of an event whose currency is not its location's.
var ErrCurrency = errors.New("the currency is not the location's")

// CurrencyError is the ErrCurrency of an event, with what to do.
func CurrencyError(e event.Any) error {
	location, currency := currencyOf(e)
	return fmt.Errorf("%w: %s of tenant %s is not in %s (composerp location list and composerp tenant list show currency): publish the amount in the location's currency, or set the location's currency",
		ErrCurrency, location, e.TenantID, currency)
}

// currencyOf returns the location and the currency of an event, "" where it names none.
func currencyOf(e event.Any) (location, currency string) {
	sale, _ := e.Payload.(event.SaleCompleted)
	return sale.LocationID, sale.Currency
}

var foreignCurrencies = pg.SQL(`
SELECT e.ord FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS e(tenant_id, location_id, currency, ord)
LEFT JOIN location l USING (tenant_id, location_id)
LEFT JOIN tenant_setting s USING (tenant_id)
WHERE ` + LocationCurrencySQL + ` NOT IN ('', e.currency) ORDER BY e.ord`)

// foreign returns the indexes of the events whose currency is not their location's.
func foreign(ctx context.Context, tx store.Tx, events []event.Any) ([]int, error) {
	var named []int
	columns := pg.NewColumns(3, len(events))
	for i := range events {
		if location, currency := currencyOf(events[i]); currency != "" {
			named = append(named, i)
			columns.Add(events[i].TenantID, location, currency)
		}
	}
	if len(named) == 0 {
		return nil, nil
	}
	found, err := pg.List[int](ctx, tx, fmt.Sprintf("checking the currency of %d events", len(named)), foreignCurrencies, columns...)
	for i, ord := range found {
		found[i] = named[ord-1]
	}
	return found, err
}
