package seal

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/erasure"
	"github.com/composerp/composerp/store/internal/pg"
)

// Kind is what is wrong.
type Kind string

// The kinds of findings.
const (
	Edited   Kind = "edited"   // an event is not what it was
	Removed  Kind = "removed"  // an event is not there any more
	Inserted Kind = "inserted" // an event is there that the log did not write
	Chain    Kind = "chain"    // a seal is not what it was
	Unsigned Kind = "receipt"  // a receipt is not what an audit has signed
	Erasure  Kind = "erasure"  // an erasure is not what was done, or no key and no log entry vouches for it
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind Kind `json:"kind"`
	// Seq is the event's position; 0 where the finding is not about one event.
	Seq     int64      `json:"seq,omitempty"`
	EventID *uuid.UUID `json:"eventId,omitempty"` // nil for one that is removed
	Type    string     `json:"type,omitempty"`
	Seal    int64      `json:"seal,omitempty"`
	What    string     `json:"what"`
}

// mostFindings bounds those that a report lists; the others are counted.
const mostFindings = 1000

// Report is what Verify has found.
type Report struct {
	Seals    int64      `json:"seals"`
	Events   int64      `json:"events"` // that are sealed
	LastSeq  int64      `json:"lastSeq"`
	SealedAt *time.Time `json:"sealedAt,omitempty"` // of the newest seal; nil: nothing is sealed
	// Archived is how many of the sealed events are in archives that were not given: nothing was read of them.
	Archived int64 `json:"archived,omitempty"`
	// Unsealed is how many events are too new to be sealed: nothing is known of them.
	Unsealed int64 `json:"unsealed"`
	// Receipts is how many an audit has signed, and Signed how many events the newest of them stands for.
	Receipts int        `json:"receipts"`
	Signed   int64      `json:"signed"`
	SignedAt *time.Time `json:"signedAt,omitempty"`
	// Erased is how many events have a stand-in since an erasure; Erasures are the first of them.
	Erased   int64             `json:"erased"`
	Erasures []erasure.Erasure `json:"erasures"`
	// Findings are the first of Found.
	Findings []Finding `json:"findings"`
	Found    int       `json:"found"`
}

func (r *Report) find(f Finding) {
	r.Found++
	if len(r.Findings) < mostFindings {
		r.Findings = append(r.Findings, f)
	}
}

// row is a seal as it is kept.
type row struct {
	ID       int64     `db:"id"`
	First    int64     `db:"first_seq"`
	Last     int64     `db:"last_seq"`
	Events   int       `db:"events"`
	Digests  []byte    `db:"digests"`
	Hash     Hash      `db:"hash"`
	SealedAt time.Time `db:"sealed_at"`
}

var seals = pg.SQL(`SELECT id, first_seq, last_seq, events, digests, hash, sealed_at FROM log_seal WHERE id > $1 ORDER BY id LIMIT $2`)

// sealsAtOnce are read at once: some megabytes.
const sealsAtOnce = 64

// The body is hashed by the server: it need not be sent.
var sealedEntries = pg.SQL(`
SELECT ` + entryColumns + `, sha256(convert_to(e.body, 'UTF8')) AS now FROM event_log e WHERE e.seq BETWEEN $1 AND $2 ORDER BY e.seq`)

var strayEntries = pg.SQL(`SELECT ` + entryColumns + ` FROM event_log e WHERE e.seq < 1 ORDER BY e.seq LIMIT $1`)

// Verify holds the log against its chain, and the chain against receipts. key, unless nil, is the public key of those
// who may erase: an erasure that it has not signed is found. archives, unless nil, has what left the database; without
// them it is not verified. progress, if set, is called with how many positions of how many are
// verified.
func Verify(ctx context.Context, db *store.DB, receipts []Receipt, key ed25519.PublicKey, archives *archive.Folder, progress func(done, of int64)) (Report, error) {
	v := verification{db: db, archives: archives, key: key, report: Report{Findings: []Finding{}, Erasures: []erasure.Erasure{}}, receipts: map[int64][]Receipt{}}
	for _, r := range receipts {
		v.receipts[r.ID] = append(v.receipts[r.ID], r)
	}
	before, err := Read(ctx, db)
	if err != nil {
		return v.report, err
	}
	if v.cut, err = archive.Cut(ctx, db); err != nil {
		return v.report, err
	}
	if err = v.readErasures(ctx); err != nil {
		return v.report, err
	}
	v.report.Unsealed = before.Unsealed
	if progress == nil {
		progress = func(int64, int64) {}
	}
	err = pg.Each(ctx, db, "reading positions that the log never gives", strayEntries, func(row *sql.Rows) error {
		var e entry
		if err := e.scan(row); err != nil {
			return err
		}
		v.inserted(&e, 0)
		return nil
	}, mostFindings)
	if err != nil {
		return v.report, err
	}
	for id := int64(0); ; {
		page, err := pg.List[row](ctx, db, "reading the seals", seals, id, sealsAtOnce)
		if err != nil {
			return v.report, err
		}
		for i := range page {
			if err := v.verify(ctx, &page[i]); err != nil {
				return v.report, err
			}
			id = page[i].ID
			progress(v.report.LastSeq, max(before.LastSeq, v.report.LastSeq))
		}
		if len(page) < sealsAtOnce {
			break
		}
	}
	v.unseen()
	v.unerased(before.LastSeq)
	if cut, err := archive.Cut(ctx, db); err != nil || cut != v.cut {
		return v.report, errors.Join(err, ErrCutMeanwhile)
	}
	return v.report, nil
}

