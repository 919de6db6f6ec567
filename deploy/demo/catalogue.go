package demo

// demandPattern is how a product is asked for, in the classes of Syntetos and Boylan (2005).
type demandPattern int

const (
	fast     demandPattern = iota // every day, many
	slow                          // a few a week
	lumpy                         // seldom, and then several at once
	seasonal                      // fast for some weeks of the year
)

// product is what the shop sells. perDay is the mean number of pieces asked for a day at all locations together, for a
// seasonal product at its peak.
type product struct {
	id, name    string
	pattern     demandPattern
	perDay      float64
	price, cost string
	pack        int64
	shelfLife   int // days until it expires; 0: never
	supplier    string
}

// The suppliers' ids.
const (
	roastery  = "ROASTERY"
	dairy     = "DAIRY"
	bakery    = "BAKERY"
	teaTrade  = "TEA-TRADE"
	overseas  = "OVERSEAS"
	tableware = "TABLEWARE"
)

// supplier is a supplier and how reliable it is: how many of a hundred shipments are late, come in two parts, or have
// their delivery note sent twice.
type supplier struct {
	id, name             string
	leadDays             int
	late, partial, twice int
	unknownExpiry        bool // writes 9999-12-31 where it does not know
}

var shopSuppliers = []supplier{
	{roastery, "Stadtrösterei", 2, 10, 6, 4, false},
	{dairy, "Hofmolkerei", 1, 5, 8, 3, false},
	{bakery, "Bäckerei am Markt", 1, 4, 4, 3, false},
	{teaTrade, "Tea Trade Ltd", 5, 12, 10, 4, true},
	{tableware, "Tableware & Co", 7, 18, 12, 5, false},
	{overseas, "Overseas Gifts", 12, 30, 15, 5, false},
}

