package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	o := newOperator(newEnvironment(t))
	o.copies("../docs/tutorial", "docs/tutorial")
	if err := os.Mkdir(filepath.Join(o.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(o.path, "composerp"), filepath.Join(o.dir, "bin/composerp")); err != nil {
		t.Fatal(err)
	}
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
