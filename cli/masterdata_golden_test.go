package cli_test

// masterDataGoldens are those of master data, of a tenant of its own. They run
// twice each, with -o json and without: the second time nothing changes.
func masterDataGoldens(h *environment) []goldenLine {
	items := h.file("items.csv", "item_id,Name,UNIT,pack,unitCost\ncup,\"A \"\"cup\"\", tin\",each,6,1.50\noil,Olive oil,l,,\n")
	locations := h.file("locations.ndjson", `{"locationId":"LON","name":"London","timezone":"Europe/London"}`+"\n")
	suppliers := h.file("suppliers.csv", "supplierId,leadTimeDays,name\nacme,3,Acme\nslow,30,\n")
	rules := h.file("rules.csv", "itemId,locationId,mode,supplierId,reorderPoint,orderUpTo\ncup,LON,fixed,acme,12,48\nnew,LON,auto,slow,,\n")
	count := h.file("count.csv", "itemId,locationId,quantity\ncup,LON,30\noil,LON,0.5\n")
	of := func(args ...string) []string { return append(args, "--tenant", "t2") }
	file := []string{"file"}
	return []goldenLine{
		{command: "item import", args: of(items), mask: file, noTable: true},
		{command: "item set", args: of("--item", "tea", "--unit", "kg")},
		{command: "location import", args: of(locations), mask: file, noTable: true},
		{command: "location set", args: of("--location", "PAR", "--timezone", "Europe/Paris")},
		{command: "location list", args: of()},
		{command: "supplier import", args: of(suppliers, "--dry-run"), as: "supplier_import_dry_run", mask: file, noTable: true},
		{command: "supplier import", args: of(suppliers), mask: file, noTable: true},
		{command: "supplier set", args: of("--supplier", "acme", "--endpoint", "https://acme.example/orders")},
		{command: "supplier list", args: of()},
		{command: "rule import", args: of(rules), mask: file, noTable: true},
		{command: "rule set", args: of("--item", "cup", "--location", "LON", "--low-stock-threshold", "2.50")},
		{command: "rule list", args: of()},
		{command: "rule list", as: "rule_list_supplier", args: of("--supplier", "slow")},
		{command: "item list", args: of()},
		{command: "item list", as: "item_list_incomplete", args: of("--incomplete")},
		{command: "tenant set", args: of("--approval-limit", "500", "--expiry-warning-days", "14")},
		{command: "tenant list", args: of()},
		{command: "source set", args: of("--source", "till-7", "--max-ahead-hours", "2", "--max-behind-days", "30")},
		{command: "source list", args: of()},
		{command: "stock import", args: of(count, "--at", "2026-01-01T06:00:00+01:00"), mask: file, noTable: true},
	}
}
