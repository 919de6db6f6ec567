package importer

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// generatedMapping fits the files of generatedTill. It is made like the one for the real till.
const generatedMapping = `
tenant: demo
source: generated
timestamp: ${SoldAt}
correlationId: ${Receipt}
input: {timezone: Europe/London, times: ["2006-01-02 15:04:05"]}
derive:
  Item: {upper: Code}
  Amount: {product: [Pieces, Price]}
rules:
  - when: {Code: {not: {matches: '[0-9]{5}[A-Za-z]*'}}}
    reject: not_stocked
  - event: SALE_COMPLETED
    aggregateId: ${Receipt}
    payload: {saleId: "${Receipt}", itemId: "${Item}", locationId: UK-WH, quantity: "${Pieces}", amount: "${Amount}", itemName: "${Text}"}
`

// generatedTill writes a compressed file with that number of rows, all of them sales, some of them equal. The same
// number gives the same file.
func generatedTill(t testing.TB, rows int) (string, *Mapping) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "till.csv.gz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	packed, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(packed)
	fmt.Fprintln(out, "Receipt,Code,Text,Pieces,SoldAt,Price,Customer,Country")
	random := rand.New(rand.NewPCG(1, uint64(rows)))
	for i := range rows {
		minute := i / 10
		fmt.Fprintf(out, "%d,%05d%c,\"WHITE HANGING HEART, T-LIGHT HOLDER\",%d,2010-12-%02d %02d:%02d:00,%d.%02d,17850.0,United Kingdom\n",
			536365+i/20, random.IntN(4000), 'a'+rune(random.IntN(2)), 1+random.IntN(12), 1+minute/1440%31, minute/60%24, minute%60, random.IntN(9), random.IntN(100))
	}
	for _, flush := range []func() error{out.Flush, packed.Close} {
		if err := flush(); err != nil {
			t.Fatal(err)
		}
	}
	return path, mustParse(t, generatedMapping)
}
