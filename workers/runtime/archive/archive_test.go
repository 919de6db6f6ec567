package archive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	kept "github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/erasure"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/projection"
	replays "github.com/composerp/composerp/store/replay"
	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/store/trace"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/archive"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/runtime/replay"
	"github.com/composerp/composerp/workers/worker/workertest"
)

var by = operatorlog.By{Operator: "ann", Reason: "a year is enough"}

// fleet is the standard fleet over a log whose events stand before and after position 1,000,000.
type fleet struct {
	*workertest.Env
	dir  string
	sold []event.Any
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	all := workers.Standard(workers.Config{})
	f := &fleet{Env: workertest.NewEnv(t, all...), dir: t.TempDir()}
	t.Cleanup(f.StartFleet(all...))
	ofUser := func(user string) func(*event.Envelope) {
		return func(e *event.Envelope) { e.Metadata.UserID = user }
	}
	f.sell(workertest.Event(t, event.ReceiptCompleted{
		ReceiptID: "receipt-1", ItemID: "A", LocationID: "shop", Quantity: workertest.Decimal("10"), Timestamp: workertest.Day,
	}, ofUser("ann-ann")), workertest.Transfer(t, "A", "shop", "depot", "4"), workertest.Count(t, "B", "shop", "6"))
	f.Exec(`SELECT setval('event_log_seq', 999990)`)
	f.sell(workertest.Sale(t, "A", "shop", "1"), workertest.Sale(t, "B", "shop", "2"), workertest.Event(t, event.SaleCompleted{
		SaleID: "sale-1", ItemID: "C", LocationID: "shop", Quantity: workertest.Decimal("3"), Amount: workertest.Decimal("3"), Timestamp: workertest.Day,
	}, ofUser("bob-bob")), workertest.Sale(t, "A", "depot", "1"))
	f.Exec(`SELECT setval('event_log_seq', greatest(1000000, pg_sequence_last_value('event_log_seq')))`)
	f.sell(workertest.Sale(t, "A", "shop", "2"), workertest.Count(t, "B", "shop", "3"))
	return f
}

// sell admits events and waits until they are handled.
func (f *fleet) sell(events ...event.Any) {
	f.Helper()
	f.sold = append(f.sold, events...)
	f.Admit(events...)
	f.Eventually("it has moved", func() bool { return f.value(`SELECT count(DISTINCT event_id) FROM movement`) == len(f.sold) })
	f.prove(false)
}

func (f *fleet) value(query string, args ...any) int {
	f.Helper()
	return storetest.One[int](f, f.SQL(), query, args...)
}

// prove waits until an audit proves the fleet.
func (f *fleet) prove(full bool) {
	f.Helper()
	deadline := time.Now().Add(localtest.Deadline(2 * time.Minute))
	for {
		report, err := audit.Run(f.Context(), audit.Config{
			DB: f.DB, Broker: f.Broker, Management: rabbitmqtest.Management(f), Topology: workers.Topology(), Full: full, Wait: time.Minute, Settle: 200 * time.Millisecond,
		})
		f.Must(err)
		if report.Proven() {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("the audit does not prove the fleet:\n%s", report.Table())
		}
	}
}

func (f *fleet) seal() {
	f.Helper()
	f.Eventually("the log is sealed", func() bool {
		storetest.MustGet(seal.Seal(f.Context(), f.DB))(f)
		return storetest.MustGet(seal.Read(f.Context(), f.DB))(f).Unsealed == 0
	})
}

func (f *fleet) config() archive.Config {
	return archive.Config{DB: f.DB, Dir: f.dir, Until: time.Now().Add(time.Hour), By: by}
}

// refused expects that nothing is archived, for a reason.
func (f *fleet) refused(cfg archive.Config, why string) {
	f.Helper()
	made, err := archive.Run(f.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), why) || len(made) > 0 {
		f.Errorf("archived %v, %v; want %q", made, err, why)
	}
	if n := f.value(`SELECT count(*) FROM log_archive`); n != 0 || !f.has("event_log_p0") {
		f.Fatalf("%d archives are noted", n)
	}
}

func (f *fleet) has(table string) bool { return f.value(`SELECT count(to_regclass($1))`, table) == 1 }

func (f *fleet) open() *kept.Folder {
	f.Helper()
	folder := storetest.MustGet(kept.Open(f.Context(), f.DB, f.dir))(f)
	f.Cleanup(func() { folder.Close() })
	return folder
}

