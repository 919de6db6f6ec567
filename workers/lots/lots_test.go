package lots_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	storelots "github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/lots"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// till is one position's ledger: it says what INVENTORY_UPDATED would.
type till struct {
	t        testing.TB
	item     string
	location string
	onHand   event.Decimal
	sequence int64
	at       time.Time
}

func newTill(t testing.TB) *till {
	return &till{t: t, item: "milk", location: "shop", at: workertest.Day}
}

func (l *till) move(kind event.TransactionType, quantity, lot string, expiry event.Date) event.Any {
	l.t.Helper()
	q := workertest.Decimal(quantity)
	l.onHand = l.onHand.Add(q)
	l.sequence++
	l.at = l.at.Add(time.Minute)
	return workertest.Event(l.t, event.InventoryUpdated{
		ItemID: l.item, LocationID: l.location, OnHand: l.onHand, Available: l.onHand, Change: q,
		TransactionID: "x", TransactionType: kind, LotNumber: lot, ExpiryDate: expiry,
	}, func(env *event.Envelope) { env.Timestamp, env.Metadata.Sequence = l.at, l.sequence })
}

func (l *till) sell(quantity string) event.Any {
	return l.move(event.TransactionSale, "-"+quantity, "", "")
}

func (l *till) receive(quantity, lot string, expiry event.Date) event.Any {
	return l.move(event.TransactionReceipt, quantity, lot, expiry)
}

// standing gives an item's lots as "A 2024-05-01 3, unnamed unknown 2, short 1".
func standing(t testing.TB, db *store.DB, item string) string {
	t.Helper()
	shelves, err := storelots.OnHand(t.Context(), db, masterdata.PositionKey{Item: item})
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, s := range shelves {
		for _, l := range s.Lots {
			number, expiry := l.Number, "unknown"
			if number == "" {
				number = "unnamed"
			}
			if l.Expiry != nil {
				expiry = string(*l.Expiry)
			}
			parts = append(parts, fmt.Sprintf("%s %s %s", number, expiry, l.Quantity))
		}
		if s.Shortfall.IsPositive() {
			parts = append(parts, "short "+s.Shortfall.String())
		}
	}
	return strings.Join(parts, ", ")
}

