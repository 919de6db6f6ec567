package chaos

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/event"
)

func TestGoldenSchedule(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	for seed := range uint64(3) {
		fmt.Fprintf(&text, "seed %d\n", seed)
		for _, s := range Plan(seed, time.Minute, faults) {
			fmt.Fprintf(&text, "  after %s:", s.Pause)
			for _, p := range s.Picks {
				fmt.Fprintf(&text, " %s at %s for %s (%016x)", p.Fault, p.After, p.Hold, p.Dice)
			}
			fmt.Fprintln(&text)
		}
	}
	golden.Compare(t, "testdata/schedule.txt", text.String())
}

func TestGoldenPublications(t *testing.T) {
	t.Parallel()
	publications, err := Publications(7, 60)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, s := range publications[items*len(locations):] {
		fmt.Fprintf(&text, "%s %s %s\n", s.Kind, s.Route, s.Event.Body)
	}
	golden.Compare(t, "testdata/publications.txt", text.String())
}

func TestASchedule(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(200) {
		steps := Plan(seed, time.Minute, faults)
		var total time.Duration
		for _, s := range steps {
			longest := time.Duration(0)
			for _, p := range s.Picks {
				seen[p.Fault]++
				f := find(p.Fault)
				if p.Hold < f.least || p.Hold > f.most {
					t.Errorf("seed %d holds %s for %s", seed, p.Fault, p.Hold)
				}
				longest = max(longest, p.After+p.Hold)
			}
			total += s.Pause + longest
			if len(s.Picks) == 2 && find(s.Picks[0].Fault).Group == find(s.Picks[1].Fault).Group {
				t.Errorf("seed %d has two faults of one group at once: %+v", seed, s.Picks)
			}
		}
		if len(steps) == 0 || total > time.Minute {
			t.Errorf("seed %d has %d steps that take %s", seed, len(steps), total)
		}
	}
	for _, f := range faults {
		if seen[f.Name] < 20 {
			t.Errorf("%s is injected %d times in 200 seeds", f.Name, seen[f.Name])
		}
	}
}

func TestAShortSchedule(t *testing.T) {
	t.Parallel()
	only, err := Faults("broker-pause")
	if err != nil {
		t.Fatal(err)
	}
	if steps := Plan(1, time.Second, only); len(steps) != 1 {
		t.Errorf("%d steps, want the one that was named, however long it takes", len(steps))
	}
}

func TestFaultsByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names []string
		want  int
	}{{nil, len(faults)}, {[]string{"kill"}, 1}, {[]string{"network"}, 5}, {[]string{"supplier", "kill", "kill"}, 3}, {[]string{"kil"}, -1}, {[]string{""}, -1}} {
		got, err := Faults(c.names...)
		if (err != nil) != (c.want < 0) || err == nil && len(got) != c.want {
			t.Errorf("%q: %d faults, %v; want %d", c.names, len(got), err, c.want)
		}
	}
	var names []string
	for _, f := range faults {
		names = append(names, f.Name)
		if f.inject == nil || f.What == "" || f.most < f.least {
			t.Errorf("%s is incomplete", f.Name)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(faults) {
		t.Error("two faults have the same name")
	}
}

// Each publication must be of its kind: a valid event, published before it is repeated; an invalid message that cannot
// be read.
func TestPublications(t *testing.T) {
	t.Parallel()
	publications, err := Publications(3, 3000)
	if err != nil {
		t.Fatal(err)
	}
	known, logged := map[uuid.UUID][]byte{}, map[uuid.UUID]bool{}
	count := map[Kind]int{}
	for _, s := range publications {
		count[s.Kind]++
		_, err := event.DecodeOutside(s.Event.Body)
		before, published := known[s.Event.ID]
		switch s.Kind {
		case Fresh:
			if err != nil || published {
				t.Errorf("%s: %v, published before: %v", s.Event.ID, err, published)
			}
			known[s.Event.ID] = s.Event.Body
			logged[s.Event.ID] = s.Route == RouteLog
		case Repeated:
			if !bytes.Equal(before, s.Event.Body) {
				t.Errorf("%s is repeated with another body", s.Event.ID)
			}
		case Altered:
			if err != nil || s.Route != RouteLog || !logged[s.Event.ID] || bytes.Equal(before, s.Event.Body) {
				t.Errorf("%s is altered: %v, route %s", s.Event.ID, err, s.Route)
			}
		case Invalid:
			if err == nil || published || s.Route != RouteAMQP {
				t.Errorf("%s should not be an event: %s", s.Event.ID, s.Event.Body)
			}
		}
	}
	for _, kind := range []Kind{Fresh, Repeated, Altered, Invalid} {
		if count[kind] < 10 {
			t.Errorf("%d are %s", count[kind], kind)
		}
	}
}

// Goods move and do not appear: each item sums to zero over all locations.
func TestStockAfter(t *testing.T) {
	t.Parallel()
	publications, err := Publications(3, 2000)
	if err != nil {
		t.Fatal(err)
	}
	var events []event.Any
	for _, s := range publications {
		if s.Kind == Fresh {
			events = append(events, s.Event)
		}
	}
	sums := map[string]event.Decimal{}
	found := map[string]bool{}
	for at, quantity := range stockAfter(events) {
		sums[at.item] = sums[at.item].Add(quantity)
		found[at.location] = true
	}
	for item, sum := range sums {
		if sum.Sign() != 0 {
			t.Errorf("%s sums to %s", item, sum)
		}
	}
	if len(sums) != items || len(found) != len(locations)+4 {
		t.Errorf("%d items at %d locations", len(sums), len(found))
	}
}