// read gives the ids of a query's events.
func (f *fleet) read(q eventquery.Query) (ids []uuid.UUID) {
	f.Helper()
	_, err := eventquery.Each(f.Context(), f.DB, q, func(events []eventquery.Event) error {
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		return nil
	})
	f.Must(err)
	return ids
}

func (f *fleet) held() string {
	f.Helper()
	plan := storetest.MustGet(archive.Plan(f.Context(), f.DB, time.Now().Add(time.Hour)))(f)
	return strings.Join(plan[0].Held, "; ")
}

// A partition leaves the database only when nothing needs it and its file has been read back; what is wrong meanwhile
// stops it. After it every reader finds everything, with the files, or says what it lacks; the audit proves the rest.
func TestAPartitionBecomesAFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.waits()
	before, reversed := f.read(eventquery.Query{}), f.read(eventquery.Query{Reverse: true})
	erases := f.erasing("bob-bob", "")
	if r := storetest.MustGet(erases.cfg.Run(t.Context(), erases.seqs))(t); r.Erased != 2 || r.Archived != 0 {
		t.Fatalf("erased before it is archived: %+v", r)
	}
	f.stops()
	made := storetest.MustGet(archive.Run(t.Context(), f.config()))(t)
	if len(made) != 1 || f.has("event_log_p0") || made[0].Low != 0 || made[0].High != 1_000_000 || int(made[0].Events)+f.value(`SELECT count(*) FROM event_log`) != len(before) {
		t.Fatalf("archived %+v", made)
	}
	f.prove(false)
	f.prove(true)
	f.verifies(int64(len(before)))
	folder := f.open()
	for _, reverse := range []bool{false, true} {
		want := before
		if reverse {
			want = reversed
		}
		if got := f.read(eventquery.Query{Archives: folder, Reverse: reverse}); !slices.Equal(got, want) {
			t.Errorf("reverse %v: read %v, want %v", reverse, got, want)
		}
	}
	q := eventquery.Query{Archives: folder, Filter: eventquery.Filter{Item: "A", Path: "$.payload.quantity == 4"}}
	if got := f.read(q); len(got) != 1 || got[0] != f.sold[1].ID {
		t.Errorf("the transfer is not found: %v", got)
	}
	f.admitsOnce()
	f.rebuilds(folder)
	f.replays(folder, before)
	f.traces(folder)
	f.damages(filepath.Join(f.dir, made[0].File))
	f.erases(made[0].File)
}

// erasing is what is to be erased of a user, and of what follows.
type erasing struct {
	cfg  erasure.Config
	seqs []int64
}

func (f *fleet) erasing(user, dir string) erasing {
	f.Helper()
	e := erasing{cfg: erasure.Config{DB: f.DB, Fields: []string{"metadata.userId"}, By: by, Now: time.Now(), Archives: dir}}
	q := eventquery.Query{Filter: eventquery.Filter{Path: fmt.Sprintf("$.metadata.userId == %q", user)}}
	if dir != "" {
		q.Archives = f.open()
	}
	_, err := eventquery.Each(f.Context(), f.DB, q, func(events []eventquery.Event) error {
		for _, one := range events {
			e.seqs = append(e.seqs, one.Seq)
		}
		return nil
	})
	f.Must(err)
	return e
}

// erases: what is in an archive is erased by another file in its place.
func (f *fleet) erases(file string) {
	f.Helper()
	e := f.erasing("ann-ann", f.dir)
	without := e.cfg
	without.Archives = ""
	if _, err := without.Run(f.Context(), e.seqs); !errors.Is(err, kept.ErrArchived) {
		f.Errorf("erased without the files: %v", err)
	}
	if r := storetest.MustGet(e.cfg.Run(f.Context(), e.seqs))(f); r.Erased != 2 || r.Archived != 2 || !slices.Equal(r.Archives, []string{file}) {
		f.Errorf("erased in the archive: %+v", r)
	}
	var names []string
	for _, entry := range storetest.MustGet(os.ReadDir(f.dir))(f) {
		if strings.HasPrefix(entry.Name(), "events-") {
			names = append(names, entry.Name())
		}
	}
	if want := strings.Replace(file, ".ndjson", "-e1.ndjson", 1); !slices.Equal(names, []string{want}) {
		f.Errorf("the directory has %v, want %s", names, want)
	}
	if left := f.erasing("ann-ann", f.dir); len(left.seqs) != 0 {
		f.Errorf("the archive still has the user at %v", left.seqs)
	}
	if checked := storetest.MustGet(archive.Check(f.Context(), f.DB, f.dir, nil))(f); len(checked) != 1 || !checked[0].OK {
		f.Errorf("checked as %+v", checked)
	}
	if r := storetest.MustGet(seal.Verify(f.Context(), f.DB, nil, nil, f.open(), nil))(f); r.Found != 0 || r.Erased != 4 {
		f.Errorf("verified: %+v", r)
	}
	if r := storetest.MustGet(seal.Verify(f.Context(), f.DB, nil, nil, nil, nil))(f); r.Found != 0 || r.Erased != 0 {
		f.Errorf("verified without the files: %+v", r)
	}
	if r := storetest.MustGet(e.cfg.Run(f.Context(), e.seqs))(f); r.Erased != 0 || r.Without != 2 {
		f.Errorf("erased again: %+v", r)
	}
}

