package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/misdated"
	"github.com/composerp/composerp/store/seal"
)

func (x *Examination) examineDatabase(ctx context.Context) {
	at := x.atDatabase()
	if at.Database == "" && x.hasPart() {
		x.unseen("database", "a URL of the database", "composerp doctor with DATABASE_URL_OPERATOR in the file of --secrets")
		return
	}
	db, err := settings.OpenDatabase(ctx, at, "doctor", 2)
	if err != nil {
		x.failed("database", err)
		x.asked = x.asked || errors.Is(err, store.ErrAccess) || errors.Is(err, store.ErrConfiguration)
		return
	}
	x.asked = true
	x.examineServer(ctx, db, at.Database)
	if !x.examineSchema(ctx, db) {
		db.Close()
		return
	}
	if err := eventlog.CheckEpoch(ctx, db); err != nil {
		x.failed("log", err)
	}
	x.db = db
	x.examineFailures(ctx, db)
	x.examineProof(ctx, db)
	x.examineSeals(ctx, db)
	x.examineArchives(ctx, db)
	x.examineRebuilds(ctx, db)
	x.examineWhatIfs(ctx, db)
	x.examineStock(ctx, db)
	x.examineProcesses(ctx, db)
	x.examineDates(ctx, db)
}

const (
	clockWarning = time.Second
	clockProblem = time.Minute
)

func (x *Examination) examineServer(ctx context.Context, db *store.DB, host string) {
	asked := time.Now()
	s, err := store.InspectServer(ctx, db)
	took := time.Since(asked)
	if err != nil {
		x.failed("database", err)
		return
	}
	x.ok("database", "PostgreSQL %s at %s", s.Version, hostOf(host))
	if s.Standby {
		x.problem("database", "name the primary in the database's URL", "the server is a standby and accepts no writes")
	}
	if full := s.MaxConnections * 9 / 10; s.Connections >= full {
		x.warn("database", "raise max_connections, or run fewer slots", "%d of %d connections are in use", s.Connections, s.MaxConnections)
	}
	wrong := len(x.Findings)
	if !s.Fsync {
		x.problem("durability", "set fsync = on and restart PostgreSQL", "fsync is off: a crash of the machine can lose or corrupt everything")
	}
	if !s.FullPageWrites {
		x.problem("durability", "set full_page_writes = on and reload PostgreSQL", "full_page_writes is off: a crash of the machine can corrupt tables")
	}
	if !s.Commits {
		x.problem("durability", "set synchronous_commit = on for this database and this user", "synchronous_commit is off: a crash can lose committed transactions whose messages are acknowledged already")
	}
	if len(x.Findings) == wrong {
		x.ok("durability", "PostgreSQL commits to the disk")
	}
	x.examineFollowers(s)
	switch apart := s.Now.Sub(asked.Add(took / 2)).Abs(); {
	case apart > clockProblem+took:
		x.problem("clock", "set both clocks by NTP", "the clocks of this machine and of the database are %s apart", apart.Round(time.Second))
	case apart > clockWarning+took:
		x.warn("clock", "set both clocks by NTP", "the clocks of this machine and of the database are %s apart", apart.Round(100*time.Millisecond))
	default:
		x.ok("clock", "this machine's agrees with the database's")
	}
}

// examineFollowers warns where a failover would lose what was acknowledged.
func (x *Examination) examineFollowers(s store.ServerState) {
	switch {
	case s.Followers > 0 && !s.Waits:
		x.warn("standby", "set synchronous_standby_names, and synchronous_commit = on (docs/howto/failover.md)",
			"a standby follows the database and commits do not wait for it: a failover loses what it lacks")
	case s.Followers > 0:
		x.ok("standby", "commits wait as synchronous_standby_names says; standbys that follow: %d", s.Followers)
	case s.Waits:
		x.problem("standby", "start a standby that synchronous_standby_names names, or remove its name there and reload PostgreSQL",
			"commits wait for a standby, and none follows the database: nothing goes on")
	}
}

// examineSchema reports whether the schema is complete enough to be queried.
func (x *Examination) examineSchema(ctx context.Context, db *store.DB) bool {
	list, err := store.Migrations(ctx, db)
	if err != nil {
		x.failed("schema", err)
		return false
	}
	var pending []string
	latest := int64(0)
	for _, m := range list {
		latest = max(latest, m.Version)
		if !m.Applied {
			pending = append(pending, m.Name)
		}
	}
	if len(pending) > 0 {
		x.problem("schema", "composerp migrate up", "%d of %d migrations are not applied, the first is %s", len(pending), len(list), pending[0])
		return len(pending) < len(list)
	}
	switch version, err := store.SchemaVersion(ctx, db); {
	case err != nil:
		x.failed("schema", err)
		return false
	case version > latest:
		x.warn("schema", "run the newer program, or check that this version still works with it",
			"the database has migration %s, and this program knows %s: a newer version has migrated it", fmt.Sprint(version), fmt.Sprint(latest))
	default:
		x.ok("schema", "all %d migrations are applied", len(list))
	}
	return true
}

// examineProof warns when no audit runs: the inbox deletes only rows that an audit has proven, and grows.
func (x *Examination) examineProof(ctx context.Context, db *store.DB) {
	const do = "run `composerp audit` by a timer, for example hourly: it checks new events, and the inbox deletes only proven rows"
	switch p, err := audit.ReadLastProof(ctx, db); {
	case err != nil:
		x.failed("proof", err)
	case p.Since <= inbox.GenerationLife && !p.ProvenAt.Valid:
		x.ok("proof", "no audit has run yet, and the log is young")
	case p.Since <= inbox.GenerationLife:
		x.ok("proof", "an audit has proven everything up to %s", terminal.Moment(p.ProvenAt.Time))
	case !p.ProvenAt.Valid:
		x.warn("proof", do, "no audit has run, and the log is %d days old", int(p.Since.Hours()/24))
	default:
		x.warn("proof", do, "the log has grown for %d days since the last complete audit, of %s", int(p.Since.Hours()/24), terminal.Moment(p.ProvenAt.Time))
	}
}

