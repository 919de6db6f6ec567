package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// A view that lost its rows has them again, the file has the sale, and lots count nothing twice.
func TestTheCommandsOfReplay(t *testing.T) {
	t.Parallel()
	o := newReader(t)
	defer o.up().stop(t)
	o.types(`bin/composerp publish STOCK_COUNTED --data '{"countId":"C1","itemId":"85123A","locationId":"UK-WH","quantity":40,"timestamp":"2026-02-09T08:00:00Z"}'`)
	o.types(`bin/composerp publish SALE_COMPLETED --data '{"saleId":"S1","itemId":"85123A","locationId":"UK-WH","quantity":6,"amount":15.30,"timestamp":"2026-02-09T12:00:00Z"}'`)
	o.types("bin/composerp audit")
	state := func() string {
		return storetest.Value[string](o, o.database, `SELECT (SELECT string_agg(s::text, ';' ORDER BY s::text) FROM stock s) || (SELECT string_agg(l::text, ';' ORDER BY l::text) FROM lot_balance l)
			|| (SELECT count(*) FROM event_log)`)
	}
	before := state()
	storetest.Exec(o, o.database, `DELETE FROM stock`)
	for _, line := range testedCommands(t, "../docs/howto/replay.md") {
		o.types(line)
	}
	if after := state(); after != before {
		t.Errorf("after the replays there is\n%s\nand before there was\n%s", after, before)
	}
	sales, err := os.ReadFile(filepath.Join(o.dir, "sales.ndjson"))
	if err != nil || strings.Count(string(sales), "\n") != 1 || !strings.Contains(string(sales), `"saleId":"S1"`) {
		t.Errorf("the file of sales has %s: %v", sales, err)
	}
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
