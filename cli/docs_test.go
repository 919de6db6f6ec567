package cli_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
)

// The commands of a page's blocks that are marked as tested are typed one after the other, as they stand there, in a
// folder that has bin/composerp and docs/tutorial.
func TestTheCommandsOfTheReadme(t *testing.T) { t.Parallel(); typePage(t, "../README.md") }
func TestTheCommandsOfTheTutorial(t *testing.T) {
	t.Parallel()
	typePage(t, "../docs/tutorial/README.md")
}

func typePage(t *testing.T, page string) {
	t.Helper()
	lines := testedCommands(t, page)
	if len(lines) == 0 {
		t.Fatalf("%s has no block that is marked as tested", page)
	}
	o := newReader(t)
	f := o.up()
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "bin/composerp up"): // it is up, and ends with the test
		case line == "bin/composerp down":
			f.stop(t)
		case strings.HasPrefix(line, "bin/composerp po list"): // a reader takes longer to come to it than the fleet does
			o.until("there are two orders", func() bool { return o.count(`SELECT count(*) FROM purchase_order`) == 2 })
			o.types(line)
		default:
			o.types(line)
		}
	}
	if n := o.count(`SELECT count(*) FROM purchase_order WHERE status = 'APPROVED'`); n != 1 {
		t.Errorf("%d orders are approved after all that, want 1", n)
	}
}

// newReader is an operator in a folder that has bin/composerp and docs/tutorial.
func newReader(t *testing.T) *operator {
	t.Helper()
	o := newOperator(newEnvironment(t))
	o.copies("../docs/tutorial", "docs/tutorial")
	if err := os.Mkdir(filepath.Join(o.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(o.path, "composerp"), filepath.Join(o.dir, "bin/composerp")); err != nil {
		t.Fatal(err)
	}
	return o
}

// The seed's four uses of replay, as the page has them: a view that lost its rows has them again; what was
// purged from a queue is handled;
// the file has the sales; another fleet comes to the same stock; lots count nothing twice.
func TestTheCommandsOfReplay(t *testing.T) {
	t.Parallel()
	o, elsewhere := newReader(t), newOperator(newEnvironment(t))
	elsewhere.dir = o.dir
	defer o.up().stop(t)
	o.types(`bin/composerp publish STOCK_COUNTED --data '{"countId":"C1","itemId":"85123A","locationId":"UK-WH","quantity":40.125,"timestamp":"2026-02-09T08:00:00Z"}'`)
	o.types(`bin/composerp publish SALE_COMPLETED --data '{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":6,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}'`)
	o.types("bin/composerp audit")
	state := func() string {
		return storetest.Value[string](o, o.database, `SELECT (SELECT string_agg(s::text, ';' ORDER BY s::text) FROM stock s) || (SELECT string_agg(l::text, ';' ORDER BY l::text) FROM lot_balance l)
			|| (SELECT count(*) FROM event_log)`)
	}
	before := state()
	storetest.Exec(o, o.database, `DELETE FROM stock`)
	same := func(when string) {
		t.Helper()
		if after := state(); after != before {
			t.Errorf("after %s there is\n%s\nand before there was\n%s", when, after, before)
		}
	}
	var other *fleet
	for _, line := range testedCommands(t, "../docs/howto/replay.md") {
		switch {
		case line == "bin/composerp up --detach --dir elsewhere":
			other = elsewhere.up("--dir", "elsewhere")
		case line == "bin/composerp down --dir elsewhere":
			other.stop(t)
		case strings.Contains(line, " --dir elsewhere"):
			elsewhere.types(line)
		case strings.HasPrefix(line, "curl "):
			o.purges(line, "composerp.lots")
		default:
			o.types(line)
		}
		switch {
		case line == "bin/composerp stock":
			same("recovering a view")
		case strings.HasPrefix(line, "bin/composerp replay --file sales.ndjson"):
			before = state()
		}
	}
	same("the replays to a new worker")
	if handled := o.count(`SELECT count(*) FROM inbox i JOIN consumer c ON c.id = i.consumer WHERE c.name = 'lots'`); handled != 3 {
		t.Errorf("lots has handled %d events, want those of a count and two sales", handled)
	}
	sales, err := os.ReadFile(filepath.Join(o.dir, "sales.ndjson"))
	if err != nil || strings.Count(string(sales), "\n") != 2 || !strings.Contains(string(sales), `"saleId":"S7"`) {
		t.Errorf("the file of sales has %s: %v", sales, err)
	}
	stock, err := os.ReadFile(filepath.Join(o.dir, "elsewhere.json"))
	if err != nil || !strings.Contains(string(stock), "30.125") {
		t.Errorf("the other fleet's stock is %s: %v", stock, err)
	}
}

// purges types a line that empties a queue by the management API, once the queue has a message.
func (o *operator) purges(line, queue string) {
	o.Helper()
	session := storetest.MustGet(rabbitmq.Open(o.Context(), o.broker))(o)
	defer session.Close()
	o.until("the queue has a message", func() bool { ready, _, err := session.Depth(queue); return err == nil && ready > 0 })
	o.types(strings.NewReplacer("$MANAGEMENT_URL", rabbitmqtest.ManagementURL(o), "/queues/composerp/", "/queues/"+url.PathEscape(rabbitmqtest.VhostOf(o, o.broker))+"/").Replace(line))
}

// testedCommands are the lines of the blocks behind the mark, without comments.
func testedCommands(t *testing.T, page string) (commands []string) {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(raw), "<!-- tested -->\n```sh\n")
	for _, rest := range blocks[1:] {
		block, _, ended := strings.Cut(rest, "```\n")
		if !ended {
			t.Fatalf("%s has a block without an end", page)
		}
		for line := range strings.Lines(block) {
			if line, _, _ = strings.Cut(line, " #"); strings.TrimSpace(line) != "" {
				commands = append(commands, strings.TrimSpace(line))
			}
		}
	}
	return commands
}

// copies copies the files of a folder into the environment's directory.
func (h *environment) copies(from, to string) {
	h.Helper()
	if err := os.CopyFS(filepath.Join(h.dir, to), os.DirFS(from)); err != nil {
		h.Fatal(err)
	}
}
