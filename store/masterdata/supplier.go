package masterdata

import (
	"context"
	"net/url"

	"github.com/composerp/composerp/store"
)

// SupplierRecord is a company that orders are sent to. (ledger.Supplier is the virtual location that its deliveries
// come from.)
type SupplierRecord struct {
	Tenant   string `db:"tenant_id" json:"tenantId"`
	Supplier string `db:"supplier_id" json:"supplierId"`
	Name     string `db:"name" json:"name"`
	// LeadTimeDays is the number of days from order to delivery.
	LeadTimeDays int `db:"lead_time_days" json:"leadTimeDays"`
	// Endpoint receives orders by POST, with user and password where needed; empty: orders are sent by hand.
	Endpoint string `db:"endpoint" json:"endpoint"`
}

const (
	maxLeadTime     = 365
	maxEndpoint     = 2000
	unknownLeadTime = -1
)

func (s *SupplierRecord) begin() { s.LeadTimeDays = unknownLeadTime }

func (s *SupplierRecord) checkKey() error {
	return firstError(checkID("tenantId", s.Tenant), checkID("supplierId", s.Supplier))
}

// Check validates the supplier; the error is an *InvalidError.
func (s *SupplierRecord) Check() error {
	err := firstError(s.checkKey(), checkName("name", s.Name))
	switch {
	case err != nil:
		return err
	case s.LeadTimeDays == unknownLeadTime:
		return invalid("leadTimeDays", "missing: a supplier's lead time must be known")
	}
	return firstError(checkRange("leadTimeDays", s.LeadTimeDays, 0, maxLeadTime), checkEndpoint(s.Endpoint))
}

// hiddenPassword replaces the password in a displayed endpoint.
const hiddenPassword = "xxxxx"

// ShownEndpoint is the endpoint for display: without the password.
func (s *SupplierRecord) ShownEndpoint() string {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return "" // Check refuses such endpoints
	}
	return u.Redacted()
}

// checkEndpoint also refuses a displayed endpoint that is written back.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	if len(endpoint) > maxEndpoint {
		return invalid("endpoint", "want at most %d bytes, got %d", maxEndpoint, len(endpoint))
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return invalid("endpoint", "want an http or https URL such as https://acme.example/orders")
	}
	if password, _ := u.User.Password(); password == hiddenPassword {
		return invalid("endpoint", "want the password itself, not the %s that stands for it in lists", hiddenPassword)
	}
	return nil
}

var suppliers = kind[SupplierRecord, *SupplierRecord]{what: "suppliers", table: "supplier", keys: 2}.withStatements()

// SetSuppliers replaces suppliers as a whole.
func SetSuppliers(ctx context.Context, db *store.DB, list []SupplierRecord) (Written, error) {
	return EditSuppliers(ctx, db, replaceEdits(list, func(_, _ *SupplierRecord) {}), false)
}

// EditSuppliers changes parts of suppliers; a dry run only checks the edits and reports what they would do. A new
// supplier has no lead time until one is given.
func EditSuppliers(ctx context.Context, db *store.DB, edits []Edit[SupplierRecord], dryRun bool) (Written, error) {
	return suppliers.edit(ctx, db, edits, dryRun)
}

// Suppliers lists suppliers by key.
func Suppliers(ctx context.Context, db *store.DB, f Filter) ([]SupplierRecord, error) {
	return suppliers.list(ctx, db, f)
}
