package importer

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, wall, want string
		odd              oddity
	}{
		{"Europe/London", "2010-12-01 08:26:00", "2010-12-01T08:26:00Z", once},
		{"Europe/London", "2011-07-01 08:26:00", "2011-07-01T07:26:00Z", once},
		// Clocks were put forward at 01:00 GMT on 27 March 2011: the hour from 01:00 to 02:00 was never shown.
		{"Europe/London", "2011-03-27 00:59:59", "2011-03-27T00:59:59Z", once},
		{"Europe/London", "2011-03-27 01:00:00", "2011-03-27T01:00:00Z", skipped},
		{"Europe/London", "2011-03-27 01:30:00", "2011-03-27T01:30:00Z", skipped},
		{"Europe/London", "2011-03-27 02:00:00", "2011-03-27T01:00:00Z", once},
		// They were put back at 01:00 GMT on 30 October 2011: the hour from 01:00 to 02:00 was shown twice.
		{"Europe/London", "2011-10-30 00:59:59", "2011-10-29T23:59:59Z", once},
		{"Europe/London", "2011-10-30 01:30:00", "2011-10-30T00:30:00Z", repeated},
		{"Europe/London", "2011-10-30 02:00:00", "2011-10-30T02:00:00Z", once},
		// West of Greenwich the same, with the offset on the other side.
		{"America/New_York", "2026-03-08 02:30:00", "2026-03-08T07:30:00Z", skipped},
		{"America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:30:00Z", repeated},
		{"America/New_York", "2026-11-01 02:00:00", "2026-11-01T07:00:00Z", once},
		// A whole day was left out.
		{"Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T22:00:00Z", skipped},
		{"Asia/Kolkata", "2026-01-01 00:00:00", "2025-12-31T18:30:00Z", once},
		{"UTC", "2026-01-01 00:00:00", "2026-01-01T00:00:00Z", once},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		wall, err := time.Parse(time.DateTime, c.wall)
		if err != nil {
			t.Fatal(err)
		}
		at, odd := moment(wall, loc)
		if got := at.UTC().Format(time.RFC3339); got != c.want || odd != c.odd {
			t.Errorf("%s in %s: got %s, oddity %d, want %s, %d", c.wall, c.zone, got, odd, c.want, c.odd)
		}
	}
}

// TestMomentRoundTrip holds for every quarter of an hour of a year: what clocks show at a moment means that moment,
// or an earlier one that clocks showed the same at.
func TestMomentRoundTrip(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/London", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2018; at = at.Add(15 * time.Minute) {
			shown := at.In(loc)
			_, offset := shown.Zone()
			got, odd := moment(at.Add(time.Duration(offset)*time.Second), loc)
			if odd == skipped {
				t.Fatalf("%s in %s is shown, and read as never shown", shown, zone)
			}
			if got.Equal(at) {
				continue
			}
			if odd != repeated || got.In(loc).Format(time.DateTime) != shown.Format(time.DateTime) || got.After(at) {
				t.Fatalf("%s in %s: got %s", shown, zone, got.In(loc))
			}
		}
	}
}

// TestOddTimesAreCounted imports rows at times that clocks skipped and showed twice, with an interruption between them:
// the report counts those that became events, and names the first of each.
func TestOddTimesAreCounted(t *testing.T) {
	t.Parallel()
	x, m := newExports(t), mustParse(t, smallMapping)
	text := "No,Code,Pieces,Price,At\n1,A,1,1,2026-03-29 00:59\n2,A,1,1,2026-03-29 01:30\n3,X,1,1,2026-03-29 01:31\n4,A,1,1,2026-03-29 01:32\n" +
		"5,A,1,1,2026-10-25 01:10\n6,A,1,1,2026-10-25 01:10\n7,A,many,1,2026-10-25 01:11\n8,A,1,1,2026-10-25 02:00\n"
	o := Options{DB: x.db, File: writeFile(t, "till.csv", text), Mapping: m, BatchRows: 2}
	ctx, stop := context.WithCancel(t.Context())
	o.Progress = func(p Progress) {
		if p.Phase == PhaseImport && p.Tally.Rows == 6 {
			stop()
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	o.Progress = nil
	r, err := Run(t.Context(), o)
	must(t, err)
	if want := (OddTimes{2, 3, "2026-03-29 01:30"}); r.SkippedTimes != want {
		t.Errorf("skipped are %+v, want %+v", r.SkippedTimes, want)
	}
	if want := (OddTimes{2, 6, "2026-10-25 01:10"}); r.RepeatedTimes != want || r.ResumedAt == 0 {
		t.Errorf("shown twice are %+v, want %+v; resumed at %d", r.RepeatedTimes, want, r.ResumedAt)
	}
}
