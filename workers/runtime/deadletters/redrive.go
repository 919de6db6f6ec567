package deadletters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/workers/runtime/pipeline"
)

// Redrive says which letters to send back to their worker, and how.
type Redrive struct {
	Queue  Queue
	Filter failures.LetterFilter // its Consumers and IncludeResolved are not used
	Limit  int                   // at most; 0: all
	Pace   Pace                  // the zero value is Careful
	// StopAt ends it when more than that percentage of the redriven letters has failed again; 0 means DefaultStopAt,
	// 100 never.
	StopAt int
	// Timestamp, when set, is the business time with which the events go back.
	Timestamp time.Time
	// Force redrives even what its worker may have handled and could not recognize.
	Force    bool
	Progress func(Progress) // called often, from one goroutine; may be nil
}

// DefaultStopAt is the share of failures, in percent, at which a redrive stops.
const DefaultStopAt = 20

// Progress is how far a walk has come.
type Progress struct {
	Length int // of the queue, when it began
	Seen   int
	Done   int // redriven or discarded
	Failed int // of those, failed again
	Rate   int // letters a second; 0: unlimited
}

// RedriveReport is what became of it.
type RedriveReport struct {
	Queue    string `json:"queue"`
	Seen     int    `json:"seen"`
	Redriven int    `json:"redriven"`
	Handled  int    `json:"handled"` // of those, by the worker's inbox
	Failed   int    `json:"failed"`  // of those, once more
	Waiting  int    `json:"waiting"` // of those, with no outcome yet
	// Failures are the errors of those that failed again, the most frequent first.
	Failures []Failing `json:"failures"`
	Refused  []Refusal `json:"refused"`
	Absent   int       `json:"absent"` // held by another consumer: not examined
	Missed   int       `json:"lost"`   // in the dead-letter log and not in the queue
	// Stopped tells that it ended by itself because too many failed again.
	Stopped bool `json:"stopped"`
	// Idle tells that the worker's queue has no consumer: the redriven letters wait there.
	Idle      bool  `json:"idle"`
	ElapsedMs int64 `json:"elapsedMs"`
}

// errStopped ends a walk on which too much fails again.
var errStopped = errors.New("too much fails again")

// window is how many letters are in flight to the broker.
const window = batch

// redriver is a redrive at work.
type redriver struct {
	Redrive
	walk      *walk
	tracker   *tracker
	publisher *rabbitmq.Publisher
	pace      pacer
	report    RedriveReport
	refused   map[string]bool
}

// Redrive sends letters back to their worker, the oldest first. An error comes
// with the report of what was done until then; the same call goes on from there.
func (c Config) Redrive(ctx context.Context, r Redrive) (RedriveReport, error) {
	if len(r.Pace.Steps) == 0 {
		r.Pace = Careful
	}
	if r.StopAt <= 0 {
		r.StopAt = DefaultStopAt
	}
	began := time.Now()
	w, err := c.open(ctx, r.Queue, r.Filter, r.Limit)
	if err != nil {
		return RedriveReport{}, fmt.Errorf("redriving %s: %w", r.Queue.Worker, err)
	}
	defer w.session.Close()
	d := &redriver{Redrive: r, walk: w, pace: pacer{Pace: r.Pace}, refused: map[string]bool{}}
	d.report = RedriveReport{Queue: w.name(), Failures: []Failing{}, Refused: []Refusal{}}
	err = d.run(ctx)
	d.report.ElapsedMs = time.Since(began).Milliseconds()
	if err != nil {
		return d.report, fmt.Errorf("redriving %s: %w", w.name(), err)
	}
	return d.report, nil
}

func (d *redriver) run(ctx context.Context) (err error) {
	if d.publisher, err = d.walk.session.Publisher(window); err != nil {
		return err
	}
	if d.tracker, err = d.walk.track(ctx); err != nil {
		return err
	}
	defer d.tracker.close()
	d.walk.progress = d.reportProgress
	err = d.walk.run(ctx, d.act)
	if err == nil {
		d.report.Missed, err = d.walk.miss(ctx)
	}
	d.report.Stopped = errors.Is(err, errStopped)
	if errors.Is(err, errEnough) || d.report.Stopped {
		err = nil
	}
	if err == nil && !d.report.Stopped {
		err = d.tracker.settle(ctx, d.pace.Timeout)
	}
	d.sum(ctx)
	return err
}

