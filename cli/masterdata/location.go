package masterdata

import (
	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/store/masterdata"
)

// LocationCommand is the command `location`.
func LocationCommand() *cli.Command {
	type row = masterdata.Location
	return masterData[row]{
		noun: "location", plural: "locations",
		usage: "locations of stock: name, time zone",
		fields: []Field[row]{
			KeyField(TenantColumn, "the tenant it belongs to", func(r *row) *string { return &r.Tenant }),
			KeyField("locationId", "which location", func(r *row) *string { return &r.Location }),
			textField("name", "name for people", "", func(r *row) *string { return &r.Name }),
			textField("timezone", "IANA time zone, such as Europe/London; it decides which business day a time belongs to", "UTC", func(r *row) *string { return &r.Timezone }),
		},
		filters: []cli.Flag{&cli.StringFlag{Name: "location", Usage: "this location only"}},
		key:     func(r *row) masterdata.Filter { return masterdata.Filter{Tenant: r.Tenant, Location: r.Location} },
		edit:    masterdata.EditLocations,
		list:    masterdata.Locations,
		header:  []any{"TENANT", "LOCATION", "TIME ZONE", "NAME"},
		cells:   func(r *row) []any { return []any{r.Tenant, r.Location, r.Timezone, r.Name} },
	}.command()
}
