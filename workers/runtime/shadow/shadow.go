package shadow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
)

// Config says whom to shadow, and how long. DB, Fleet, Worker and For are needed.
type Config struct {
	DB    *store.DB // one connection, which Run takes over
	Fleet []worker.Worker
	// Worker is the one of this program whose live counterpart has the same name.
	Worker worker.Worker
	For    time.Duration
	// Events ends the run after the window that brings those compared to this number; 0: For alone does.
	Events int64
	// Window is how long the live worker goes on between the copies and the comparison; 0: 30 seconds. A window takes
	// five times as long as copying the tables, at least.
	Window time.Duration
	// Limit is how many differences are listed of each kind; all are counted.
	Limit    int
	Progress func(Report) // after each window; may be nil
}

// Report is what was compared. Differences, Failures and Rows are the first ones.
type Report struct {
	Worker string   `json:"worker"`
	Beside []string `json:"beside"` // workers that keep some of its tables, and so worked in the windows too
	// Windows were compared, Abandoned were not: a connection broke, or a table was locked.
	Windows   int `json:"windows"`
	Abandoned int `json:"abandoned"`
	// Events were handled by both. LeftOut are events that the live worker handled between windows.
	Events  int64 `json:"events"`
	LeftOut int64 `json:"leftOut"`
	// Failed are events about which the handler returned an error or panicked; BesideFailed those of other workers.
	Failed       int64          `json:"failed"`
	BesideFailed int64          `json:"besideFailed"`
	Emitted      Emissions      `json:"emitted"`
	Tables       []shadow.Total `json:"tables"`
	Differences  []Difference   `json:"differences"`
	Failures     []Failure      `json:"failures"`
	Rows         []shadow.Row   `json:"rows"`
	CopiedRows   int64          `json:"copiedRows"` // for the last window
	CopyMs       int64          `json:"copyMs"`
	ElapsedMs    int64          `json:"elapsedMs"`
}

// Failure is an event that the shadow could not handle.
type Failure struct {
	Worker  string     `json:"worker"`
	EventID uuid.UUID  `json:"eventId"`
	Type    event.Type `json:"eventType"`
	Seq     int64      `json:"seq"`
	Error   string     `json:"error"`
}

// Differs reports whether the shadow did something else than the live worker.
func (r Report) Differs() bool {
	e := r.Emitted
	return r.Failed+e.Different+e.Missing+e.Additional > 0 || slices.ContainsFunc(r.Tables, shadow.Total.Differs)
}

const (
	defaultWindow = 30 * time.Second
	// attempts are how many windows in a row may be abandoned.
	attempts = 5
	// copyShare is how many times longer than the copying a window is.
	copyShare = 5
)

// Run compares window after window until the time is over. The report is of all complete windows, also beside an error.
func Run(ctx context.Context, cfg Config) (Report, error) {
	s, err := Begin(cfg)
	if err != nil {
		return s.report, err
	}
	began, abandoned := time.Now(), 0
	for {
		err := s.Copy(ctx)
		if err == nil {
			left := cfg.For - time.Since(began)
			if !clock.Sleep(ctx, max(0, min(left, s.window()))) {
				return s.report, context.Cause(ctx)
			}
			err = s.Compare(ctx)
		}
		s.report.ElapsedMs = time.Since(began).Milliseconds()
		switch {
		case ctx.Err() != nil:
			return s.report, context.Cause(ctx)
		case err == nil:
			abandoned = 0
		case abandoned < attempts && mayPass(err):
			abandoned++
			s.report.Abandoned++
			if !clock.Sleep(ctx, time.Duration(abandoned)*time.Second) {
				return s.report, context.Cause(ctx)
			}
		default:
			return s.report, err
		}
		if cfg.Progress != nil {
			cfg.Progress(s.report)
		}
		if time.Since(began) >= cfg.For || cfg.Events > 0 && s.report.Events >= cfg.Events {
			return s.report, nil
		}
	}
}

func mayPass(err error) bool {
	return errors.Is(err, shadow.ErrGone) || errors.Is(err, store.ErrRetryable) || errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUnwritable)
}

// Shadow is a run whose windows its caller begins and ends. It is not safe for concurrent use.
type Shadow struct {
	cfg     Config
	plan    plan
	session *shadow.Session
	report  Report
	copied  time.Duration
}

// Begin checks what is asked for, and copies nothing yet.
func Begin(cfg Config) (*Shadow, error) {
	s := &Shadow{cfg: cfg, report: Report{
		Worker: cfg.Worker.Name(), Beside: []string{}, Tables: []shadow.Total{}, Differences: []Difference{}, Failures: []Failure{}, Rows: []shadow.Row{},
	}}
	var err error
	if s.plan, err = planFor(cfg.Fleet, cfg.Worker); err != nil {
		return s, err
	}
	for _, name := range s.plan.names() {
		if name != cfg.Worker.Name() {
			s.report.Beside = append(s.report.Beside, name)
		}
	}
	s.session = shadow.Open(cfg.DB, s.plan.tables)
	return s, nil
}