// sealWarning is far longer than the log's newest events wait for their seal.
const sealWarning = 10 * time.Minute

func (x *Examination) examineSeals(ctx context.Context, db *store.DB) {
	switch s, err := seal.Read(ctx, db); {
	case err != nil:
		x.unasked("seals", err)
	case s.Oldest != nil && time.Since(*s.Oldest) > sealWarning:
		x.warn("seals", "see whether a relay leads, and whether a transaction has been open for long (pg_stat_activity)",
			"%s, the oldest of %s, are not sealed: a change of them would not be found", wording.Count(s.Unsealed, "event"), terminal.Moment(*s.Oldest))
	case s.SealedAt == nil:
		x.ok("seals", "the log has nothing to seal yet")
	default:
		x.ok("seals", "the log is sealed up to %s", terminal.Moment(*s.SealedAt))
	}
}

// examineDates reports what is dated ahead of its bounds: days, forecasts and counts do not go on there.
func (x *Examination) examineDates(ctx context.Context, db *store.DB) {
	switch h, err := misdated.ReadHealth(ctx, db); {
	case err != nil:
		x.unasked("dates", err)
	case h != misdated.Health{}:
		x.problem("dates", "composerp misdated list names them; composerp misdated correct --dry-run shows what a correction changes",
			"%s and the calendars of %s are dated further ahead of the clock than their tenants allow", wording.Count(int64(h.Movements), "movement"), wording.Count(int64(h.Calendars), "location"))
	default:
		x.ok("dates", "nothing is dated ahead of its bounds")
	}
}

// examineLog reports the state of relay and log that the watchdog's checks leave out.
func (x *Examination) examineLog(w eventlog.Health) {
	if !x.has("relay") {
		x.ok("relay", "%s leads, with %s to publish", w.RelayHolder, wording.Count(w.Unpublished, "event"))
	}
	if w.Unpublishable > 0 {
		x.warn("unpublishable", "the table unpublishable has the errors; publish corrected events with new ids", "%s cannot be published", wording.Count(w.Unpublishable, "event"))
	}
	if w.Suspects > 0 {
		x.warn("suspects", "the table suspect lists them; read the log of the process that died", "%d suspect messages: in hand when a process or a session ended, or attempted once more just now", w.Suspects)
	}
}

// diskWarning is the free disk space below which the doctor warns.
const diskWarning = 4 * local.LeastFree

// examineDisk checks the disk of the private servers of an `up` on this machine.
func (x *Examination) examineDisk() {
	if !settings.IsPrivate(x.dir, x.Database) {
		return // external servers: their disks are not visible from here
	}
	spaces, err := local.Spaces(x.dir)
	if err != nil {
		x.unasked("disk", err)
	}
	for _, s := range spaces {
		const do = "free disk space: `composerp up --fresh` deletes the data of the private servers, all of it"
		switch {
		case s.Free < local.LeastFree:
			x.problem("disk", do, "%d MB are free in %s, less than the servers need to start", s.Free>>20, s.Path)
		case s.Free < diskWarning:
			x.warn("disk", do, "%d MB are free in %s", s.Free>>20, s.Path)
		default:
			x.ok("disk", "%d GB are free in %s", s.Free>>30, s.Path)
		}
	}
}

// hostOf is the host, port and path of a URL, without credentials.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "?"
	}
	return u.Host + u.Path
}

// examineFailures reports open circuits and classes of events in quarantine.
func (x *Examination) examineFailures(ctx context.Context, db *store.DB) {
	circuits, err := failures.OpenCircuits(ctx, db)
	switch {
	case err != nil:
		x.unasked("dependencies", err)
	case len(circuits) == 0:
		x.ok("dependencies", "no circuit is open: every dependency is called")
	}
	for _, g := range circuits {
		if g.Lone {
			x.warn("dependencies", "ask the other side what is wrong with that call; when it takes another, and this one still fails, the message becomes a dead letter",
				"%s is unavailable since %s: %s; nothing but the call %s waits for it: %d probes in vain since %s", g.Name, terminal.Moment(g.Since), g.LastError,
				g.ProbeKey, g.Probes, terminal.Moment(g.ProbeSince))
			continue
		}
		x.warn("dependencies", "wait, or bring it back: workers call it again by themselves, and waiting messages lose no attempt; an address that was replaced is forgotten after an hour",
			"%s is unavailable since %s: %s; %s", g.Name, terminal.Moment(g.Since), g.LastError, nextCall(g))
	}
	classes, err := failures.Quarantined(ctx, db, false)
	switch {
	case err != nil:
		x.unasked("quarantine", err)
	case len(classes) == 0:
		x.ok("quarantine", "no class of events is held back")
	}
	for _, q := range classes {
		x.warn("quarantine", "fix the cause, then composerp quarantine release "+q.Class,
			"%s %s fails in %s since %s, %d held back: %s", q.Type, q.Version, q.Consumer, terminal.Moment(q.Since), q.HeldBack, q.Sample)
	}
}

func nextCall(g failures.CircuitState) string {
	if g.RetryIn <= 0 {
		return "the next message for it makes a call"
	}
	return "it is called again from " + terminal.Moment(g.RetryAt) + " on, in " + max(time.Second, g.RetryIn.Round(time.Second)).String()
}
