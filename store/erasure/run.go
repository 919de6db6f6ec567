package erasure

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// Config says what to erase.
type Config struct {
	DB *store.DB // two connections, of the owner of the tables
	// Fields are paths such as "payload.customerId"; All for each that can be erased.
	Fields []string
	By     operatorlog.By     // with a reason
	Key    ed25519.PrivateKey // nil: erasures are not signed
	Now    time.Time
	// Archives is the directory of the archives; "": events that are in archives are refused.
	Archives string
	// Progress, if set, is called with how many of the events are done in the step at work.
	Progress func(step string, done, of int64)
}

// Change is what is erased of one event.
type Change struct {
	Seq     int64     `json:"seq"`
	EventID uuid.UUID `json:"eventId"`
	Type    string    `json:"eventType"`
	Tenant  string    `json:"tenantId"`
	Fields  []string  `json:"fields"` // those that the event has
	// Archive is the file that has the event; "": the log has it.
	Archive     string `json:"archive,omitempty"`
	DeadLetters int    `json:"deadLetters"`     // closed ones, whose bodies are erased too
	Still       bool   `json:"still,omitempty"` // an erased value stands in another field too
	// Problem is why it is not erased.
	Problem string `json:"problem,omitempty"`

	logged, stand archive.Digest
	body          string   // that stands in
	all           []string // what was erased by now
	signs         bool     // nothing is left to erase, and the erasure before has no signature
}

// mostChanges bounds those that a report lists; the others are counted.
const mostChanges = 1000

// Report is what was erased, or would be.
type Report struct {
	Events      int64 `json:"events"`   // that were asked for
	Erased      int64 `json:"erased"`   // that have fields erased
	Without     int64 `json:"without"`  // that have none of the fields, or not any more
	Refused     int64 `json:"refused"`  // each with a problem
	Still       int64 `json:"still"`    // of Erased: a value stands in another field too
	Archived    int64 `json:"archived"` // of Erased: in archives
	DeadLetters int64 `json:"deadLetters"`
	Signed      int64 `json:"signed"` // erasures
	// Changes are the first of those erased and refused.
	Changes []Change `json:"changes"`
	// Archives are the files that are written anew.
	Archives []string `json:"archives"`
}

func (r *Report) add(c *Change, signed bool) {
	switch {
	case c.Problem != "":
		r.Refused++
	case c.signs:
		r.Signed++
		return
	case len(c.Fields) == 0:
		r.Without++
		return
	default:
		r.Erased++
		r.DeadLetters += int64(c.DeadLetters)
		if c.Still {
			r.Still++
		}
		if c.Archive != "" {
			r.Archived++
		}
		if signed {
			r.Signed++
		}
	}
	if len(r.Changes) < mostChanges {
		kept := *c
		kept.body = ""
		r.Changes = append(r.Changes, kept)
	}
}

// Add adds what another run has reported.
func (r *Report) Add(other Report) {
	r.Events += other.Events
	r.Erased += other.Erased
	r.Without += other.Without
	r.Refused += other.Refused
	r.Still += other.Still
	r.Archived += other.Archived
	r.DeadLetters += other.DeadLetters
	r.Signed += other.Signed
	r.Changes = append(r.Changes, other.Changes[:min(len(other.Changes), mostChanges-min(len(r.Changes), mostChanges))]...)
	r.Archives = append(r.Archives, other.Archives...)
}

// Errors of erasing.
var (
	// ErrRefused: some of the events cannot be erased as asked.
	ErrRefused = errors.New("nothing was erased")
	// ErrReplay: what a replay has read is published after the erasure.
	ErrReplay = errors.New("a replay is running, and could publish originals that it has read; wait for its end, or end it by `composerp replay cancel`")
	// ErrReason: every erasure says why.
	ErrReason = errors.New("an erasure needs a reason: the law or the contract, and the request's number")
)

// batchEvents are erased in one transaction.
const batchEvents = 200

// errUndo ends a transaction that only looks.
var errUndo = errors.New("only looked at")

// Plan tells what Run would erase of the events at the positions.
func (cfg Config) Plan(ctx context.Context, seqs []int64) (Report, error) {
	return cfg.pass(ctx, seqs, false)
}

// Run erases the fields of the events at the positions, each event whole, and returns what it has erased, also beside
// an error. ErrRefused, with the report of the plan, when one of them cannot be: then nothing is erased.
func (cfg Config) Run(ctx context.Context, seqs []int64) (Report, error) {
	if cfg.By.Reason == "" {
		return Report{}, ErrReason
	}
	if running, err := pg.One[bool](ctx, cfg.DB, "looking for replays", replaying); err != nil || running {
		return Report{}, cmp.Or(err, ErrReplay)
	}
	plan, err := cfg.pass(ctx, seqs, false)
	if err != nil {
		return plan, err
	}
	if plan.Refused > 0 {
		return plan, fmt.Errorf("%d of %d events cannot be erased: %w", plan.Refused, plan.Events, ErrRefused)
	}
	return cfg.pass(ctx, seqs, true)
}

// pass goes through the events of the log and those of archives.
func (cfg Config) pass(ctx context.Context, seqs []int64, write bool) (Report, error) {
	r := Report{Events: int64(len(seqs)), Changes: []Change{}, Archives: []string{}}
	for _, field := range cfg.Fields {
		if err := CheckField(field); err != nil {
			return r, err
		}
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, int64, int64) {}
	}
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	cut, err := archive.Cut(ctx, cfg.DB)
	if err != nil {
		return r, err
	}
	in, _ := slices.BinarySearch(seqs, cut)
	step := "looked at"
	if write {
		step = "erased"
	}
	done := int64(in)
	for batch := range slices.Chunk(seqs[in:], batchEvents) {
		changes, err := cfg.batch(ctx, batch, write)
		if err != nil {
			return r, err
		}
		for i := range changes {
			r.add(&changes[i], cfg.Key != nil)
		}
		done += int64(len(batch))
		cfg.Progress(step, done, int64(len(seqs)))
	}
	return r, cfg.archives(ctx, &r, seqs[:in], write)
}

// batch erases events of the log in one transaction.
func (cfg Config) batch(ctx context.Context, seqs []int64, write bool) (changes []Change, err error) {
	err = cfg.DB.InTx(ctx, func(tx store.Tx) error {
		if err := archive.Exclude(ctx, tx); err != nil {
			return err
		}
		rows, err := lockEvents(ctx, tx, seqs)
		if err != nil {
			return err
		}
		changes = make([]Change, len(rows))
		for i := range rows {
			changes[i] = rows[i].change(cfg)
		}
		if err := cfg.letters(ctx, tx, changes, write); err != nil {
			return err
		}
		if !write {
			return errUndo
		}
		for i := range changes {
			if p := changes[i].Problem; p != "" {
				return fmt.Errorf("erasing event %s: %s; what was erased before it stays so, and the same command goes on", changes[i].EventID, p)
			}
		}
		if err := writeBodies(ctx, tx, changes); err != nil {
			return err
		}
		if err := cfg.note(ctx, tx, changes); err != nil {
			return err
		}
		failpoint.Hit("erasure.written")
		return nil
	})
	if errors.Is(err, errUndo) {
		return changes, nil
	}
	if err == nil {
		failpoint.Hit("erasure.committed")
	}
	return changes, err
}
