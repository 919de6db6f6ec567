package cli_test

import (
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/topology"
)

// sourceTree is a copy of the repository's Go code, in which a test may write.
type sourceTree struct {
	*testing.T
	root   string
	before map[string][sha256.Size]byte // the files as they were copied
}

func newSourceTree(t *testing.T) sourceTree {
	t.Helper()
	s := sourceTree{T: t, root: t.TempDir()}
	for _, folder := range []string{"exchange", "store", "workers", "deploy", "cli"} {
		if err := os.CopyFS(filepath.Join(s.root, folder), os.DirFS(filepath.Join("..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		s.write(name, text)
	}
	s.before = s.sums()
	return s
}

func (s sourceTree) write(name string, text []byte) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.root, name), text, 0o644); err != nil {
		s.Fatal(err)
	}
}

// goes runs the go command. -trimpath lets it take what was compiled before in another folder.
func (s sourceTree) goes(args ...string) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "go", args...)
	cmd.Dir, cmd.Env = s.root, append(os.Environ(), "GOFLAGS=-trimpath -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// sums are the hashes of all files.
func (s sourceTree) sums() map[string][sha256.Size]byte {
	s.Helper()
	sums := map[string][sha256.Size]byte{}
	err := fs.WalkDir(os.DirFS(s.root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(s.root, name))
		sums[name] = sha256.Sum256(text)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return sums
}

// changed are the files that were written since the copy was made.
func (s sourceTree) changed() (names []string) {
	s.Helper()
	for name, sum := range s.sums() {
		if before, copied := s.before[name]; !copied || before != sum {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A new worker is its package and its line. It compiles, its test passes, `make generate` brings the golden files up to
// date, and its queue is bound. Then the tutorial's code takes the place of the handler.
func TestANewWorker(t *testing.T) {
	t.Parallel()
	s := newSourceTree(t)
	r := runIn(t, filepath.Join(s.root, "workers"), cleanEnv(), "worker", "new", "oversold", "--on", "INVENTORY_UPDATED", "--on", "PURCHASE_ORDER_CREATED")
	if r.code != 0 || !strings.Contains(r.out, "wrote workers/oversold/oversold.go") || !strings.Contains(r.errors, "make generate") {
		t.Fatalf("worker new: exit %d\n%s%s", r.code, r.out, r.errors)
	}
	written := []string{"workers/fleet.go", "workers/oversold/oversold.go", "workers/oversold/oversold_test.go"}
	if got := s.changed(); !slices.Equal(got, written) {
		t.Errorf("worker new changed %v, want %v", got, written)
	}
	formatted := exec.CommandContext(t.Context(), "gofmt", append([]string{"-l"}, written...)...)
	formatted.Dir = s.root
	if out, err := formatted.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("not formatted: %s, %v", out, err)
	}
	s.goes("vet", "./workers/oversold", "./workers")
	s.goes("test", "./workers/oversold")
	s.goes("test", "./workers", "-run", "Golden", "-update")
	s.goes("test", "./workers", "-run", "Golden|Registry")
	generated := append(slices.Clone(written), "workers/testdata/consumers.json", "workers/testdata/topology.json", "workers/testdata/tracked.json")
	slices.Sort(generated)
	if got := s.changed(); !slices.Equal(got, generated) {
		t.Errorf("with the golden files these are changed: %v, want %v", got, generated)
	}
	s.isBound("oversold", "inventory.updated", "purchase_order.created")

	if again := runIn(t, s.root, cleanEnv(), "worker", "new", "oversold", "--on", "INVENTORY_UPDATED"); again.code != 64 {
		t.Errorf("a second worker of the name: exit %d, %s", again.code, again.errors)
	}
	s.followTutorial()
}

// isBound builds the program and looks for the worker's queue in its topology.
func (s sourceTree) isBound(worker string, keys ...string) {
	s.Helper()
	s.goes("build", "-o", "composerp", "./cli/composerp")
	cmd := exec.CommandContext(s.Context(), "./composerp", "topology", "show", "--output", "json")
	cmd.Dir, cmd.Env = s.root, cleanEnv()
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("topology show: %v", err)
	}
	var shown topology.Topology
	if err := json.Unmarshal(out, &shown); err != nil {
		s.Fatalf("topology show: %v\n%s", err, out)
	}
	queue := topology.QueueName(worker)
	var bound []string
	for _, b := range shown.Bindings {
		if b.Queue == queue && b.Exchange == topology.Events {
			bound = append(bound, b.RoutingKey)
		}
	}
	slices.Sort(bound)
	if !slices.ContainsFunc(shown.Queues, func(q topology.QueueSpec) bool { return q.Name == queue }) || !slices.Equal(bound, keys) {
		s.Errorf("%s is bound by %v, want %v", queue, bound, keys)
	}
}

// followTutorial puts the tutorial's code into the worker, as its reader does.
func (s sourceTree) followTutorial() {
	s.Helper()
	page, err := os.ReadFile("../docs/tutorial/README.md")
	if err != nil {
		s.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```go\n")
	snippet, _, ended := strings.Cut(rest, "```\n")
	const file = "workers/oversold/oversold.go"
	text, err := os.ReadFile(filepath.Join(s.root, file))
	if err != nil {
		s.Fatal(err)
	}
	head, _, declared := strings.Cut(string(text), "// New declares")
	if !found || !ended || !declared {
		s.Fatal("the tutorial has no Go code, or the new worker no New")
	}
	s.write(file, []byte(head+snippet))
	s.goes("vet", "./workers/oversold")
	test := "workers/oversold/warn_test.go"
	s.write(test, []byte(`package oversold_test

import (
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/oversold"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestItWarnsOnce(t *testing.T) {
	crossing := workertest.Event(t, event.InventoryUpdated{ItemID: "cake", LocationID: "shop", OnHand: event.NewDecimal(-1),
		Available: event.NewDecimal(-1), Change: event.NewDecimal(-1), TransactionID: "S2", TransactionType: event.TransactionSale})
	emitted, err := workertest.Handle(t, storetest.DB(t), oversold.New(), crossing, crossing)
	if err != nil || len(emitted) != 1 || emitted[0].Type != event.TypeInventoryLowStock {
		t.Errorf("got %v, %v", emitted, err)
	}
}
`))
	s.goes("test", "./workers/oversold", "-run", "TestItWarnsOnce")
}

// Each mistake is named, with what to do; nothing is written.
func TestANewWorkerIsRefused(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	checkout := t.TempDir()
	if err := os.CopyFS(filepath.Join(checkout, "workers"), os.DirFS("../workers")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(checkout, "go.mod"), []byte("module github.com/composerp/composerp\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		folder string
		args   string
		code   int
		says   string
	}{
		"no name":            {checkout, "--on SALE_COMPLETED", 64, "name one worker"},
		"no type":            {checkout, "greeter", 64, "--on EVENT_TYPE"},
		"an unknown type":    {checkout, "greeter --on SALE_COMPLETD", 64, `did you mean "SALE_COMPLETED"`},
		"a type twice":       {checkout, "greeter --on SALE_COMPLETED --on SALE_COMPLETED", 64, "twice"},
		"no package's name":  {checkout, "Greet-er --on SALE_COMPLETED", 64, "small letters"},
		"a keyword":          {checkout, "range --on SALE_COMPLETED", 64, "meaning in"},
		"an import":          {checkout, "time --on SALE_COMPLETED", 64, "fleet.go"},
		"a worker's name":    {checkout, "ledger --on SALE_COMPLETED", 64, "fleet.go"},
		"a package's name":   {checkout, "runtime --on SALE_COMPLETED", 64, "exists"},
		"the broker's name":  {checkout, "unrouted --on SALE_COMPLETED", 64, "composerp.unrouted"},
		"not in a checkout":  {outside, "greeter --on SALE_COMPLETED", 1, "checkout"},
		"a test package":     {checkout, "greetertest --on SALE_COMPLETED", 64, "end in test"},
		"the types together": {checkout, "greeter --on SALE_COMPLETED,NO_SUCH", 64, "NO_SUCH"},
	} {
		r := runIn(t, c.folder, cleanEnv(), append([]string{"worker", "new"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.errors, c.says) {
			t.Errorf("%s: exit %d, want %d and %q: %s", name, r.code, c.code, c.says, r.errors)
		}
	}
	if _, err := os.Stat(filepath.Join(checkout, "workers/greeter")); err == nil {
		t.Error("a refused worker was written")
	}
}
