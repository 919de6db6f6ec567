package localtest

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/composerp/composerp/deploy/local"
)

// Environment is what tells the programs that a test starts how slow the machine is, so that servers of theirs get the
// time that they need.
func Environment() []string {
	return []string{local.SlownessVariable + "=" + strconv.FormatFloat(Slowness(), 'f', 2, 64)}
}

// most is the longest that a deadline becomes: a test that hangs on the slowest machine still fails.
const most = 10

// Slowness is how many times as long as on a quiet machine of two cores work takes on this one, from 1 to 10. It is
// measured once a process, when it is first asked for; what withservers has measured counts where that is more.
var Slowness = sync.OnceValue(func() float64 {
	inherited, _ := strconv.ParseFloat(os.Getenv(local.SlownessVariable), 64)
	return withinBounds(max(measure(), inherited))
})

func withinBounds(slowness float64) float64 {
	if math.IsNaN(slowness) {
		return most
	}
	return min(max(slowness, 1), most)
}

// Deadline is how long a test waits for what takes d at most on a quiet machine of two cores.
func Deadline(d time.Duration) time.Duration {
	return time.Duration(float64(d) * Slowness())
}

// The nominal figures: what the work of measure takes on two quiet cores of 2024, with a disk that is a solid-state
// one.
const (
	nominalWork = 50 * time.Millisecond
	nominalSync = 20 * time.Millisecond
)

// measure does a fixed piece of work on two threads, and then writes to a disk, as the tests and their servers do. It
// gives how many times as long as nominal the slower of the two took, which may be less than 1.
func measure() float64 {
	began := time.Now()
	var both sync.WaitGroup
	for range 2 {
		both.Go(work)
	}
	both.Wait()
	worked := time.Since(began)
	began = time.Now()
	if err := syncTenTimes(); err != nil {
		return float64(worked) / float64(nominalWork) // A disk that cannot be written to fails the tests by itself.
	}
	return max(float64(worked)/float64(nominalWork), float64(time.Since(began))/float64(nominalSync))
}

// work writes and reads JSON: a mix of memory and arithmetic that no special instructions of a processor shorten.
func work() {
	type line struct {
		Item  string
		Lots  []int
		Stock map[string]int
	}
	for i := range 10000 {
		raw, err := json.Marshal(line{Item: "item-" + strconv.Itoa(i), Lots: []int{i, 2, 3}, Stock: map[string]int{"shop": i, "store": 2, "transit": 3}})
		var read line
		if err == nil {
			err = json.Unmarshal(raw, &read)
		}
		if err != nil || read.Lots[0] != i {
			panic(fmt.Sprint("JSON is not what it was: ", err))
		}
	}
}

func syncTenTimes() error {
	file, err := os.CreateTemp("", "composerp-speed-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 8<<10)
	for range 10 {
		if _, err := file.Write(block); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// Late says in one line that a wait of Deadline(d) has ended in vain, and whether the machine or the product was too
// slow: the machine, when it is now much slower than it was when the deadline was set, or slower than any deadline
// allows for.
func Late(d time.Duration, what string) string { return late(d, what, Slowness(), measure()) }

func late(d time.Duration, what string, before, now float64) string {
	culprit := "the product"
	if now > before*3/2 || now > most {
		culprit = "the machine"
	}
	waited := time.Duration(float64(d) * before).Round(time.Millisecond)
	return fmt.Sprintf("%s was too slow: waited %s (%s x %.1f, as this machine ran at %s of its nominal speed; now it runs at %s) in vain until %s",
		culprit, waited, d, before, percent(before), percent(now), what)
}

func percent(slowness float64) string { return fmt.Sprintf("%.0f %%", 100/max(slowness, 1)) }
