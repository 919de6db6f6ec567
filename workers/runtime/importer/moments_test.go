package importer

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, wall, want string }{
		{"Europe/London", "2010-12-01 08:26:00", "2010-12-01T08:26:00Z"},
		{"Europe/London", "2011-07-01 08:26:00", "2011-07-01T07:26:00Z"},
		// Clocks were put forward at 01:00 GMT on 27 March 2011: the hour from 01:00 to 02:00 was never shown.
		{"Europe/London", "2011-03-27 00:59:59", "2011-03-27T00:59:59Z"},
		{"Europe/London", "2011-03-27 01:00:00", "2011-03-27T01:00:00Z"},
		{"Europe/London", "2011-03-27 01:30:00", "2011-03-27T01:30:00Z"},
		{"Europe/London", "2011-03-27 02:00:00", "2011-03-27T01:00:00Z"},
		// They were put back at 01:00 GMT on 30 October 2011: the hour from 01:00 to 02:00 was shown twice.
		{"Europe/London", "2011-10-30 00:59:59", "2011-10-29T23:59:59Z"},
		{"Europe/London", "2011-10-30 01:30:00", "2011-10-30T00:30:00Z"},
		{"Europe/London", "2011-10-30 02:00:00", "2011-10-30T02:00:00Z"},
		// West of Greenwich the same, with the offset on the other side.
		{"America/New_York", "2026-03-08 02:30:00", "2026-03-08T07:30:00Z"},
		{"America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:30:00Z"},
		{"America/New_York", "2026-11-01 02:00:00", "2026-11-01T07:00:00Z"},
		// A whole day was left out.
		{"Pacific/Apia", "2011-12-30 12:00:00", "2011-12-30T22:00:00Z"},
		{"Asia/Kolkata", "2026-01-01 00:00:00", "2025-12-31T18:30:00Z"},
		{"UTC", "2026-01-01 00:00:00", "2026-01-01T00:00:00Z"},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		wall, err := time.Parse(time.DateTime, c.wall)
		if err != nil {
			t.Fatal(err)
		}
		if got := moment(wall, loc).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s in %s: got %s, want %s", c.wall, c.zone, got, c.want)
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
			got := moment(at.Add(time.Duration(offset)*time.Second), loc)
			if got.Equal(at) {
				continue
			}
			if got.In(loc).Format(time.DateTime) != shown.Format(time.DateTime) || got.After(at) {
				t.Fatalf("%s in %s: got %s", shown, zone, got.In(loc))
			}
		}
	}
}
