package cli_test

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/seal"
	"github.com/composerp/composerp/store/storetest"
)

// armedProgram builds the binary with fail points, once.
var armedProgram = sync.OnceValues(func() (string, error) {
	usual, err := program()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(usual), "composerp-armed")
	out, err := exec.Command("go", "build", "-tags", "failpoints", "-o", path, "./composerp").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program with fail points: %w\n%s", err, out)
	}
	return path, nil
})

// armed starts the program that is told where to die, or what its clock shows.
func (h *environment) armed(told []string, args ...string) *fleet {
	h.Helper()
	path, err := armedProgram()
	if err != nil {
		h.Fatal(err)
	}
	return h.start(path, append(told, h.env...), " is up\n", args...)
}

// died tells whether the process has ended within the timeout, and expects that it died by SIGKILL then.
func (f *fleet) died(t *testing.T, timeout time.Duration) bool {
	t.Helper()
	select {
	case err := <-f.ended:
		f.ended <- err
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the process has not died as it was told, but ended: %v\n%s", err, f.log)
		}
		return true
	case <-time.After(timeout):
		return false
	}
}

// pointsTests are the parts whose points are tried in one environment, and what dies at them.
var pointsTests = []struct {
	name, parts string
	kill        func(s *street, points map[string][]failpoint.Point)
}{
	{"workers", "worker call timer suspect", killWorkers},
	{"verdicts, letters and imports", "judge redrive import replay", killByRole},
	{"archives", "archive erasure", killArchives},
	{"leaders", "relay lease scaler tick partition generation seal", killLeaders},
}

// A process is killed at every point of the list, on each of several occasions, and
// the world must come to what it would have come to undisturbed.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	left := map[string][]failpoint.Point{}
	for _, p := range failpoint.Points {
		part, _, _ := strings.Cut(p.Name, ".")
		left[part] = append(left[part], p)
	}
	for _, test := range pointsTests {
		points := map[string][]failpoint.Point{}
		for _, part := range strings.Fields(test.parts) {
			points[part] = left[part]
			if testing.Short() { // Each takes seconds: make test-faults tries them all.
				points[part] = left[part][:1]
			}
			delete(left, part)
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t)
			test.kill(s, points)
			f := s.up()
			s.prove()
			f.stop(t)
		})
	}
	for part := range left {
		t.Errorf("nothing is killed at the points of %s: say in pointsTests which process comes to them", part)
	}
}

// What arms is refused where it is no order; a usual build does not listen to it at all.
func TestArming(t *testing.T) {
	t.Parallel()
	h := &environment{T: t, dir: t.TempDir(), env: cleanEnv()}
	for told, code := range map[string]int{
		"COMPOSERP_FAILPOINT=worker.taken": 0, "COMPOSERP_FAILPOINT=worker.taken:2:stop": 0, "COMPOSERP_FAILPOINT=": 0, "COMPOSERP_CLOCK=-1h/300ms": 0,
		"COMPOSERP_FAILPOINT=nothing": 64, "COMPOSERP_FAILPOINT=worker.taken:0": 64, "COMPOSERP_FAILPOINT=worker.taken:x": 64,
		"COMPOSERP_FAILPOINT=worker.taken:1:sleep": 64, "COMPOSERP_CLOCK=late": 64, "COMPOSERP_CLOCK=1h/0s": 64,
	} {
		f := h.armed([]string{told}, "version")
		err := <-f.ended
		f.ended <- err
		if got := f.cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit %d, want %d: %s", told, got, code, f.log)
		}
		if r := runIn(t, h.dir, append(cleanEnv(), told), "version"); r.code != 0 {
			t.Errorf("%s: a usual build exits with %d: %s", told, r.code, r.errors)
		}
	}
}

// once are points to which a process comes once in its life, or seldom.
var once = []string{
	"relay.opened", "relay.aside", "lease.acquired", "lease.renewed", "tick.thinned", "partition.made", "generation.made", "generation.opened",
	"generation.committed", "seal.read", "seal.sealed", "import.taken", "import.finished", "scaler.assigned", "scaler.committed",
}

// occasions are which times of coming to a point are tried.
func occasions(p failpoint.Point) []string {
	switch {
	case slices.Contains(once, p.Name):
		return []string{p.Name}
	// Once in a round, or in a batch.
	case p.Name == "worker.alone", p.Name == "call.failed", strings.HasPrefix(p.Name, "import."):
		return []string{p.Name, p.Name + ":2"}
	}
	return []string{p.Name, p.Name + ":3"}
}