// waits: each thing that needs the partition holds it.
func (f *fleet) waits() {
	f.Helper()
	f.Exec(`DELETE FROM audit_checkpoint`)
	f.Exec(`INSERT INTO replay (operator, reason, target, name, filter, again, rate, epoch, snapshot, first_seq, last_seq, at_seq)
		VALUES ('ann', '', 'queue', 'ledger', '{}', false, 0, 1, pg_current_snapshot(), 0, 1000000, 5)`)
	f.Exec(`INSERT INTO log_cursor (consumer, tick, upto, seq, term) VALUES ('projection.stockview', 0, 0, 0, 1)`)
	f.Exec(`INSERT INTO projection (name, version, kept_version, kept_tick) VALUES ('stockview', 1, 1, 0)`)
	held := f.held()
	for _, why := range []string{"no audit has proven", "replay 1 is at position 5", "projection.stockview has read up to position 0", "kept tables of stockview"} {
		if !strings.Contains(held, why) {
			f.Errorf("it waits for %q, not for %q", held, why)
		}
	}
	if made := storetest.MustGet(archive.Run(f.Context(), f.config()))(f); len(made) != 0 {
		f.Fatalf("archived %v while others need it", made)
	}
	f.Exec(`UPDATE replay SET state = 'cancelled'`)
	f.Exec(`DELETE FROM log_cursor WHERE consumer = 'projection.stockview'`)
	f.Exec(`DELETE FROM projection`)
	f.prove(true)
	f.seal()
	f.Exec(`INSERT INTO audit_open (checkpoint, consumer, event_id, seq, dead) SELECT max(id), 'ledger', gen_random_uuid(), 7, false FROM audit_checkpoint`)
	if held := f.held(); !strings.Contains(held, "1 of its deliveries are open") {
		f.Errorf("an open delivery: it waits for %q", held)
	}
	f.Exec(`DELETE FROM audit_open WHERE seq = 7`)
	f.Eventually("nothing needs it", func() bool { return f.held() == "" })
	f.outlasts()
}

// outlasts: a transaction that was open in the last tick holds the partition until it ends, and not until another tick
// comes, which an idle fleet does not make.
func (f *fleet) outlasts() {
	f.Helper()
	open := storetest.MustGet(f.SQL().BeginTx(f.Context(), nil))(f)
	defer func() { _ = open.Rollback() }()
	storetest.MustGet(open.Exec(`SELECT pg_current_xact_id()`))(f)
	sale := workertest.Sale(f, "A", "shop", "1")
	f.sold = append(f.sold, sale)
	f.Admit(sale)
	f.Eventually("it has moved", func() bool { return f.value(`SELECT count(DISTINCT event_id) FROM movement`) == len(f.sold) })
	f.Eventually("the relay stands at the last tick", func() bool {
		return f.value(`SELECT count(*) FROM log_cursor WHERE consumer = 'relay' AND tick = (SELECT max(id) FROM tick)`) == 1
	})
	f.Exec(`DELETE FROM tick t WHERE id > 0 AND id < (SELECT min(tick) FROM log_cursor) AND NOT EXISTS (SELECT FROM subscription s WHERE s.from_tick = t.id)`)
	if held := f.held(); !strings.Contains(held, "relay has read up to position") {
		f.Errorf("an open transaction: it waits for %q", held)
	}
	f.Must(open.Rollback())
	if held := f.held(); held != "" {
		f.Errorf("a transaction that has ended without an event: it waits for %q", held)
	}
	f.prove(true)
	f.seal()
}

