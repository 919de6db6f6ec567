package page

import (
	"context"

	"github.com/composerp/composerp/store/findings"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
)

// mostRows is how many positions, orders and findings are listed, each.
const mostRows = 50

// morning is what a planner looks at first.
type morning struct {
	Summary      stockview.TenantSummary
	Low          []stockview.PlannedStock // the least days of cover first
	Waiting      []purchasing.PurchaseOrder
	Findings     []findings.Finding // open, of the last days
	MoreFindings int
}

func readPlanner(ctx context.Context, p *Page, q question) (any, error) {
	var m morning
	var err error
	if m.Summary, err = stockview.SummarizeTenant(ctx, p.cfg.DB, q.tenant); err != nil {
		return nil, err
	}
	if m.Low, err = stockview.ListPlannedStock(ctx, p.cfg.DB, stockview.StockQuery{Tenant: q.tenant, Low: true, Sort: "cover", Limit: mostRows}); err != nil {
		return nil, err
	}
	waiting := purchasing.OrderFilter{Tenant: q.tenant, Status: purchasing.OrderPending}
	if m.Waiting, err = purchasing.PurchaseOrders(ctx, p.cfg.DB, waiting, mostRows); err != nil {
		return nil, err
	}
	all, err := openFindings(ctx, p, q.tenant)
	m.Findings, m.MoreFindings = first(all, mostRows)
	return m, err
}

// openFindings are a tenant's findings that are not acknowledged, as doctor counts them.
func openFindings(ctx context.Context, p *Page, tenant string) (list []findings.Finding, err error) {
	all, err := findings.List(ctx, p.cfg.DB)
	for _, f := range all {
		if f.Tenant == tenant && f.State == findings.Open && f.Recent {
			list = append(list, f)
		}
	}
	return list, err
}