// act redrives letters at the pace, and stops when too many fail again.
func (d *redriver) act(ctx context.Context, letters []letter) (stay int, err error) {
	good, refused, err := d.refusals(ctx, letters)
	if err != nil {
		return len(letters), err
	}
	stay, letters = len(letters)-len(good), good
	d.refuse(refused)
	for len(letters) > 0 {
		if d.pace.climbs() {
			if err := d.tracker.settle(ctx, d.pace.Timeout); err != nil {
				return stay + len(letters), err
			}
			d.pace.climb()
		}
		if d.tracker.tooMany(d.StopAt) {
			return stay + len(letters), errStopped
		}
		n, err := d.pace.allow(ctx, len(letters))
		if err != nil {
			return stay + len(letters), err
		}
		left, err := d.putBack(ctx, letters[:n])
		stay += left
		letters = letters[n:]
		if err != nil {
			return stay + len(letters), err
		}
		d.reportProgress()
	}
	return stay, nil
}

// refusals divides letters into those that may be redriven and those that may not.
func (d *redriver) refusals(ctx context.Context, letters []letter) (good []letter, refused []Refusal, err error) {
	if !d.Force && d.Queue.TracksInbox {
		if letters, refused, err = d.walk.refuse(ctx, letters); err != nil {
			return nil, nil, err
		}
	}
	for _, l := range letters {
		held, err := d.walk.holdsAnother(ctx, l.Delivery, d.Timestamp)
		switch {
		case err != nil:
			return nil, nil, err
		case held:
			refused = append(refused, Refusal{ID: l.entry.ID, EventID: l.entry.EventID.UUID, Why: ErrHeld.Error()})
		default:
			good = append(good, l)
		}
	}
	return good, refused, nil
}

// refuse notes what is not redriven; a later walk meets the same letters again.
func (d *redriver) refuse(refused []Refusal) {
	for _, r := range refused {
		if !d.refused[r.ID.String()] {
			d.refused[r.ID.String()] = true
			d.report.Refused = append(d.report.Refused, r)
		}
	}
}

// putBack publishes letters to their worker's queue, waits for the confirms, and only then removes them from the
// queue of dead letters. Once begun it is not interrupted by ctx. It returns how many of the letters stay.
func (d *redriver) putBack(ctx context.Context, letters []letter) (stay int, err error) {
	ctx, cancel := outlasting(ctx)
	defer cancel()
	for i := range letters {
		if letters[i].back, err = Redated(rabbitmq.RedriveMessage(letters[i].Delivery, d.Queue.Worker), d.Timestamp); err != nil {
			return len(letters), err
		}
		d.walk.returned[lifeOf(letters[i].back)] = true
	}
	d.tracker.expect(letters)
	back, not, err := d.publish(ctx, letters)
	failpoint.Hit("redrive.confirmed")
	d.tracker.back(back, not)
	if leaving := d.walk.leave(ctx, failures.Redriven, back); leaving != nil {
		return len(letters), errors.Join(err, leaving)
	}
	d.report.Redriven += len(back)
	return len(not), err
}

// publish divides letters into those that the broker has confirmed and those that it may not have.
func (d *redriver) publish(ctx context.Context, letters []letter) (back, not []letter, err error) {
	sent, err := pipeline.Publish(ctx, d.publisher, len(letters), func(i int) (rabbitmq.Message, error) { return letters[i].back, nil }, nil)
	failpoint.Hit("redrive.published")
	not = slices.Clone(letters[len(sent):])
	_ = sent.Wait(ctx, func(i int, failed error) error { // the last one too: each letter is in one of the two
		if failed != nil {
			not, err = append(not, letters[i]), failed
		} else {
			back = append(back, letters[i])
		}
		return nil
	})
	return back, not, err
}

// outlasting is ctx extended by actTime: what was begun is finished.
func outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(actTime, cancel) })
	return longer, func() { stop(); cancel() }
}

func (d *redriver) reportProgress() {
	if d.Progress == nil {
		return
	}
	d.tracker.mu.Lock()
	failed := d.tracker.failed
	d.tracker.mu.Unlock()
	d.Progress(Progress{Length: d.walk.length, Seen: d.walk.seen, Done: d.report.Redriven, Failed: failed, Rate: d.pace.rate()})
}

// sum writes the outcomes into the report.
func (d *redriver) sum(ctx context.Context) {
	if ctx.Err() == nil {
		if _, err := d.tracker.poll(ctx); err != nil {
			d.walk.Log.Warn("outcomes of redriven letters not known", "error", err)
		}
		_, consumers, err := d.walk.session.Depth(topology.QueueName(d.Queue.Worker))
		d.report.Idle = err == nil && consumers == 0
	}
	d.tracker.mu.Lock()
	defer d.tracker.mu.Unlock()
	d.report.Seen, d.report.Absent = d.walk.seen, d.walk.absent
	d.report.Handled, d.report.Failed, d.report.Waiting = d.tracker.handled, d.tracker.failed, len(d.tracker.waiting)
	d.report.Failures = grouped(d.tracker.failures)
}
