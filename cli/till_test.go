package cli_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The real till: the rows, the rules that read them and the totals are those of
// the data's own README. The rules are written here once more, by hand, so that
// the mapping and the product are held against something they did not make.
const (
	realFile      = "online-retail-2010-12_2011-08.csv.gz"
	realNet       = -3_087_412
	realRows      = 320_705
	realRejected  = 1_992
	realItemsHash = "d99e0da52d8f160d8351d58f7c8dbacdfeed49244be1d0e3ef0afe7d053124bc"
)

var stocked = regexp.MustCompile(`^[0-9]{5}[A-Za-z]*$`)

// till is a file of real sales and what they must come to.
type till struct {
	path     string
	rows     int
	rejected int
	units    map[string]int64 // net effect on stock by item
}

// realTill cuts the first rows of the real file; 0 is all of them. It skips the test,
// loudly, where the file is not there.
func realTill(t *testing.T, dir string, rows int) till {
	t.Helper()
	shared := os.Getenv("COMPOSERP_SHARED_DATA")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared", "data")
	}
	in, err := os.Open(filepath.Join(shared, realFile))
	if err != nil && os.Getenv("COMPOSERP_NO_SKIP") != "" {
		t.Fatalf("the real till's file must be here: %v", err)
	}
	if err != nil {
		t.Skipf("SKIPPED, AND NOT PROVEN: the real till's file is not here (%v); set COMPOSERP_SHARED_DATA to its folder", err)
	}
	defer in.Close()
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	cut := till{path: filepath.Join(dir, "sales.csv"), units: map[string]int64{}}
	out, err := os.Create(cut.path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	reader, writer := csv.NewReader(unzipped), csv.NewWriter(out)
	for n := 0; rows == 0 || n <= rows; n++ {
		record, err := reader.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Write(record); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			cut.count(t, record)
		}
	}
	writer.Flush()
	if err := writer.Error(); err != nil {
		t.Fatal(err)
	}
	return cut
}

func (c *till) count(t *testing.T, record []string) {
	t.Helper()
	c.rows++
	code := record[1]
	if !stocked.MatchString(code) {
		c.rejected++
		return
	}
	quantity, err := strconv.ParseInt(record[3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	// By the data's README every row takes its Quantity from stock: a return and an
	// adjustment have a negative one, and give back.
	c.units[strings.ToUpper(code)] -= quantity
}

// hash is that of the data's README: sorted lines "CODE UNITS".
func hashOf(units map[string]int64) string {
	var lines []string
	for code, n := range units {
		lines = append(lines, fmt.Sprintf("%s %d", code, n))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}

func netOf(units map[string]int64) (net int64) {
	for _, n := range units {
		net += n
	}
	return net
}
