package storetest

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/purchasing"
)

// CheckPurchasing names each inconsistency of orders, lines and bookings: see purchasing.PurchasingProblemsSQL.
func CheckPurchasing(ctx context.Context, db *store.DB) ([]string, error) {
	var wrong []string
	if err := pg.Select(ctx, db, &wrong, purchasing.PurchasingProblemsSQL); err != nil {
		return nil, fmt.Errorf("checking the purchase orders: %w", err)
	}
	return wrong, nil
}