// stops: what comes between stops it, and leaves what the next run goes on with.
func (f *fleet) stops() {
	f.Helper()
	cfg := f.config()
	name := filepath.Join(f.dir, fmt.Sprintf("events-%015d-%015d.ndjson.zst", 0, 999_999))
	f.Must(os.WriteFile(name, []byte("of another log"), 0o600))
	f.refused(cfg, "a file of that name is there")
	f.Must(os.Remove(name))
	f.Must(os.WriteFile(name+".new", []byte("left by a run that was killed"), 0o600))

	f.Exec(`CREATE TABLE was AS SELECT seq, body FROM event_log WHERE seq = 1`)
	f.Exec(`UPDATE event_log SET body = body || ' ' WHERE seq = 1`)
	f.refused(cfg, "position 1 was edited")
	f.Exec(`UPDATE event_log e SET body = was.body FROM was WHERE was.seq = e.seq`)
	f.Exec(`CREATE TABLE gone AS SELECT * FROM event_log WHERE seq = 2`)
	f.Exec(`DELETE FROM event_log WHERE seq = 2`)
	f.refused(cfg, "position 2 was removed")
	f.Exec(`INSERT INTO event_log SELECT * FROM gone`)

	work := storetest.MustGet(kept.Begin(f.Context(), f.DB))(f)
	f.refused(cfg, kept.ErrRunning.Error())
	f.Must(work.Close())

	cfg.Progress = func(step string, done, of int64) { // as if it had been asked for while the file was read back
		if step == "read back" {
			f.Exec(`UPDATE replay SET state = 'running'`)
		}
	}
	f.refused(cfg, "replay 1 is at position 5")
	if _, err := os.Stat(name); err != nil {
		f.Errorf("the file that the next run takes over: %v", err)
	}
	f.Exec(`UPDATE replay SET state = 'cancelled'`)
}

// verifies: the chain goes through the file and the log; an archive that is only claimed hides nothing.
func (f *fleet) verifies(events int64) {
	f.Helper()
	verify := func(folder *kept.Folder) seal.Report {
		return storetest.MustGet(seal.Verify(f.Context(), f.DB, nil, nil, folder, nil))(f)
	}
	f.seal()
	if r := verify(nil); r.Found != 0 || r.Archived == 0 || r.Events+r.Archived != events {
		f.Errorf("without the files: %+v", r)
	}
	if r := verify(f.open()); r.Found != 0 || r.Archived != 0 || r.Events != events {
		f.Errorf("with the files: %+v", r)
	}
	f.Exec(`CREATE TABLE claimed AS SELECT * FROM event_log WHERE seq >= 1000000`)
	f.Exec(`INSERT INTO log_archive (file, low, high, events, first_seq, last_seq, bytes, sha256, first_seal, last_seal, logged_upto, operator, reason)
		SELECT 'claimed', 1000000, 2000000, 0, 0, 0, 0, sha256('x'), 1, 1, now(), '', ''`)
	f.Exec(`UPDATE event_log SET body = body || ' ' WHERE seq = (SELECT min(seq) FROM event_log)`)
	if r := verify(nil); r.Found != 1 || r.Findings[0].Kind != seal.Edited {
		f.Errorf("an edited event behind a claim: %+v", r)
	}
	f.Exec(`UPDATE event_log e SET body = c.body FROM claimed c WHERE c.seq = e.seq`)
	f.Exec(`DELETE FROM log_archive WHERE file = 'claimed'`)
}

// admitsOnce: the ids of archived events are known.
func (f *fleet) admitsOnce() {
	f.Helper()
	other := f.sold[0]
	other.Body = []byte(strings.Replace(string(other.Body), `"quantity":10`, `"quantity":11`, 1))
	verdicts := storetest.MustGet(eventlog.AdmitOnce(f.Context(), f.DB, []event.Any{f.sold[0], other}, true))(f)
	if verdicts[0] != eventlog.Duplicate || verdicts[1] != eventlog.Conflict {
		f.Errorf("an archived event is admitted as %v", verdicts)
	}
}