var products = []product{
	{"COF-ESP-1KG", "Espresso beans 1 kg", fast, 26, "18.90", "11.20", 6, 180, roastery},
	{"COF-ESP-250", "Espresso beans 250 g", fast, 30, "5.90", "3.35", 12, 180, roastery},
	{"COF-FIL-500", "Filter coffee 500 g", fast, 34, "7.49", "4.60", 10, 180, roastery},
	{"COF-FIL-1KG", "Filter coffee 1 kg", fast, 12, "13.90", "8.70", 6, 180, roastery},
	{"COF-DEC-250", "Decaf beans 250 g", slow, 4, "6.40", "3.80", 12, 180, roastery},
	{"COF-GEI-200", "Geisha, washed 200 g", lumpy, 0.9, "24.00", "14.50", 4, 120, roastery},
	{"COF-ADV-24D", "Coffee for 24 mornings", seasonal, 9, "39.00", "22.00", 4, 240, roastery},
	{"COF-ICE-033", "Iced coffee 0.33 l", seasonal, 24, "2.60", "1.30", 24, 60, roastery},
	{"MLK-OAT-1L0", "Oat drink 1 l", fast, 36, "2.29", "1.35", 12, 45, dairy},
	{"MLK-OAT-BAR", "Oat drink barista 1 l", fast, 28, "2.79", "1.70", 12, 45, dairy},
	{"MLK-FRS-1L0", "Fresh milk 1 l", fast, 42, "1.59", "0.98", 12, 9, dairy},
	{"MLK-CRM-200", "Cream 200 ml", fast, 16, "1.49", "0.85", 10, 12, dairy},
	{"YOG-NAT-500", "Yoghurt 500 g", fast, 14, "2.10", "1.25", 6, 14, dairy},
	{"BUT-SLT-250", "Salted butter 250 g", fast, 13, "3.29", "2.20", 10, 30, dairy},
	{"CHE-MTN-200", "Mountain cheese 200 g", slow, 5, "5.80", "3.60", 6, 28, dairy},
	{"BRD-RYE-750", "Rye bread 750 g", fast, 22, "4.20", "2.10", 5, 5, bakery},
	{"BRD-SPL-500", "Spelt bread 500 g", fast, 15, "4.60", "2.40", 5, 5, bakery},
	{"CAK-LEM-400", "Lemon cake 400 g", fast, 9, "6.50", "3.40", 4, 10, bakery},
	{"CAK-NUT-400", "Nut cake 400 g", slow, 4, "6.90", "3.70", 4, 12, bakery},
	{"CRO-BTR-006", "Croissants, six", fast, 18, "5.40", "2.70", 4, 4, bakery},
	{"EST-LMB-300", "Easter lamb 300 g", seasonal, 22, "7.90", "3.90", 6, 14, bakery},
	{"BSC-OAT-300", "Oat biscuits 300 g", fast, 21, "3.10", "1.60", 12, 150, bakery},
	{"BSC-ALM-200", "Almond biscuits 200 g", slow, 5, "3.90", "2.05", 12, 150, bakery},
	{"TEA-EGR-100", "Earl Grey 100 bags", fast, 12, "5.25", "2.60", 12, 540, teaTrade},
	{"TEA-ASM-100", "Assam 100 bags", fast, 10, "4.95", "2.40", 12, 540, teaTrade},
	{"TEA-GRN-050", "Green tea 50 bags", fast, 9, "3.95", "1.90", 12, 540, teaTrade},
	{"TEA-MNT-050", "Mint tea 50 bags", slow, 5, "3.45", "1.60", 12, 540, teaTrade},
	{"TEA-CHM-050", "Camomile 50 bags", slow, 3, "3.45", "1.55", 12, 540, teaTrade},
	{"TEA-DRJ-100", "Darjeeling first flush 100 g", slow, 2, "14.50", "8.20", 6, 540, teaTrade},
	{"TEA-OOL-100", "Oolong 100 g", lumpy, 0.8, "12.80", "7.10", 6, 540, teaTrade},
	{"TEA-MAT-030", "Matcha 30 g", slow, 3, "19.90", "11.80", 6, 300, teaTrade},
	{"TEA-PUE-357", "Pu-erh cake 357 g", lumpy, 0.4, "48.00", "29.00", 2, 0, teaTrade},
	{"TEA-ICE-050", "Cold brew tea 50 bags", seasonal, 16, "4.20", "2.00", 12, 540, teaTrade},
	{"HON-LIN-500", "Linden honey 500 g", slow, 4, "7.80", "4.90", 6, 540, teaTrade},
	{"SUG-CAN-500", "Cane sugar 500 g", fast, 11, "2.35", "1.25", 12, 720, teaTrade},
	{"CHO-DRK-100", "Dark chocolate 100 g", fast, 30, "2.79", "1.45", 20, 360, overseas},
	{"CHO-MLK-100", "Milk chocolate 100 g", fast, 36, "2.49", "1.25", 20, 300, overseas},
	{"CHO-EGG-180", "Chocolate eggs 180 g", seasonal, 40, "4.99", "2.50", 24, 200, overseas},
	{"CHO-DRI-350", "Drinking chocolate 350 g", slow, 6, "6.20", "3.30", 8, 360, overseas},
	{"MUG-STN-035", "Stoneware mug 0.35 l", slow, 6, "9.50", "4.10", 6, 0, tableware},
	{"MUG-ENM-030", "Enamel mug 0.3 l", slow, 4, "8.50", "3.40", 6, 0, tableware},
	{"CUP-ESP-006", "Espresso cups, six", slow, 2, "29.00", "14.00", 4, 0, tableware},
	{"CUP-TRV-040", "Travel cup 0.4 l", slow, 5, "19.90", "9.60", 6, 0, tableware},
	{"POT-GLS-100", "Glass teapot 1 l", slow, 1.4, "24.00", "11.50", 4, 0, tableware},
	{"POT-IRN-080", "Iron teapot 0.8 l", lumpy, 0.5, "59.00", "31.00", 2, 0, tableware},
	{"BWL-BRK-016", "Breakfast bowl", slow, 3, "7.90", "3.20", 8, 0, tableware},
	{"PLT-CKE-006", "Cake plates, six", lumpy, 0.6, "34.00", "16.50", 2, 0, tableware},
	{"SPN-LNG-004", "Long spoons, four", slow, 1.5, "8.90", "3.60", 6, 0, tableware},
	{"NAP-LIN-004", "Linen napkins, four", lumpy, 0.8, "22.00", "10.20", 4, 0, tableware},
	{"FLT-PAP-100", "Paper filters 100", fast, 28, "1.99", "0.80", 20, 0, overseas},
	{"FLT-PAP-040", "Paper filters 40", fast, 10, "1.29", "0.50", 20, 0, overseas},
	{"FLT-V60-001", "Dripper, ceramic", slow, 1.8, "21.00", "9.90", 4, 0, overseas},
	{"FRP-GLS-100", "French press 1 l", slow, 2.2, "27.50", "12.80", 4, 0, overseas},
	{"GRN-MAN-001", "Hand grinder", slow, 1, "39.00", "19.50", 2, 0, overseas},
	{"GRN-ELE-001", "Burr grinder, electric", lumpy, 0.35, "149.00", "92.00", 1, 0, overseas},
	{"KTL-GSE-080", "Gooseneck kettle 0.8 l", lumpy, 0.6, "54.90", "28.00", 2, 0, overseas},
	{"KTL-ELE-100", "Kettle, electric 1 l", slow, 1.1, "69.00", "38.00", 2, 0, overseas},
	{"SCL-COF-001", "Coffee scale", lumpy, 0.5, "45.00", "22.50", 2, 0, overseas},
	{"ESP-MAC-001", "Espresso machine", lumpy, 0.2, "489.00", "325.00", 1, 0, overseas},
	{"TIN-TEA-125", "Tea tin 125 g", slow, 3, "6.50", "2.40", 12, 0, overseas},
}

func shelfLifeOf(item string) int {
	for _, p := range products {
		if p.id == item {
			return p.shelfLife
		}
	}
	return 0
}
