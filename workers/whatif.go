package workers

import (
	"github.com/composerp/composerp/workers/approval"
	"github.com/composerp/composerp/workers/forecasting"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/replenishment"
	"github.com/composerp/composerp/workers/runtime/whatif"
)

// Planning declares the workers that a what-if runs, with forecasts by one method, of method.Names; "": each item by
// the one that fits it best. None of them calls anything outside the database.
func Planning(forecast string) whatif.Workers {
	return whatif.Workers{
		Ledger: ledger.New(), Forecasting: forecasting.NewBy(forecast), Replenishment: replenishment.New(), Approval: approval.New(),
		Policy: approval.Policy,
	}
}