// kill has a fleet die as ordered, with rounds going on until it does; then the next one comes to what it must.
func (s *street) kill(order string) {
	s.Helper()
	began := time.Now()
	f := s.armed([]string{"COMPOSERP_FAILPOINT=" + order}, "up")
	for tries := 0; ; tries++ {
		if tries == 10 {
			s.Fatalf("the fleet does not come to %s\n%s", order, f.log)
		}
		s.round()
		if f.died(s.T, time.Second) {
			break
		}
	}
	died := time.Since(began)
	s.endLeases()
	g := s.up()
	s.settle()
	s.end(g)
	s.Logf("%s: died after %v, all was well after %v", order, died.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}

// killWorkers has `up` die, but for messages that were in hand at three deaths and are
// noted: there one worker alone dies, so that they are always the same messages.
func killWorkers(s *street, points map[string][]failpoint.Point) {
	for _, part := range []string{"worker", "call", "timer"} {
		for _, p := range points[part] {
			for _, order := range occasions(p) {
				s.kill(order)
			}
		}
	}
	leader := s.armed(nil, "relay")
	for _, p := range points["suspect"] {
		s.killSuspect(p)
	}
	s.end(leader)
}

func (s *street) killSuspect(p failpoint.Point) {
	s.Helper()
	s.round()
	for _, order := range []string{"worker.taken", "worker.taken", "worker.taken", p.Name} {
		if f := s.armed([]string{"COMPOSERP_FAILPOINT=" + order}, "worker", "run", "ledger"); !f.died(s.T, localtest.Deadline(20*time.Second)) {
			s.Fatalf("the ledger does not come to %s\n%s", order, f.log)
		}
	}
	if !storetest.Value[bool](s, s.database, `
SELECT count(*) > 0 AND count(*) <= min(batch_size) AND max(deaths) = 0 FROM suspect WHERE consumer = 'ledger'`) {
		s.Errorf("after a death at %s the notes are not those of one batch, of no death", p.Name)
	}
	f := s.up()
	s.settle()
	if n := storetest.Value[int](s, s.database, `SELECT count(*) FROM suspect`); n != 0 {
		s.Errorf("all is done, and there are %d notes", n)
	}
	f.kill(s.T)
}

// killByRole has `up` die with failed messages in hand, on their way to
// the dead letters and, while the buyer is busy, through the retry queues, whose first delay
// takes its time; and then the commands that bring messages into the fleet.
func killByRole(s *street, points map[string][]failpoint.Point) {
	for _, p := range points["judge"] {
		for _, order := range occasions(p) {
			s.kill(order)
		}
	}
	s.buyer.set(http.StatusOK, true)
	for _, p := range points["judge"] {
		s.kill(p.Name)
	}
	s.buyer.set(http.StatusOK, false)
	killRedrives(s, points["redrive"])
	killReplays(s, points["replay"])
	killImports(s, points["import"])
}

// killLeaders has `up` die while it leads. At some points it has to be given something to do.
func killLeaders(s *street, points map[string][]failpoint.Point) {
	for _, part := range points {
		for _, p := range part {
			for _, order := range occasions(p) {
				s.prepare(p.Name)
				s.kill(order)
				s.after(p.Name)
			}
		}
	}
}

// prepare gives the leaders what some points need.
func (s *street) prepare(point string) {
	s.Helper()
	switch part, _, _ := strings.Cut(point, "."); part {
	case "partition": // the log is about to be full
		storetest.Exec(s, s.database, `SELECT setval('event_log_seq', (pg_sequence_last_value('event_log_seq') / 1000000 + 1) * 1000000)`)
	case "scaler": // lots is to have another number of slots
		storetest.Exec(s, s.database, `
INSERT INTO worker_pool AS p (queue, desired) VALUES ('lots', 1) ON CONFLICT (queue) DO UPDATE SET desired = 3 - p.desired, revision = p.revision + 1`)
	case "generation":
		storetest.Exec(s, s.database, `UPDATE inbox_generation SET opened_at = opened_at - interval '8 days'`)
	}
	if point == "relay.aside" {
		storetest.Exec(s, s.database, `
INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
SELECT epoch, true, occurred_at, gen_random_uuid(), tenant_id, 'BOUND_TO_NO_QUEUE', version, aggregate_id, body_sha256, body FROM event_log LIMIT 1`)
	}
}

// after checks the rows that the point has left, and deletes those that an audit would find wrong.
func (s *street) after(point string) {
	s.Helper()
	if point != "relay.aside" {
		return
	}
	if n := storetest.Value[int](s, s.database, `SELECT count(*) FROM unpublishable JOIN event_log USING (seq) WHERE type = 'BOUND_TO_NO_QUEUE'`); n != 1 {
		s.Errorf("%d events are unpublishable, want the one that no queue is bound for", n)
	}
	storetest.Exec(s, s.database, `DELETE FROM unpublishable; DELETE FROM event_log WHERE type = 'BOUND_TO_NO_QUEUE'`)
}

// killRedrives kills `dlq redrive` while it puts back the orders that grump has refused, and now takes. The same
// command again brings all of them to him, each once.
func killRedrives(s *street, points []failpoint.Point) {
	redrive := []string{"dlq", "redrive", "--queue", "procurement", "--rate", "max"}
	for _, p := range points {
		f := s.up()
		s.round()
		s.settle()
		s.grump.set(http.StatusOK, false)
		if f := s.armed([]string{"COMPOSERP_FAILPOINT=" + p.Name}, redrive...); !f.died(s.T, localtest.Deadline(20*time.Second)) {
			s.Fatalf("the redrive does not come to %s\n%s", p.Name, f.log)
		}
		s.ok(redrive...)
		s.taken = storetest.Value[int](s, s.database, `SELECT count(*) FROM purchase_order WHERE supplier_id = 'grump'`)
		s.settle()
		s.Logf("%s: the rest was redriven", p.Name)
		s.grump.set(http.StatusUnprocessableEntity, false)
		s.end(f)
	}
}

// killReplays kills replays, to the ledger and to a file; resumed, the ledger has moved nothing twice, and the file has
// each event once.
func killReplays(s *street, points []failpoint.Point) {
	for i, p := range points {
		f := s.up()
		s.round()
		s.settle()
		to := []string{"--queue", "ledger"}
		if p.Name == "replay.written" {
			to = []string{"--file", filepath.Join(s.dir, "killed.ndjson")}
		}
		if f := s.armed([]string{"COMPOSERP_FAILPOINT=" + p.Name}, append([]string{"replay"}, to...)...); !f.died(s.T, localtest.Deadline(20*time.Second)) {
			s.Fatalf("the replay does not come to %s\n%s", p.Name, f.log)
		}
		s.ok("replay", "resume", fmt.Sprint(i+1))
		s.settle()
		if state := storetest.Value[string](s, s.database, `SELECT state FROM replay ORDER BY id DESC LIMIT 1`); state != "done" {
			s.Errorf("%s: the resumed replay is %s", p.Name, state)
		}
		s.end(f)
	}
}

// killArchives kills `log archive`; the same command goes on, and the chain of seals goes through its files and the
// log.
func killArchives(s *street, all map[string][]failpoint.Point) {
	dir := s.T.TempDir()
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	archive := []string{"log", "archive", "--until", until, "--to", dir}
	for i, p := range all["archive"] {
		s.prepare("partition.full")
		f := s.up()
		s.round()
		s.settle()
		for _, queue := range []string{"procurement", "ledger", "intake"} { // open deliveries hold a partition
			s.ok("dlq", "discard", "--queue", queue, "--confirm=composerp."+queue+".dead", "--export", filepath.Join(dir, fmt.Sprint(queue, i)))
		}
		s.proven()
		storetest.MustGet(seal.Seal(s.Context(), s.db))(s)
		if f := s.armed([]string{"COMPOSERP_FAILPOINT=" + p.Name}, archive...); !f.died(s.T, localtest.Deadline(20*time.Second)) {
			s.Fatalf("archiving does not come to %s\n%s", p.Name, f.log)
		}
		s.ok(archive...)
		if n := storetest.Value[int](s, s.database, `SELECT count(*) FROM log_archive`); n != i+1 {
			s.Errorf("%s: %d partitions are archived, want %d", p.Name, n, i+1)
		}
		s.ok("events", "verify", "--archives", dir)
		s.end(f)
	}
	for _, p := range all["erasure"] {
		s.killErasing(p, archive, dir)
	}
}

// killErasing kills `events erase` in the log or in an archive; the same command goes on.
func (s *street) killErasing(p failpoint.Point, archive []string, dir string) {
	s.Helper()
	inArchive := p.Name == "erasure.archived" || p.Name == "erasure.noted"
	if inArchive { // the partition that is to be archived has events of the user
		f := s.up()
		s.round()
		s.settle()
		s.end(f)
	}
	s.prepare("partition.full")
	f := s.up()
	s.round()
	s.settle()
	for _, queue := range []string{"procurement", "ledger", "intake"} {
		s.ok("dlq", "discard", "--queue", queue, "--confirm=composerp."+queue+".dead", "--export", filepath.Join(dir, p.Name+queue))
	}
	s.proven()
	storetest.MustGet(seal.Seal(s.Context(), s.db))(s)
	if inArchive {
		const archives = `SELECT count(*) FROM log_archive`
		had := storetest.Value[int](s, s.database, archives)
		storetest.Eventually(s, "a partition is archived", func() bool {
			s.ok(archive...)
			return storetest.Value[int](s, s.database, archives) > had
		})
	}
	const user = `metadata.userId == "till-7"`
	left := func() int {
		shown := s.ok("events", "query", "--archives", dir, "--where", user, "--limit", "0", "-o", "ndjson")
		return strings.Count(shown.out, "\n")
	}
	before := left()
	erase := []string{"events", "erase", "--where", user, "--fields", "metadata.userId", "--archives", dir, "--reason", "request 12", "--yes"}
	if f := s.armed([]string{"COMPOSERP_FAILPOINT=" + p.Name}, erase...); !f.died(s.T, localtest.Deadline(20*time.Second)) {
		s.Fatalf("erasing does not come to %s\n%s", p.Name, f.log)
	}
	switch n := left(); {
	case before == 0:
		s.Errorf("%s: there is nothing to erase", p.Name)
	case p.Name == "erasure.written" && n != before:
		s.Errorf("%s: %d of %d events are left, want all", p.Name, n, before)
	case p.Name == "erasure.archived" && (n == 0 || n >= before):
		s.Errorf("%s: %d of %d events are left, want those of the archive", p.Name, n, before)
	case (p.Name == "erasure.committed" || p.Name == "erasure.noted") && n != 0:
		s.Errorf("%s: %d of %d events are left, want none", p.Name, n, before)
	}
	s.ok("events", "verify", "--archives", dir)
	s.ok(erase...)
	if n := left(); n != 0 {
		s.Errorf("%s: %d events are left", p.Name, n)
	}
	files := storetest.MustGet(filepath.Glob(filepath.Join(dir, "events-*")))(s)
	if n := storetest.Value[int](s, s.database, `SELECT count(*) FROM log_archive`); n != len(files) {
		s.Errorf("%s: the directory has %v, and %d archives are noted", p.Name, files, n)
	}
	s.ok("events", "verify", "--archives", dir)
	s.end(f)
}

// importRows are a file of two batches; of importOdd rows one is rejected.
const importRows, importOdd = 1100, 100

// killImports kills imports, and another goes on: each row is an event or a reject, once, in the file's order.
func killImports(s *street, points []failpoint.Point) {
	s.write("till.yaml", "tenant: till", "source: till", "timestamp: ${At}", "rules:", "  - when: {Item: {equals: BAG}}", "    reject: not_stocked",
		"  - event: SALE_COMPLETED", "    aggregateId: ${Sale}", "    payload: {saleId: '${Sale}', itemId: '${Item}', locationId: till, quantity: '1', amount: '1'}")
	for _, p := range points {
		for _, order := range occasions(p) {
			s.killImport(order)
		}
	}
}

func (s *street) killImport(order string) {
	s.Helper()
	s.imported++
	number := s.imported
	name := fmt.Sprintf("till-%d.csv", number)
	rows, odd := []string{"Sale,Item,At"}, []string{"line,reason,detail,row"}
	for i := 1; i <= importRows; i++ {
		item := "cup"
		if i%importOdd == 0 {
			item = "BAG"
		}
		row := fmt.Sprintf("F%d-%d,%s,2024-03-01T10:00:00Z", number, i, item)
		rows = append(rows, row)
		if item == "BAG" {
			odd = append(odd, fmt.Sprintf(`%d,not_stocked,"rule 1 of the mapping, line 5","%s"`, i+1, row))
		}
	}
	s.write(name, rows...)
	if f := s.armed([]string{"COMPOSERP_FAILPOINT=" + order}, "import", name, "--map", "till.yaml"); !f.died(s.T, localtest.Deadline(20*time.Second)) {
		s.Fatalf("the import does not come to %s\n%s", order, f.log)
	}
	s.ok("import", name, "--map", "till.yaml")
	admitted := storetest.Value[int](s, s.database, `SELECT count(*) FROM event_log WHERE aggregate_id LIKE $1`, fmt.Sprintf("F%d-%%", number))
	turned := storetest.Value[int](s, s.database, `
SELECT count(*) FROM (SELECT split_part(aggregate_id, '-', 2)::int AS row, lag(split_part(aggregate_id, '-', 2)::int) OVER (ORDER BY seq) AS before
FROM event_log WHERE aggregate_id LIKE $1) l WHERE row < before`, fmt.Sprintf("F%d-%%", number))
	if want := importRows - importRows/importOdd; admitted != want || turned != 0 {
		s.Errorf("after a death at %s the log has %d rows of the file, %d of them before an earlier one; want %d and 0", order, admitted, turned, want)
	}
	if got := s.read(name + ".rejects.csv"); got != strings.Join(odd, "\n")+"\n" {
		s.Errorf("after a death at %s the rejects are\n%.500s, want\n%.500s", order, got, strings.Join(odd, "\n"))
	}
}
