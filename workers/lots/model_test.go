package lots_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	storelots "github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/lots"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// shop is a random history of a few positions.
type shop struct {
	tills  []*till
	events []event.Any
}

func newShop(t testing.TB, random *rand.Rand, positions, events int) *shop {
	s := &shop{}
	for i := range positions {
		l := newTill(t)
		l.item, l.location = fmt.Sprintf("item-%d", i/2), fmt.Sprintf("place-%d", i%2)
		s.tills = append(s.tills, l)
	}
	for range events {
		l := s.tills[random.IntN(positions)]
		quantity := fmt.Sprint(1 + random.IntN(6))
		lot := []string{"", "A", "B", "C"}[random.IntN(4)]
		expiry := []event.Date{"", "2024-05-01", "2024-06-01", "9999-12-31", "2069-12-31", "2090-01-01"}[random.IntN(6)]
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			s.events = append(s.events, l.sell(quantity))
		case 4, 5, 6:
			s.events = append(s.events, l.receive(quantity, lot, expiry))
		case 7:
			s.events = append(s.events, l.move(event.TransactionTransfer, quantity, lot, expiry))
		case 8:
			s.events = append(s.events, l.move(event.TransactionReturn, quantity, "", ""))
		case 9:
			s.events = append(s.events, l.move(event.TransactionCount, fmt.Sprint(random.IntN(9)-5), "", ""))
		}
	}
	return s
}

// unit is one piece on a shelf of the model: it knows the lot it is of, and nothing else.
type unit struct{ expiry, number string }

// pieces is the model: each piece stands for itself. Out goes the one whose date
// comes first, unknown before all; pieces that were not there are short. It tells
// how many are left of each date.
func pieces(events []event.Any) map[masterdata.PositionKey]string {
	standing, short := map[masterdata.PositionKey][]unit{}, map[masterdata.PositionKey]int64{}
	for _, e := range events {
		p := e.Payload.(event.InventoryUpdated)
		key := masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}
		expiry := string(p.ExpiryDate)
		if expiry > "2060" {
			expiry = ""
		}
		for n := p.Change.IntPart(); n > 0; n-- {
			if short[key] > 0 {
				short[key]--
				continue
			}
			standing[key] = append(standing[key], unit{expiry, p.LotNumber})
		}
		for n := p.Change.IntPart(); n < 0; n++ {
			here := standing[key]
			if len(here) == 0 {
				short[key]++
				continue
			}
			first := 0
			for i := range here {
				if here[i].expiry < here[first].expiry {
					first = i
				}
			}
			standing[key] = slices.Delete(here, first, first+1)
		}
	}
	told := map[masterdata.PositionKey]string{}
	for key, here := range standing {
		byDate := map[string]int{}
		for _, u := range here {
			byDate[u.expiry]++
		}
		told[key] = fmt.Sprint(byDate, short[key])
	}
	for key, n := range short {
		if told[key] == "" {
			told[key] = fmt.Sprint(map[string]int{}, n)
		}
	}
	return told
}

// kept is what the worker has made, told like the model's.
func kept(t testing.TB, db *store.DB) map[masterdata.PositionKey]string {
	t.Helper()
	shelves, err := storelots.OnHand(t.Context(), db, masterdata.PositionKey{})
	if err != nil {
		t.Fatal(err)
	}
	told := map[masterdata.PositionKey]string{}
	for _, s := range shelves {
		byDate := map[string]int{}
		for _, l := range s.Lots {
			expiry := ""
			if l.Expiry != nil {
				expiry = string(*l.Expiry)
			}
			byDate[expiry] += int(l.Quantity.IntPart())
		}
		told[masterdata.PositionKey{Tenant: s.Tenant, Item: s.Item, Location: s.Location}] = fmt.Sprint(byDate, s.Shortfall)
	}
	return told
}

// batches cuts a history into batches of random size, with some events twice.
func (s *shop) batches(random *rand.Rand) [][]event.Any {
	var batches [][]event.Any
	for rest := s.events; len(rest) > 0; {
		n := min(len(rest), 1+random.IntN(25))
		batch := slices.Clone(rest[:n])
		if random.IntN(3) == 0 {
			batch = append(batch, rest[random.IntN(n)], s.events[random.IntN(len(s.events)-len(rest)+n)])
		}
		batches, rest = append(batches, batch), rest[n:]
	}
	return batches
}

// In order, whatever the batches, the lots are those of the model, piece by piece.
func TestLotsAreTheModels(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			db, s := storetest.DB(t), newShop(t, random, 6, 300)
			for _, batch := range s.batches(random) {
				handle(t, db, batch...)
				wantBalance(t, db)
			}
			want, got := pieces(s.events), kept(t, db)
			for key := range want {
				if got[key] != want[key] && !(got[key] == "" && want[key] == "map[] 0") {
					t.Errorf("%v: want %s, got %s", key, want[key], got[key])
				}
			}
		})
	}
}

// wantBalance holds what must hold after every transaction against the database itself.
func wantBalance(t testing.TB, db *store.DB) {
	t.Helper()
	shelves, err := storelots.OnHand(t.Context(), db, masterdata.PositionKey{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shelves {
		if s.Shortfall.IsPositive() && len(s.Lots) > 0 {
			t.Fatalf("%s at %s lacks %s and has lots: %v", s.Item, s.Location, s.Shortfall, s.Lots)
		}
	}
}

// By any number of slots, in any order, however often: the sum of the lots less
// the shortfall is what is on hand.
func TestSumsAreRightInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 2, 6} {
		t.Run(fmt.Sprint(slots, " slots"), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(slots), 2))
			url := storetest.URL(t)
			db, s := storetest.Open(t, url, slots+1), newShop(t, random, 8, 800)
			batches := s.batches(random)
			random.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
			var run []func(context.Context) error
			for slot := range slots {
				run = append(run, func(context.Context) error {
					w := lots.New() // as in a process of its own
					for i := slot; i < len(batches); i += slots {
						if _, err := workertest.Handle(t, db, w, batches[i]...); err != nil {
							return err
						}
					}
					return nil
				})
			}
			storetest.Concurrently(t, run...)
			wantBalance(t, db)
			var wrong []string
			for _, l := range s.tills {
				sum := storetest.Value[string](t, url, `
					SELECT (coalesce((SELECT sum(quantity) FROM lot WHERE balance_id = b.id), 0) - b.shortfall)::text
					FROM lot_balance b WHERE tenant_id = $1 AND item_id = $2 AND location_id = $3`, workertest.Tenant, l.item, l.location)
				if !workertest.Decimal(sum).Equal(l.onHand) {
					wrong = append(wrong, fmt.Sprintf("%s at %s: on hand %s, by lots %s", l.item, l.location, l.onHand, sum))
				}
			}
			if wrong != nil {
				t.Error(strings.Join(wrong, "\n"))
			}
			miscounted := storetest.Value[int](t, url, `SELECT count(*) FROM lot_balance b WHERE lots <> (SELECT count(*) FROM lot WHERE balance_id = b.id)`)
			if miscounted != 0 {
				t.Errorf("%d shelves count their lots wrong", miscounted)
			}
		})
	}
}