func handle(t testing.TB, db *store.DB, events ...event.Any) []event.Any {
	t.Helper()
	said, err := workertest.Handle(t, db, lots.New(), events...)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func TestWhatGoesOutFirst(t *testing.T) {
	t.Parallel()
	type events = []event.Any
	db := storetest.DB(t)
	for name, c := range map[string]struct {
		events func(l *till) events
		want   string
	}{
		"a receipt opens a lot": {func(l *till) events { return events{l.receive("5", "A", "2024-05-01")} },
			"A 2024-05-01 5"},
		"the same lot is filled": {func(l *till) events {
			return events{l.receive("5", "A", "2024-05-01"), l.receive("2", "A", "2024-05-01")}
		},
			"A 2024-05-01 7"},
		"one number, two dates, two lots": {func(l *till) events {
			return events{l.receive("5", "A", "2024-06-01"), l.receive("2", "A", "2024-05-01")}
		},
			"A 2024-05-01 2, A 2024-06-01 5"},
		"no number, a date": {func(l *till) events { return events{l.receive("5", "", "2024-05-01")} },
			"unnamed 2024-05-01 5"},
		"first expired, first out": {func(l *till) events {
			return events{l.receive("5", "late", "2024-07-01"), l.receive("2", "soon", "2024-05-01"), l.receive("3", "mid", "2024-06-01"), l.sell("4")}
		}, "mid 2024-06-01 1, late 2024-07-01 5"},
		"one date, the oldest receipt first": {func(l *till) events {
			return events{l.receive("2", "B", "2024-05-01"), l.receive("2", "A", "2024-05-01"), l.sell("3")}
		}, "A 2024-05-01 1"},
		"unknown before dated": {func(l *till) events {
			return events{l.receive("2", "dated", "2024-05-01"), l.receive("2", "blank", ""), l.sell("1")}
		}, "blank unknown 1, dated 2024-05-01 2"},
		"of the unknown the oldest receipt": {func(l *till) events {
			return events{l.receive("2", "B", ""), l.receive("2", "A", ""), l.sell("3")}
		}, "A unknown 1"},
		"a sentinel is unknown": {func(l *till) events {
			return events{l.receive("2", "dated", "2024-05-01"), l.receive("2", "S", "9999-12-31"), l.receive("2", "S", "2069-12-31"), l.sell("1")}
		}, "S unknown 3, dated 2024-05-01 2"},
		"more than fifty years off is unknown": {func(l *till) events {
			return events{l.receive("1", "far", "2074-03-02"), l.receive("1", "near", "2074-03-01"), l.receive("1", "old", "1900-01-01")}
		}, "far unknown 1, old unknown 1, near 2074-03-01 1"},
		"expired goods go first": {func(l *till) events {
			return events{l.receive("2", "fresh", "2024-05-01"), l.receive("2", "gone", "2023-05-01"), l.sell("1")}
		}, "gone 2023-05-01 1, fresh 2024-05-01 2"},
		"returns and finds are unnamed": {func(l *till) events {
			return events{l.receive("2", "A", "2024-05-01"), l.sell("2"), l.move(event.TransactionReturn, "1", "", ""),
				l.move(event.TransactionAdjustment, "2", "", ""), l.move(event.TransactionCount, "-1", "", "")}
		}, "unnamed unknown 2"},
		"a transfer brings its lot": {func(l *till) events { return events{l.move(event.TransactionTransfer, "4", "A", "2024-05-01")} },
			"A 2024-05-01 4"},
		"sold and never received": {func(l *till) events { return events{l.sell("3"), l.sell("0.5")} }, "short 3.5"},
		"more than the lots hold": {func(l *till) events { return events{l.receive("2", "A", "2024-05-01"), l.sell("5")} }, "short 3"},
		"a receipt settles the shortfall first": {func(l *till) events { return events{l.sell("3"), l.receive("5", "A", "2024-05-01")} },
			"A 2024-05-01 2"},
		"a receipt too small for it": {func(l *till) events { return events{l.sell("3"), l.receive("2", "A", "2024-05-01")} }, "short 1"},
		"used up and filled again": {func(l *till) events {
			return events{l.receive("2", "A", "2024-05-01"), l.sell("2"), l.receive("1", "A", "2024-05-01")}
		}, "A 2024-05-01 1"},
		"a count that finds what is there": {func(l *till) events {
			return events{l.receive("2", "A", ""), l.move(event.TransactionCount, "0", "", "")}
		},
			"A unknown 2"},
		"a worker that joins late": {func(l *till) events {
			before := l.receive("5", "A", "2024-05-01")
			return events{l.sell("1"), l.receive("2", "B", "2024-06-01"), before}
		}, "A 2024-05-01 4, B 2024-06-01 2"},
		"a worker that joins late, below nothing": {func(l *till) events { l.sell("4"); return events{l.sell("1"), l.receive("7", "B", "")} },
			"B unknown 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			together, apart := newTill(t), newTill(t)
			together.item, apart.item = name, name+", apart"
			handle(t, db, c.events(together)...)
			if got := standing(t, db, together.item); got != c.want {
				t.Errorf("in one batch: want %s, got %s", c.want, got)
			}
			all := c.events(apart)
			for _, e := range all {
				handle(t, db, e, e)
			}
			handle(t, db, all...) // no event is emitted twice
			if got := standing(t, db, apart.item); got != c.want {
				t.Errorf("one by one: want %s, got %s", c.want, got)
			}
		})
	}
}

// A lot that a batch uses up and fills to the same quantity has what was received last.
func TestALotThatIsFilledAgainIsAsOldAsWhatFilledIt(t *testing.T) {
	t.Parallel()
	db, l := storetest.DB(t), newTill(t)
	handle(t, db, l.receive("5", "", ""))
	handle(t, db, l.sell("7"), l.move(event.TransactionAdjustment, "7", "", ""))
	shelves := storetest.MustGet(storelots.OnHand(t.Context(), db, masterdata.PositionKey{Item: l.item}))(t)
	if got := shelves[0].Lots[0]; got.Quantity.String() != "5" || !got.ReceivedAt.Equal(l.at) {
		t.Errorf("%s are left, received at %s; want 5 at %s", got.Quantity, got.ReceivedAt, l.at)
	}
}
