package importer

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/composerp/composerp/store"
)

// What the test binary is told when it is to be an importer that will be killed.
const (
	killedURL     = "COMPOSERP_IMPORTER_TEST_URL"
	killedFile    = "COMPOSERP_IMPORTER_TEST_FILE"
	killedMapping = "COMPOSERP_IMPORTER_TEST_MAPPING"
)

func TestMain(m *testing.M) {
	if os.Getenv(killedURL) != "" {
		if err := importToBeKilled(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// importToBeKilled imports and says each batch on its standard output.
func importToBeKilled(ctx context.Context) error {
	db, err := store.Open(ctx, store.Config{URL: os.Getenv(killedURL)})
	if err != nil {
		return err
	}
	defer db.Close()
	m, err := LoadMapping(os.Getenv(killedMapping))
	if err != nil {
		return err
	}
	_, err = Run(ctx, Options{DB: db, File: os.Getenv(killedFile), Mapping: m, BatchRows: 10, Progress: func(p Progress) {
		if p.Phase == PhaseImport {
			fmt.Println(p.Tally.Rows)
		}
	}})
	return err
}

// TestKilled kills importers with SIGKILL, each a few batches after it began, until one comes through.
func TestKilled(t *testing.T) {
	t.Parallel()
	l := newTill(t)
	mapping := writeFile(t, "till.yaml", l.mappingText)
	killed := 0
	for {
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Env = append(os.Environ(), killedURL+"="+l.url, killedFile+"="+l.file, killedMapping+"="+mapping)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		said := bufio.NewScanner(out)
		for batches := 0; said.Scan(); batches++ {
			if batches == 3+killed%7 {
				must(t, c.Process.Kill())
				killed++
			}
		}
		if c.Wait() == nil {
			break
		}
	}
	if killed < 3 {
		t.Errorf("only %d were killed", killed)
	}
	l.check(t)
	wantTally(t, l.run(t), 0, tillEvents)
}
