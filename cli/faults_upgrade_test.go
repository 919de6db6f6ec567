package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/composerp/composerp/store/storetest"
)

// previousVersion is the commit that version N-1 is built from: the last one before
// tables, metrics, flags and the dead-letter log's worker and queue got their names of
// today. It is moved to each release when the next one has been begun.
const previousVersion = "71857b6990a7a3e086895b54c70e55ffae2041b3"

// previousProgram builds the binary of the previous version, once. It is empty
// where the clone does not reach back so far. By -trimpath the build's cache serves
// the next run too, whose folder is another.
var previousProgram = sync.OnceValues(func() (string, error) {
	usual, err := program()
	if err != nil {
		return "", err
	}
	if err := exec.Command("git", "cat-file", "-e", previousVersion+"^{commit}").Run(); err != nil {
		return "", nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(usual), "previous-")
	if err != nil {
		return "", err
	}
	archive := filepath.Join(dir, "source.tar")
	path := filepath.Join(filepath.Dir(usual), "composerp-previous")
	for _, step := range []struct {
		dir  string
		line []string
	}{
		{"..", []string{"git", "archive", "--format=tar", "-o", archive, previousVersion}},
		{dir, []string{"tar", "-xf", archive}},
		{dir, []string{"go", "build", "-trimpath", "-o", path, "./cli/composerp"}},
	} {
		cmd := exec.Command(step.line[0], step.line[1:]...)
		cmd.Dir = step.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building the previous version: %v: %w\n%s", step.line, err, out)
		}
	}
	return path, os.RemoveAll(dir)
})

// The previous version's fleet and this one's run side by side on one database that
// this one has migrated, and on the same queues, and are killed and changed for each
// other while things happen.
func TestThePreviousVersionBesideThisOne(t *testing.T) {
	t.Parallel()
	previous, err := previousProgram()
	if err != nil {
		t.Fatal(err)
	}
	if previous == "" && os.Getenv("COMPOSERP_NO_SKIP") != "" {
		t.Fatalf("commit %s must be in this clone", previousVersion)
	}
	if previous == "" {
		t.Skipf("SKIPPED, AND NOT PROVEN: commit %s, which the previous version is built from, is not in this clone", previousVersion)
	}
	s := newStreet(t)
	// However close the two versions are: the next one will know what this one does not.
	storetest.Exec(t, s.database, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, true); CREATE TABLE of_the_next_version (n int)`)
	this, err := program()
	if err != nil {
		t.Fatal(err)
	}
	start := func(path string) *fleet {
		t.Helper()
		f := s.start(path, s.env, " is up\n", "up", "--dir", t.TempDir())
		f.isUp(t)
		return f
	}
	// It has found the broker as the previous version left it, with bindings that this one does not make.
	apply := exec.Command(previous, "topology", "apply")
	apply.Env = s.env
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("the previous version's topology: %v\n%s", err, out)
	}
	one, other := start(previous), start(this)
	for n, next := range []string{this, previous, previous, this} {
		s.round()
		one.kill(t) // without an end of its leases: the other one takes over
		s.round()
		one, other = other, start(next)
		t.Logf("change %d", n+1)
		s.settle()
	}
	one.stop(t)
	s.round()
	other.stop(t)
	last := start(previous)
	s.round()
	s.settle()
	last.stop(t)
	f := s.up()
	s.prove()
	f.stop(t)
}