// Report is of the windows so far.
func (s *Shadow) Report() Report { return s.report }

func (s *Shadow) window() time.Duration {
	window := s.cfg.Window
	if window <= 0 {
		window = defaultWindow
	}
	return max(window, copyShare*s.copied)
}

// Copy begins a window.
func (s *Shadow) Copy(ctx context.Context) error {
	began := time.Now()
	c, err := s.session.Copy(ctx)
	if err != nil {
		return err
	}
	s.copied = time.Since(began)
	s.report.CopiedRows, s.report.CopyMs = c.Rows, s.copied.Milliseconds()
	return nil
}

// Compare ends the window: it handles what the live worker has handled since Copy, compares, and rolls back. A window
// that fails leaves the report as it was.
func (s *Shadow) Compare(ctx context.Context) (err error) {
	w, err := s.session.Begin(ctx)
	if err != nil {
		return err
	}
	was := s.report
	defer func() {
		if err = errors.Join(err, w.End()); err != nil {
			s.report = was
		}
	}()
	if err := s.handleAll(ctx, w); err != nil {
		return err
	}
	left, err := w.LeftOut(ctx, s.report.Worker)
	if err != nil {
		return err
	}
	s.report.LeftOut += left
	totals, rows, err := w.Compare(ctx, s.cfg.Worker.Keeps, max(0, s.cfg.Limit-len(s.report.Rows)))
	if err != nil {
		return err
	}
	s.report.Windows++
	s.report.Rows = append(slices.Clone(s.report.Rows), rows...)
	s.report.Tables = added(s.report.Tables, totals)
	return nil
}

// added are the totals of all windows; Same is the last window's.
func added(was, now []shadow.Total) []shadow.Total {
	if len(was) == 0 {
		return now
	}
	sum := slices.Clone(was)
	for i, t := range now {
		sum[i].Same = t.Same
		sum[i].Different += t.Different
		sum[i].Missing += t.Missing
		sum[i].Additional += t.Additional
		sum[i].Elsewhere += t.Elsewhere
	}
	return sum
}

func (s *Shadow) handleAll(ctx context.Context, w *shadow.Window) error {
	batches, err := w.Handled(ctx, s.plan.names())
	if err != nil {
		return err
	}
	for _, b := range batches {
		emitted, failures, err := s.handle(ctx, w, b)
		if err != nil {
			return err
		}
		n := int64(len(failures))
		s.report.Failures = append(s.report.Failures, failures[:max(0, min(len(failures), s.cfg.Limit-len(s.report.Failures)))]...)
		if b.Consumer != s.report.Worker {
			s.report.BesideFailed += n
			continue
		}
		s.report.Failed += n
		s.report.Events += int64(len(b.Events))
		if err := s.compareBatch(b, emitted); err != nil {
			return err
		}
	}
	return nil
}

// handle calls the handler as the harness does: with the batch, and after an error with one event at a time.
func (s *Shadow) handle(ctx context.Context, w *shadow.Window, b shadow.Batch) (emitted []event.Any, failures []Failure, err error) {
	try := func(events []event.Any) error {
		return w.Try(ctx, func(tx *store.Transaction) error {
			some, err := s.plan.all[b.Consumer].Shadow(ctx, tx, events)
			if err == nil {
				emitted = append(emitted, some...)
			}
			return err
		})
	}
	if len(b.Events) == 0 {
		return nil, nil, nil
	}
	if err := try(b.Events); err == nil || ends(ctx, err) {
		return emitted, nil, err
	}
	for i := range b.Events {
		e := &b.Events[i]
		err := try(b.Events[i : i+1])
		switch {
		case err == nil:
		case ends(ctx, err):
			return nil, nil, err
		default:
			failures = append(failures, Failure{Worker: b.Consumer, EventID: e.ID, Type: e.Type, Seq: e.LogSeq, Error: wording.Shortened(wording.OneLine(err.Error()), 300)})
		}
	}
	return emitted, failures, nil
}

// ends reports whether an error is not about an event.
func ends(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, shadow.ErrWrites) || errors.Is(err, shadow.ErrGone) || errors.Is(err, store.ErrUnavailable)
}

func (s *Shadow) compareBatch(b shadow.Batch, emitted []event.Any) error {
	live, mine := byCause(b.Emitted), byCause(emitted)
	for _, cause := range b.Events {
		n, differences, err := compareEmitted(cause, live[cause.ID.String()], mine[cause.ID.String()])
		if err != nil {
			return err
		}
		t := &s.report.Emitted
		t.Same, t.Different, t.Missing, t.Additional = t.Same+n.Same, t.Different+n.Different, t.Missing+n.Missing, t.Additional+n.Additional
		room := max(0, min(len(differences), s.cfg.Limit-len(s.report.Differences)))
		s.report.Differences = append(s.report.Differences, differences[:room]...)
	}
	return nil
}

func byCause(events []event.Any) map[string][]event.Any {
	of := map[string][]event.Any{}
	for _, e := range events {
		of[e.Metadata.CausationID] = append(of[e.Metadata.CausationID], e)
	}
	return of
}
