package importer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/composerp/composerp/workers/runtime/importer"
)

// A mapping and a file of three rows, and what they become; nothing is imported.
func ExampleRead() {
	dir, err := os.MkdirTemp("", "till")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			fmt.Println(err)
		}
		return path
	}
	mapping, err := importer.LoadMapping(write("till.yaml", `
tenant: demo
source: till-1
timestamp: ${SoldAt}
derive:
  Amount: {product: [Pieces, Price]}
rules:
  - when: {Code: {equals: BAG}}
    reject: not_stocked
  - event: SALE_COMPLETED
    aggregateId: ${Receipt}
    payload: {saleId: "${Receipt}", itemId: "${Code}", locationId: SHOP, quantity: "${Pieces}", amount: "${Amount}"}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	file := write("till.csv", `Receipt,Code,Pieces,Price,SoldAt
1,VASE,2,4.95,2026-01-05T10:00:00Z
1,BAG,1,0.10,2026-01-05T10:00:00Z
2,VASE,two,4.95,2026-01-05T10:05:00Z
`)
	err = importer.Read(context.Background(), file, mapping, func(r importer.Row) error {
		if r.Reject != nil {
			fmt.Printf("line %d: %s\n", r.Line, r.Reject)
			return nil
		}
		fmt.Printf("line %d: %s of %s\n", r.Line, r.Event.Type, r.Event.AggregateID)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// line 2: SALE_COMPLETED of 1
	// line 3: not_stocked: rule 1 of the mapping, line 8
	// line 4: bad_number: Pieces: want a number, got "two"
}
