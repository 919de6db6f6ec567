package newworker

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/composerp/composerp/cli/exit"
)

const (
	module       = "github.com/composerp/composerp"
	eventPackage = module + "/exchange/event"
	// registryPath is the file that lists the workers, and registryFunc its function that does.
	registryPath = "workers/fleet.go"
	registryFunc = "Standard"
)

var moduleLine = regexp.MustCompile(`(?m)^module\s+"?` + regexp.QuoteMeta(module) + `"?\s*$`)

// checkout is the top folder of the checkout that holds the folder.
func checkout(folder string) (string, error) {
	for root := folder; ; root = filepath.Dir(root) {
		text, err := os.ReadFile(filepath.Join(root, "go.mod"))
		switch {
		case err == nil && moduleLine.Match(text):
			return root, nil
		case err == nil:
			return "", fmt.Errorf("%s is the module of another program: `worker new` writes into a checkout of %s; "+
				"docs/howto/own-workers.md there shows workers in a module of your own", root, module)
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("looking for a checkout of %s: %w", module, err)
		case root == filepath.Dir(root):
			return "", fmt.Errorf("%s is not inside a checkout of %s, and `worker new` writes into one: clone it and change into it", folder, module)
		}
	}
}

// register adds the worker to the text of the registry: its import, and its line at the end of the list.
func register(text []byte, name string) ([]byte, error) {
	files := token.NewFileSet()
	registry, err := parser.ParseFile(files, registryPath, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", registryPath, err)
	}
	if identifiers(registry)[name] {
		return nil, exit.Usage("worker name %q is used in %s already; choose another", name, registryPath)
	}
	list := listOf(registry)
	if list == nil || len(registry.Imports) == 0 {
		return nil, fmt.Errorf("%s has no function %s that returns a list of workers: add %s.New() to the fleet by hand", registryPath, registryFunc, name)
	}
	end, imports := files.Position(list.Rbrace).Offset, files.Position(registry.Imports[len(registry.Imports)-1].End()).Offset
	added := slices.Concat(text[:imports], fmt.Appendf(nil, "\n\t%q", module+"/workers/"+name), text[imports:end],
		fmt.Appendf(nil, "\t%s.New(),\n\t", name), text[end:])
	formatted, err := format.Source(added)
	if err != nil {
		return nil, fmt.Errorf("adding %s to %s: %w", name, registryPath, err)
	}
	return bytes.TrimLeft(formatted, "\n"), nil
}

// listOf is the list that the registry's function returns.
func listOf(registry *ast.File) *ast.CompositeLit {
	for _, d := range registry.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != registryFunc || f.Body == nil || len(f.Body.List) == 0 {
			continue
		}
		if last, ok := f.Body.List[len(f.Body.List)-1].(*ast.ReturnStmt); ok && len(last.Results) == 1 {
			list, _ := last.Results[0].(*ast.CompositeLit)
			return list
		}
	}
	return nil
}

// identifiers are the names that the file uses, imported packages among them.
func identifiers(f *ast.File) map[string]bool {
	used := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			used[id.Name] = true
		}
		return true
	})
	for _, i := range f.Imports {
		if path, err := strconv.Unquote(i.Path.Value); err == nil {
			used[filepath.Base(path)] = true
		}
	}
	return used
}
