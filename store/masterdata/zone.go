package masterdata

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// zoneAge is how long a location's time zone is cached: zones hardly ever change.
const zoneAge = time.Minute

// zones caches the time zones of locations.
type zones struct {
	mu    sync.Mutex
	known map[LocationKey]*time.Location
	since time.Time
}

// missing returns the keys that are not cached, each once.
func (z *zones) missing(keys []LocationKey, into map[LocationKey]*time.Location) (unknown []LocationKey) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if time.Since(z.since) > zoneAge {
		z.known, z.since = map[LocationKey]*time.Location{}, time.Now()
	}
	for _, k := range keys {
		if _, done := into[k]; done {
			continue
		}
		zone := z.known[k]
		if zone == nil {
			unknown, zone = append(unknown, k), time.UTC
		}
		into[k] = zone
	}
	return unknown
}

func (z *zones) keep(k LocationKey, zone *time.Location) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.known[k] = zone
}

func zonesIn(tx store.Tx) *zones { return pg.PoolState[zones](pg.DBOf(tx)) }

var locationZones = pg.SQL(`
SELECT k.ord, l.timezone FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(tenant_id, location_id, ord)
JOIN location l USING (tenant_id, location_id)`)

// Zones returns the time zones of locations, UTC for unknown ones. They decide the calendar day of a moment of
// business time; see BusinessDate.
func Zones(ctx context.Context, tx store.Tx, keys []LocationKey) (map[LocationKey]*time.Location, error) {
	found := make(map[LocationKey]*time.Location, 1)
	unknown := zonesIn(tx).missing(keys, found)
	if len(unknown) == 0 {
		return found, nil
	}
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the time zones of %d locations", len(unknown)), locationZones, func(row *sql.Rows) error {
		var ord int
		var name string
		if err := row.Scan(&ord, &name); err != nil {
			return err
		}
		zone, err := time.LoadLocation(name)
		if err != nil {
			return fmt.Errorf("location %s: %w", unknown[ord-1].Location, err)
		}
		found[unknown[ord-1]] = zone
		zonesIn(tx).keep(unknown[ord-1], zone)
		return nil
	}, LocationColumns(unknown)...)
	return found, err
}

// BusinessDate is the calendar day of a moment in a zone; nil is UTC.
func BusinessDate(at time.Time, zone *time.Location) event.Date {
	if zone == nil {
		zone = time.UTC
	}
	return event.DateOf(at.In(zone))
}
