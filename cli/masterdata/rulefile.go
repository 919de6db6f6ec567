package masterdata

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
)

// ApplyRules applies a file of rules, as `rule import` does, to a database; a dry run only checks it and reports what
// it would do. Rows without a tenant belong to the given one.
func ApplyRules(cctx *cli.Context, db *store.DB, file, tenant string, at time.Time, dryRun bool) (masterdata.Written, error) {
	format, err := readFormat(cctx)
	if err != nil {
		return masterdata.Written{}, err
	}
	sheet, err := openFile(file, format, ruleFields(), []string{"version"})
	if err != nil {
		return masterdata.Written{}, err
	}
	defer sheet.Close()
	sheet.Tenant, sheet.Key = tenant, func(r *masterdata.Rule) []string { return []string{r.Tenant, r.Item, r.Location} }
	sheet.Apply = func(edits []masterdata.Edit[masterdata.Rule], dryRun bool) (masterdata.Written, error) {
		return masterdata.EditRules(cctx.Context, db, edits, at, dryRun)
	}
	return sheet.run(cctx, "rule", dryRun)
}

// DescribeRules lists the columns of a file of rules, for help texts.
func DescribeRules() string { return DescribeFields(ruleFields()) }
