// Package newworker writes a new worker into a checkout of this repository: its
// package, its test, and its line in workers/fleet.go. Nothing is written before
// everything that will be written is checked and formatted.
package newworker

import (
	"fmt"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
)

const flagOn = "on"

// Command is `worker new`.
func Command() *cli.Command {
	return &cli.Command{
		Name: "new", Usage: "write a new worker into a checkout of Composerp: package, test and registration", ArgsUsage: "NAME",
		Description: "Writes workers/NAME/NAME.go with a handler for each event type, a test that passes, and the worker's line\n" +
			"in workers/fleet.go. The worker compiles and consumes; what it does is for you to write. Its name is part of\n" +
			"the ids of the events that it emits, so choose one that can stay.",
		Flags:  []cli.Flag{&cli.StringSliceFlag{Name: flagOn, Usage: "an event type that the worker consumes, such as SALE_COMPLETED; give it again for several"}},
		Action: run,
	}
}

func run(cctx *cli.Context) error {
	name := cctx.Args().First()
	if cctx.NArg() != 1 {
		return exit.Usage("name one worker: `composerp worker new NAME --%s EVENT_TYPE`", flagOn)
	}
	if err := checkName(name); err != nil {
		return err
	}
	definitions, err := consumed(cctx.StringSlice(flagOn))
	if err != nil {
		return err
	}
	folder, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the current folder: %w", err)
	}
	root, err := checkout(folder)
	if err != nil {
		return err
	}
	files, err := filesOf(root, name, definitions)
	if err != nil {
		return err
	}
	if err := write(root, name, files); err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintf(cctx.App.Writer, "wrote %s\n", f.path)
	}
	terminal.Say(cctx, "next, in %s:\n  go test ./workers/%s\n  make generate build", root, name)
	return nil
}

// filesOf are the files that the new worker needs.
func filesOf(root, name string, definitions []event.Definition) ([]file, error) {
	registry, err := os.ReadFile(filepath.Join(root, registryPath))
	if err != nil {
		return nil, fmt.Errorf("reading the registry of the workers: %w", err)
	}
	registered, err := register(registry, name)
	if err != nil {
		return nil, err
	}
	code, err := source(packageText, name, definitions)
	if err != nil {
		return nil, err
	}
	test, err := source(testText, name, definitions)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join("workers", name)
	return []file{{filepath.Join(folder, name+".go"), code}, {filepath.Join(folder, name+"_test.go"), test}, {registryPath, registered}}, nil
}

// file is a file to write; its path is relative to the checkout.
type file struct {
	path string
	text []byte
}

// write makes the worker's folder, which must not exist yet, and writes the files.
func write(root, name string, files []file) error {
	folder := filepath.Join(root, "workers", name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		if os.IsExist(err) {
			return exit.Usage("%s exists already; choose another name or delete it", folder)
		}
		return fmt.Errorf("making the worker's package: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(root, f.path), f.text, 0o644); err != nil {
			return fmt.Errorf("writing the worker %s: %w", name, err)
		}
	}
	return nil
}

var nameText = regexp.MustCompile(`^[a-z][a-z0-9]{1,29}$`)

// imported are the names by which the worker's own files import packages.
var imported = []string{"context", "slices", "testing", "event", "storetest", "worker", "workertest"}

// ofTheBroker are the names whose queues or exchanges the broker has for another purpose.
var ofTheBroker = []string{"events", "retry", "dead", "unrouted", "journal"}

func checkName(name string) error {
	switch {
	case !nameText.MatchString(name):
		return exit.Usage("worker name %q: want 2 to 30 small letters and digits, a letter first: it names a package, a queue and the worker's metrics", name)
	case strings.HasSuffix(name, "test"):
		return exit.Usage("worker name %q: packages whose names end in test are helpers of tests", name)
	case token.IsKeyword(name) || types.Universe.Lookup(name) != nil || slices.Contains(imported, name):
		return exit.Usage("worker name %q has a meaning in the worker's Go files; choose another", name)
	case slices.Contains(ofTheBroker, name):
		return exit.Usage("worker name %q: the broker uses composerp.%[1]s for another purpose; choose another", name)
	}
	return nil
}

// consumed are the definitions of the event types; a worker can consume each type once.
func consumed(names []string) ([]event.Definition, error) {
	if len(names) == 0 {
		return nil, exit.Usage("name what the worker consumes: --%s EVENT_TYPE; there are %s", flagOn, strings.Join(known(), ", "))
	}
	var definitions []event.Definition
	for _, name := range names {
		d, ok := event.Lookup(event.Type(name))
		switch {
		case !ok:
			return nil, exit.Usage("no event type %q; %sthere are %s", name, terminal.Suggest(name, known()), strings.Join(known(), ", "))
		case d.Payload.PkgPath() != eventPackage:
			return nil, exit.Usage("%s is declared in %s; write its worker there", name, d.Payload.PkgPath())
		case slices.ContainsFunc(definitions, func(other event.Definition) bool { return other.Type == d.Type }):
			return nil, exit.Usage("--%s %s is given twice", flagOn, name)
		}
		definitions = append(definitions, d)
	}
	return definitions, nil
}

func known() []string {
	var names []string
	for _, t := range event.Types() {
		names = append(names, string(t))
	}
	return names
}
