package store

import (
	"context"
	"fmt"
)

// CheckPurchasing names each order, line or booking that does not add up: see purchasing.CheckPurchasing. None is well.
func (db *DB) CheckPurchasing(ctx context.Context) ([]string, error) {
	var wrong []string
	if err := Select(ctx, db, &wrong, checkPurchasing); err != nil {
		return nil, fmt.Errorf("checking the purchase orders: %w", err)
	}
	return wrong, nil
}
