package importer

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
)

// BenchmarkRead makes events of the generated till's rows, without a database.
func BenchmarkRead(b *testing.B) {
	file, m := generatedTill(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	if err := Events(context.Background(), file, m, func(event.Any) error { return nil }); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkRun imports the generated till's rows into a database. Run it with -benchtime=200000x: a row costs less
// in a long file.
func BenchmarkRun(b *testing.B) {
	file, m := generatedTill(b, b.N)
	db := storetest.DB(b)
	b.ReportAllocs()
	b.ResetTimer()
	report, err := Run(context.Background(), Options{DB: db, File: file, Mapping: m})
	if err != nil {
		b.Fatal(err)
	}
	if report.Admitted != int64(b.N) {
		b.Fatalf("%d rows, %d admitted", b.N, report.Admitted)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkRealFile imports the real till's nine months into a new database.
func BenchmarkRealFile(b *testing.B) {
	file, m := needRealFile(b)
	o := Options{File: file, Mapping: m, Rejects: filepath.Join(b.TempDir(), "rejects.csv")}
	var rows int64
	for b.Loop() {
		o.DB = storetest.DB(b)
		report, err := Run(context.Background(), o)
		if err != nil {
			b.Fatal(err)
		}
		if report.Admitted != 318_713 || report.Rejected["not_stocked"] != 1_992 {
			b.Fatalf("got %+v", report.Tally)
		}
		rows += report.Rows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