// ErrCutMeanwhile means that a partition left the database while the log was read.
var ErrCutMeanwhile = errors.New("part of the log was archived meanwhile; verify again")

type verification struct {
	db       *store.DB
	archives *archive.Folder // nil: not given
	cut      int64           // what is before it is in archives
	key      ed25519.PublicKey
	erasures map[int64]*erasure.Erasure // by the event's position; those that were met are gone
	report   Report
	receipts map[int64][]Receipt // by the seal that they sign; those that were compared are gone
	last     row
}

// verify holds one seal against the one before it, its range, and its receipts.
func (v *verification) verify(ctx context.Context, s *row) error {
	if s.ID != v.last.ID+1 || s.First != v.last.Last+1 {
		v.report.find(Finding{Kind: Chain, Seal: s.ID, What: fmt.Sprintf("seal %d begins at %d, and seal %d before it ended at %d: seals are missing", s.ID, s.First, v.last.ID, v.last.Last)})
	}
	before := v.report.Found
	l, err := v.compare(ctx, s)
	if err != nil {
		return err
	}
	if !l.partial && l.end(s.Last) != s.Hash && v.report.Found == before {
		v.report.find(Finding{Kind: Chain, Seal: s.ID, What: fmt.Sprintf("seal %d, of positions %d to %d, was changed: its events are those that it lists, and its hash is another", s.ID, s.First, s.Last)})
	}
	for _, r := range v.receipts[s.ID] {
		if r.Hash != s.Hash || r.LastSeq != s.Last {
			v.report.find(Finding{Kind: Chain, Seal: s.ID, What: fmt.Sprintf("the chain was made anew: the receipt of %s signs another hash of seal %d", r.SignedAt.UTC().Format(time.RFC3339), s.ID)})
			continue
		}
		v.report.Receipts++
		if v.report.SignedAt == nil || r.SignedAt.After(*v.report.SignedAt) {
			v.report.Signed, v.report.SignedAt = v.report.Events, &r.SignedAt
		}
	}
	delete(v.receipts, s.ID)
	v.last = *s
	v.report.Seals++
	v.report.LastSeq, v.report.SealedAt = s.Last, &s.SealedAt
	return nil
}

// compare reads a seal's range, and finds what differs from its digests.
func (v *verification) compare(ctx context.Context, s *row) (*link, error) {
	marks, err := unpack(s.Digests)
	if err != nil {
		v.report.find(Finding{Kind: Chain, Seal: s.ID, What: fmt.Sprintf("seal %d: %v", s.ID, err)})
	}
	l := newLink(v.last.Hash, s.ID, s.First)
	if err = v.each(ctx, s, func(e *entry) { v.entry(l, marks, s.ID, e) }); err != nil {
		return nil, err
	}
	v.report.Events += int64(l.events)
	for _, seq := range slices.Sorted(maps.Keys(marks)) {
		if v.archives == nil && seq < v.cut {
			v.report.Archived++
			l.partial = true
			continue
		}
		v.report.find(Finding{Kind: Removed, Seq: seq, Seal: s.ID, What: "the event that was logged there is gone"})
	}
	return l, nil
}

// each reads the events of a seal's range, first those in archives.
func (v *verification) each(ctx context.Context, s *row, take func(*entry)) error {
	if v.archives != nil && s.First < v.archives.Cut {
		err := v.archives.Frames(s.First-1, s.Last, false, func(rows []archive.Row) error {
			for i := range rows {
				take(archived(&rows[i]))
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return pg.Each(ctx, v.db, fmt.Sprintf("reading the events of seal %d", s.ID), sealedEntries, func(row *sql.Rows) error {
		var e entry
		if err := e.scan(row, &e.now); err != nil {
			return err
		}
		take(&e)
		return nil
	}, s.First, s.Last)
}

// entry holds an event against its seal, and takes it out of those that are missing.
func (v *verification) entry(l *link, marks map[int64]mark, seal int64, e *entry) {
	digest := e.digest()
	l.add(e.seq, digest)
	mark, sealed := marks[e.seq]
	delete(marks, e.seq)
	switch {
	case !sealed:
		v.inserted(e, seal)
	case !v.isErased(e, seal) && e.now != e.body:
		v.event(Edited, e, seal, "its body is not the one that was logged")
	case string(digest[:prefixBytes]) != string(mark[:]):
		v.event(Edited, e, seal, "its header, its times, or its body together with the body's hash are not those that were logged")
	}
}

func (v *verification) event(kind Kind, e *entry, seal int64, what string) {
	id := e.id
	v.report.find(Finding{Kind: kind, Seq: e.seq, EventID: &id, Type: e.kind, Seal: seal, What: what})
}

func (v *verification) inserted(e *entry, seal int64) {
	v.event(Inserted, e, seal, "there was no event at this position when the log was sealed")
}

// unseen finds receipts of seals that are not there.
func (v *verification) unseen() {
	for _, id := range slices.Sorted(maps.Keys(v.receipts)) {
		for _, r := range v.receipts[id] {
			v.report.find(Finding{Kind: Chain, Seal: id, What: fmt.Sprintf(
				"the receipt of %s signs seal %d, up to position %d, and the chain ends at seal %d: the log was cut, or the database restored to an earlier time",
				r.SignedAt.UTC().Format(time.RFC3339), id, r.LastSeq, v.last.ID)})
		}
	}
}
