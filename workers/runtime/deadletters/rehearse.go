package deadletters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
)

// Verdict is what would become of a letter if it were redriven.
type Verdict string

// The verdicts.
const (
	Passes     Verdict = "passes"
	Duplicate  Verdict = "duplicate"   // its event was handled already: the worker would skip it
	BeforeCall Verdict = "before call" // handled up to a call to an outside service, which was not made
	Fails      Verdict = "fails"
)

// Rehearsal says which letters to rehearse, and with whom.
type Rehearsal struct {
	Queue  Queue
	Filter failures.LetterFilter
	Limit  int
	// Timestamp is as in Redrive.
	Timestamp time.Time
	// Try lets the worker handle a message without leaving a trace. The error is what it fails with.
	Try      func(ctx context.Context, d rabbitmq.Delivery) (Verdict, error)
	Progress func(done int) // may be nil
}

// RehearsalReport is what would pass and what would not.
type RehearsalReport struct {
	Queue      string    `json:"queue"`
	Rehearsed  int       `json:"rehearsed"`
	Passes     int       `json:"passes"`
	Duplicates int       `json:"duplicates"`
	BeforeCall int       `json:"beforeCall"`
	Fails      int       `json:"fails"`
	Failures   []Failing `json:"failures"`
	ElapsedMs  int64     `json:"elapsedMs"`
}

// ErrNoVerdict is what Try returns when it could not find out, because the database is away for instance.
var ErrNoVerdict = errors.New("the rehearsal has no result")

// try rehearses one message with the time that it would go back with.
func (c Config) try(ctx context.Context, r Rehearsal, d rabbitmq.Delivery) (outcome Verdict, err error) {
	held, err := c.holdsAnother(ctx, d, r.Timestamp)
	if err == nil {
		d.Message, err = Redated(d.Message, r.Timestamp)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrNoVerdict, err)
	case held:
		return Fails, ErrHeld
	}
	return r.Try(ctx, d)
}

// Rehearse lets today's worker handle each pending letter as the dead-letter log has it, and reports how that would
// go. No queue is touched.
func (c Config) Rehearse(ctx context.Context, r Rehearsal) (RehearsalReport, error) {
	began := time.Now()
	r.Filter.Consumers, r.Filter.IncludeResolved = []string{r.Queue.Worker}, false
	report := RehearsalReport{Queue: topology.DeadQueueName(r.Queue.Worker)}
	kinds := map[failure]int{}
	err := failures.EachDeadLetter(ctx, c.DB, r.Filter, r.Limit, func(l failures.DeadLetter) error {
		d := deliveryOf(l)
		outcome, err := c.try(ctx, r, d)
		switch {
		case errors.Is(err, ErrNoVerdict) || ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case outcome == Passes:
			report.Passes++
		case outcome == Duplicate:
			report.Duplicates++
		case outcome == BeforeCall:
			report.BeforeCall++
		default:
			report.Fails++
			kinds[failure{l.Type, err.Error()}]++
		}
		report.Rehearsed++
		if r.Progress != nil {
			r.Progress(report.Rehearsed)
		}
		return nil
	})
	report.Failures = grouped(kinds)
	report.ElapsedMs = time.Since(began).Milliseconds()
	if err != nil {
		return report, fmt.Errorf("rehearsing the dead letters of %s: %w", r.Queue.Worker, err)
	}
	return report, nil
}