// rebuilds: positions from the opening balances, the read models from the files. Each is cut off within the files
// first.
func (f *fleet) rebuilds(folder *kept.Folder) {
	f.Helper()
	for _, p := range workers.Projections() {
		err := projection.Rebuild(f.Context(), f.DB, p, "test", by, nil)
		if !p.Opens {
			if !errors.Is(err, kept.ErrArchived) || !strings.Contains(err.Error(), "events-0") {
				f.Errorf("%s without the files: %v", p.Name, err)
			}
			p.Archives = folder
			ctx, cut := context.WithCancel(f.Context())
			if err := projection.Rebuild(ctx, f.DB, p, "test", by, func(int64, int64) { cut() }); err == nil {
				f.Errorf("the rebuild of %s was not cut off", p.Name)
			}
			err = projection.Rebuild(f.Context(), f.DB, p, "test", by, nil)
		}
		f.Must(err)
		report := storetest.MustGet(projection.Diff(f.Context(), f.DB, p, "test", 10))(f)
		if report.Differs() || report.Totals[0].Same == 0 && p.Name != "analytics" { // nothing was forecast
			f.Errorf("%s rebuilt differs: %+v", p.Name, report)
		}
		f.Must(projection.Cancel(f.Context(), f.DB, p, "test", by))
	}
}

// replays: from the file into a file, compressed; without the file a replay that is at an archived position is refused.
func (f *fleet) replays(folder *kept.Folder, want []uuid.UUID) {
	f.Helper()
	cfg := replay.Config{DB: f.DB}
	cfg.Replay = storetest.MustGet(replays.Begin(f.Context(), f.DB, by, replays.Asked{Target: replays.File, Name: filepath.Join(f.dir, "all.ndjson.zst"), Archives: folder}))(f)
	if _, err := replay.Run(f.Context(), cfg); !errors.Is(err, kept.ErrArchived) {
		f.Errorf("a replay without the files: %v", err)
	}
	cfg.Replay, cfg.Archives = storetest.MustGet(replays.Resume(f.Context(), f.DB, by, cfg.Replay.ID))(f), folder
	done := storetest.MustGet(replay.Run(f.Context(), cfg))(f)
	info := storetest.MustGet(os.Stat(done.Name))(f)
	if done.Events != int64(len(want)) || info.Size() != done.Bytes || info.Size() == 0 {
		f.Errorf("replayed %d events into %d bytes, want %d", done.Events, info.Size(), len(want))
	}
}

// traces: what an archived sale has led to is found with the files, and nothing without them.
func (f *fleet) traces(folder *kept.Folder) {
	f.Helper()
	find := func(name string, folder *kept.Folder) (types []string) {
		found := storetest.MustGet(trace.Find(f.Context(), f.DB, trace.Query{Name: name, Tenant: "acme", Archives: folder}))(f)
		for _, e := range found.Events {
			types = append(types, e.Type)
		}
		return types
	}
	with, without := find("A", folder), find("A", nil)
	if len(with) < len(without)+4 || with[0] != "RECEIPT_COMPLETED" || slices.Contains(without, "RECEIPT_COMPLETED") || len(without) == 0 {
		f.Errorf("with the files item A is traced as %v, without them as %v", with, without)
	}
	receipt := f.sold[0].ID
	if e := storetest.MustGet(trace.Get(f.Context(), f.DB, receipt, folder, nil))(f); e == nil || e.ID != receipt || len(e.Body) == 0 {
		f.Errorf("with the files the receipt is %+v", e)
	}
	if e := storetest.MustGet(trace.Get(f.Context(), f.DB, receipt, nil, nil))(f); e != nil {
		f.Errorf("without the files the receipt is %+v", e)
	}
}

// damages: a changed, cut or missing file is named.
func (f *fleet) damages(path string) {
	f.Helper()
	whole := storetest.MustGet(os.ReadFile(path))(f)
	changed := slices.Clone(whole)
	changed[len(changed)/3] ^= 1
	for what, text := range map[string][]byte{"changed": changed, "cut": whole[:len(whole)/2], "empty": {}, "missing": nil} {
		f.Must(os.Remove(path))
		if text != nil {
			f.Must(os.WriteFile(path, text, 0o600))
		}
		if _, err := kept.Open(f.Context(), f.DB, f.dir); !errors.Is(err, kept.ErrDamaged) || !strings.Contains(err.Error(), path) {
			f.Errorf("%s: opened with %v", what, err)
		}
		if checked := storetest.MustGet(archive.Check(f.Context(), f.DB, f.dir, nil))(f); len(checked) != 1 || checked[0].OK {
			f.Errorf("%s: checked as %+v", what, checked)
		}
		if text == nil {
			f.Must(os.WriteFile(path, nil, 0o600))
		}
	}
	f.Must(os.WriteFile(path, whole, 0o600))
	if checked := storetest.MustGet(archive.Check(f.Context(), f.DB, f.dir, nil))(f); !checked[0].OK {
		f.Errorf("put back: %+v", checked)
	}
}
