package importer

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
)

const (
	realFile    = "../../../../shared/data/online-retail-2010-12_2011-08.csv.gz"
	realMapping = "../../../deploy/demo/online-retail.yaml"
)

// needRealFile gives the real till's file and its mapping, and skips the test where the file is not: it is no part
// of the repository.
func needRealFile(t testing.TB) (string, *Mapping) {
	t.Helper()
	m, err := LoadMapping(realMapping)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(realFile); err != nil {
		if os.Getenv("COMPOSERP_NO_SKIP") != "" {
			t.Fatalf("the real till's file must be here: %v", err)
		}
		t.Skipf("SKIPPED, the real till's file is not here: %v", err)
	}
	return realFile, m
}

// kindOf says what the real file's documentation calls a row.
func kindOf(r Row) (kind string, item string, effect event.Decimal, amount event.Decimal) {
	if r.Reject != nil {
		return r.Reject.Reason, "", effect, amount
	}
	switch p := r.Event.Payload.(type) {
	case event.SaleCompleted:
		kind = "sale"
		if strings.HasPrefix(p.SaleID, "C") {
			kind = "return"
		}
		return kind, p.ItemID, p.Quantity.Neg(), p.Amount
	case event.StockAdjusted:
		return "adjustment", p.ItemID, p.Quantity, amount
	}
	return string(r.Event.Type), "", effect, amount
}

// TestRealFile holds what the mapping makes of a real till's nine months against totals that others have counted.
func TestRealFile(t *testing.T) {
	t.Parallel()
	file, m := needRealFile(t)
	rows, effects, amount := map[string]int{}, map[string]event.Decimal{}, event.Decimal{}
	units := map[string]event.Decimal{}
	ids := map[[16]byte]bool{}
	if err := Read(t.Context(), file, m, func(r Row) error {
		kind, item, effect, a := kindOf(r)
		rows[kind]++
		if r.Reject == nil {
			effects[item], units[kind] = effects[item].Add(effect), units[kind].Add(effect)
			amount = amount.Add(a)
			ids[r.Event.ID] = true
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var lines []string
	total := event.Decimal{}
	for item, effect := range effects {
		lines = append(lines, item+" "+effect.String())
		total = total.Add(effect)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	got := fmt.Sprint(rows, units, len(ids), len(lines), total, amount, " ", hex.EncodeToString(sum[:]))
	want := "map[adjustment:913 not_stocked:1992 return:5454 sale:312346] map[adjustment:131227 return:145217 sale:-3363856]" +
		" 318713 3648 -3087412 5842117.04 d99e0da52d8f160d8351d58f7c8dbacdfeed49244be1d0e3ef0afe7d053124bc"
	if got != want {
		t.Errorf("the real file:\n got %s\nwant %s", got, want)
	}
}

// TestRealFileImported brings a few thousand rows of the real till into a database, and again.
func TestRealFileImported(t *testing.T) {
	t.Parallel()
	file, m := needRealFile(t)
	part := filepath.Join(t.TempDir(), "part.csv")
	copyLines(t, file, part, 5001)
	url := storetest.URL(t)
	o := Options{DB: storetest.Open(t, url, 2), File: part, Mapping: m}
	first, err := Run(t.Context(), o)
	must(t, err)
	second, err := Run(t.Context(), o)
	must(t, err)
	var want []string
	must(t, Events(t.Context(), part, m, func(e event.Any) error {
		want = append(want, string(e.Body))
		return nil
	}))
	got := storetest.Value[string](t, url, `SELECT string_agg(body, E'\n' ORDER BY seq) FROM event_log WHERE publish`)
	if got != strings.Join(want, "\n") {
		t.Error("the log has not the file's events in their order")
	}
	events := int64(len(want))
	if first.Admitted != events || second.Duplicates != events || second.Admitted != 0 || events+first.Rejected["not_stocked"] != 5000 || events < 4900 {
		t.Errorf("%d events; first %+v, second %+v", events, first.Tally, second.Tally)
	}
}

// copyLines unpacks the beginning of a file.
func copyLines(t testing.TB, from, to string, lines int) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer in.Close()
	unpacked, err := gzip.NewReader(in)
	must(t, err)
	out, err := os.Create(to)
	must(t, err)
	text := bufio.NewScanner(unpacked)
	for range lines {
		if !text.Scan() {
			t.Fatal("the file is too short")
		}
		_, err := fmt.Fprintln(out, text.Text())
		must(t, err)
	}
	must(t, out.Close())
}
