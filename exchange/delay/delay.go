// Package delay divides the time of a delivery, from the event's birth in the log to its effect at a consumer, into
// stages.
//
// A message carries its times in the header x-times: when it was published last, and how long it was in each stage
// before. The relay writes it, and whatever publishes a copy of the message adds the stages that it has seen:
//
//	relay        from appending the event to the log to publishing it
//	queue        from its publishing to the consumer's process
//	buffer       there, until the slot took its batch
//	handling     from then to the commit of its batch, without the following two
//	locks        while another transaction held a lock that the batch needed
//	database     while the database did not serve
//	breaker      in a retry queue, for a dependency that is away
//	retry        in a retry queue, after an attempt that failed
//	parked       behind an event of its aggregate that failed
//	dead_letter  among the dead letters, until it was redriven
//	republish    until it was published again, because no queue had it: from the log, or from composerp.unrouted
//
// # Invariants
//
//   - The stages add up to the total: each ends where the next begins, and their sum moves with the last one's end.
//   - No stage is negative. Where the clocks of two hosts differ, a stage that would be counts as none, and the next
//     one is shorter.
//   - A header that is none of ours (another version's, or damaged) is no times at all; nothing fails because of it.
//
// A crash loses no more than the message: the header goes with it. A copy that is published twice carries the same
// times, and only one of the two has an effect.
package delay

import (
	"strconv"
	"strings"
	"time"
)

// Header has a message's times: microseconds since 1970 when it was published, and then for each stage how many it
// took, zeros at the end left out.
const Header = "x-times"

// Stage is a part of a delivery's time.
type Stage int

// The stages, in the order of the header and of stored times. New ones come at the end.
const (
	Relay Stage = iota
	Queue
	Buffer
	Handling
	Locks
	Database
	Breaker
	Retry
	Parked
	DeadLetter
	Republish

	// Stages is how many there are.
	Stages = int(Republish) + 1
)

var names = [Stages]string{"relay", "queue", "buffer", "handling", "locks", "database", "breaker", "retry", "parked", "dead_letter", "republish"}

// String is the stage's name in metrics and JSON.
func (s Stage) String() string { return names[s] }

// Times are how long a delivery was in each stage, and when the last of them ended. The zero value knows nothing.
type Times struct {
	until int64 // microseconds since 1970
	in    [Stages]int64
}

// Since are the times of a delivery that begins at that moment: nothing earlier is known.
func Since(at time.Time) Times { return Times{until: at.UnixMicro()} }

// Parse reads a header; false when it has no times that this version knows.
func Parse(header any) (t Times, known bool) {
	text, _ := header.(string)
	until, rest, _ := strings.Cut(text, " ")
	if t.until, known = number(until); !known || t.until == 0 {
		return Times{}, false
	}
	for i := 0; rest != ""; i++ {
		var stage string
		stage, rest, _ = strings.Cut(rest, " ")
		n, ok := number(stage)
		if !ok || i == Stages {
			return Times{}, false
		}
		t.in[i] = n
	}
	return t, true
}

// longest bounds what is believed of a number: two centuries.
const longest = 1 << 53

func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n < longest
}

// String is the header's value.
func (t Times) String() string {
	last := Stages
	for last > 0 && t.in[last-1] == 0 {
		last--
	}
	text := strconv.AppendInt(make([]byte, 0, 40), t.until, 10)
	for _, n := range t.in[:last] {
		text = strconv.AppendInt(append(text, ' '), n, 10)
	}
	return string(text)
}

// Known tells whether the times have a beginning.
func (t *Times) Known() bool { return t.until != 0 }

// Until counts the time since the last stage ended to a stage, which ends at that moment.
func (t *Times) Until(s Stage, at time.Time) {
	spent := at.UnixMicro() - t.until
	if spent >= 0 {
		t.in[s] += spent
		t.until += spent
		return
	}
	// It has left a retry queue early, moved by hand: it was not there for as long as Wait says.
	for _, waited := range []Stage{Retry, Breaker} {
		less := min(-spent, t.in[waited])
		t.in[waited] -= less
		t.until -= less
		spent += less
	}
}

// Age is the sum of all stages if the present one ends at that moment.
func (t *Times) Age(at time.Time) time.Duration {
	return t.Total() + time.Duration(max(0, at.UnixMicro()-t.until))*time.Microsecond
}

// Move takes up to a time out of one stage and counts it to another.
func (t *Times) Move(from, to Stage, spent time.Duration) {
	moved := min(t.in[from], max(0, spent.Microseconds()))
	t.in[from] -= moved
	t.in[to] += moved
}

// Wait counts a wait to come, which a message begins now, to a stage.
func (t *Times) Wait(s Stage, wait time.Duration) {
	t.in[s] += wait.Microseconds()
	t.until += wait.Microseconds()
}

// In is how long the delivery was in a stage.
func (t *Times) In(s Stage) time.Duration { return time.Duration(t.in[s]) * time.Microsecond }

// Total is the sum of all stages.
func (t *Times) Total() (total time.Duration) {
	for s := range t.in {
		total += t.In(Stage(s))
	}
	return total
}
