// Package points keeps the points of loyalty cards. Its worker consumes CARD_PRESENTED, an event type of its own, and
// adds up points in a table of its own.
package points

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/extension"
	"github.com/composerp/composerp/workers/worker"
)

// CardPresented is a loyalty card that a customer presented at a till.
type CardPresented struct {
	CardID string        `json:"cardId"`
	SaleID string        `json:"saleId"`
	Points event.Decimal `json:"points" event:"positive"`
}

// EventType is CARD_PRESENTED.
func (CardPresented) EventType() event.Type { return "CARD_PRESENTED" }

//go:embed migrations/*.sql
var migrations embed.FS

func init() {
	event.Register[CardPresented](event.Definition{
		RoutingKey: "loyalty.card_presented", AggregateType: "CARD", Version: "1.0", Outside: true,
	})
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err)
	}
	extension.Register("loyalty", files)
}

// New declares the worker points. It consumes CARD_PRESENTED.
func New() worker.Worker { return worker.New("points", worker.On(add)) }

func add(ctx context.Context, tx *worker.Tx, e event.Of[CardPresented]) error {
	const add = `
		INSERT INTO loyalty.card AS c (tenant_id, card_id, points) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id, card_id) DO UPDATE SET points = c.points + excluded.points`
	if _, err := extension.Exec(ctx, tx, add, e.TenantID, e.Payload.CardID, e.Payload.Points); err != nil {
		return fmt.Errorf("adding the points of sale %s to card %s: %w", e.Payload.SaleID, e.Payload.CardID, err)
	}
	return nil
}
