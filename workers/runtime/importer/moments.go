package importer

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a mapping's time zone must mean the same on a machine without zone files
)

// moments reads the times of a file.
//
// A wall clock's time without a zone is not always one moment. When clocks are put back, an hour is read twice: the
// earlier moment is taken. When they are put forward, an hour is never read; a till that was not put forward in time
// still shows it, and is taken at its word: the moment is counted with the offset from before. (Both as java.time
// does.) A sale happened, whatever the till's clock said, so neither is a reason to refuse a row; but both are counted.
type moments struct {
	zone    *time.Location
	layouts []layout

	lastText string
	last     time.Time
	lastOdd  oddity

	odd     oddity // of the first odd time that was read since it was cleared
	oddText string
}

// oddity says how often clocks have shown a time.
type oddity int

const (
	once     oddity = iota
	skipped         // never: they were put forward over it
	repeated        // twice: they were put back over it
)

type layout struct {
	text  string
	zoned bool // the text has an offset of its own
}

// sample is the moment a layout writes down, as Go's package time has it.
var sample = time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC)

func decodeMoments(zone node, layouts []node) moments {
	c := moments{zone: time.UTC, layouts: []layout{{time.RFC3339, true}}}
	if zone.value != nil {
		name := zone.text("a time zone")
		loc, err := time.LoadLocation(name)
		if err != nil || name == "" || name == "Local" {
			zone.fail("want a time zone of the IANA database such as Europe/London or UTC, got %q", name)
			return c
		}
		c.zone = loc
	}
	for i, n := range layouts {
		if i == 0 {
			c.layouts = nil
		}
		text := n.text("a time layout")
		read, err := time.Parse(text, sample.Format(text))
		switch {
		case n.tree.err != nil:
		case strings.Contains(text, "MST"):
			n.fail("an abbreviated zone has no one meaning; use -0700 or Z07:00, or input.timezone")
		case err != nil || !read.Truncate(24*time.Hour).Equal(sample.Truncate(24*time.Hour)):
			n.fail("want the moment 2006-01-02 15:04:05 as the file would write it (02.01.2006 15:04, say), got %q", text)
		}
		c.layouts = append(c.layouts, layout{text, strings.Contains(text, "07")})
	}
	return c
}

// read gives the moment a text means; false when it is none.
func (c *moments) read(text string) (time.Time, bool) {
	if text == c.lastText && text != "" {
		c.note(c.lastOdd, text)
		return c.last, true
	}
	for _, l := range c.layouts {
		t, err := time.Parse(l.text, text)
		if err != nil {
			continue
		}
		odd := once
		if !l.zoned {
			t, odd = moment(t, c.zone)
		}
		c.lastText, c.last, c.lastOdd = text, t.UTC(), odd
		c.note(odd, text)
		return c.last, true
	}
	return time.Time{}, false
}

// shown gives the moment of a time on the file's clocks.
func (c *moments) shown(wall time.Time) time.Time {
	t, odd := moment(wall, c.zone)
	c.note(odd, wall.Format(time.DateTime))
	return t.UTC()
}

// note keeps the first odd time.
func (c *moments) note(odd oddity, text string) {
	if odd != once && c.odd == once {
		c.odd, c.oddText = odd, text
	}
}

// want says in words what read takes.
func (c *moments) want() string {
	texts := make([]string, len(c.layouts))
	for i, l := range c.layouts {
		texts[i] = l.text
	}
	return "want a time written like " + strings.Join(texts, " or ")
}

// commonLayouts are those that a mapping may have forgotten.
var commonLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "20060102", "20060102150405",
	"2.1.2006 15:04:05", "2.1.2006 15:04", "2.1.2006", "2/1/2006 15:04:05", "2/1/2006 15:04", "2/1/2006",
	"1/2/2006 15:04:05", "1/2/2006 15:04", "1/2/2006", "1/2/2006 3:04 PM", "1/2/06 15:04",
}

// hint says by which layouts a text would be a time: several where day and month could be either.
func (c *moments) hint(text string) string {
	var ways []string
	for _, l := range commonLayouts {
		if _, err := time.Parse(l, text); err == nil && len(ways) < 2 {
			ways = append(ways, fmt.Sprintf("times: [%q]", l))
		}
	}
	if ways == nil {
		return ""
	}
	return "; a time" + wanted + strings.Join(ways, "} or {") + "}"
}

// moment gives the moment at which clocks in loc show what wall shows in UTC: the earlier of two, and where there is
// none, the one counted with the offset from before clocks were put forward. The oddity says which of the three it is.
func moment(wall time.Time, loc *time.Location) (time.Time, oddity) {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), loc)
	begin, end := t.ZoneBounds()
	var earliest time.Time
	odd := once
	for _, near := range []time.Time{begin.Add(-1), t, end} {
		_, offset := near.Zone()
		candidate := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if _, o := candidate.Zone(); o != offset {
			continue
		}
		if !earliest.IsZero() && !candidate.Equal(earliest) {
			odd = repeated
		}
		if earliest.IsZero() || candidate.Before(earliest) {
			earliest = candidate
		}
	}
	if !earliest.IsZero() {
		return earliest, odd
	}
	_, offset := t.Zone()
	if shown := t.Add(time.Duration(offset) * time.Second); shown.UTC().After(wall) {
		return t, skipped // counted with the offset from before already
	}
	return wall.Add(-time.Duration(offset) * time.Second), skipped
}

// Zone is where the clocks of a mapping's file stand: the zone of its times that have none.
func (m *Mapping) Zone() *time.Location { return m.input.moments.zone }
