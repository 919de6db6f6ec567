// Command stats prints the figures by which the layout of this repository is judged: sizes of packages, files and
// functions, private words, and what a new worker touches. `make stats` runs it. It exits with 0 whatever the figures
// are.
package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/composerp/composerp/deploy/tools/tree"
	"github.com/composerp/composerp/deploy/tools/words"
)

func main() {
	root, err := tree.Find()
	if err == nil {
		err = run(root, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stats:", err)
		os.Exit(1)
	}
}

// run measures the tree under root and prints the figures.
func run(root string, out io.Writer) error {
	files, err := tree.Read(root, counted)
	if err != nil {
		return err
	}
	m, err := measure(slices.DeleteFunc(slices.Clone(files), func(f tree.File) bool { return strings.Contains(f.Path, "testdata/") }))
	if err != nil {
		return err
	}
	if m.worker, err = touched(files); err != nil {
		return err
	}
	var found []words.Finding
	for _, file := range files {
		if words.Checked(file.Path) {
			found = append(found, words.Check(file)...)
		}
	}
	_, private := words.Lines(found)
	m.print(out, private)
	return nil
}

// counted reports whether a file is read: the sources of the program, and what is written about it and for it. The
// module deploy/tools is no part of the program.
func counted(name string) bool {
	return !strings.HasPrefix(name, "deploy/tools/") && (words.Checked(name) || path.Ext(name) == ".json")
}

func (m measured) print(out io.Writer, private int) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	defer w.Flush()
	line := func(what, format string, figures ...any) { fmt.Fprintf(w, what+"\t"+format+"\n", figures...) }

	if len(m.packages) == 0 {
		line("packages", "0")
		return
	}
	biggest := slices.MaxFunc(m.packages, func(a, b *pkg) int { return a.files - b.files })
	line("packages", "%d", len(m.packages))
	line("files of the biggest package, tests aside", "%d (%s)", biggest.files, biggest.folder)
	var exported []int
	for _, p := range m.packages {
		exported = append(exported, p.exported)
	}
	most := slices.MaxFunc(m.packages, func(a, b *pkg) int { return a.exported - b.exported })
	line("exported names a package, median / p90 / max", "%d / %d / %d (%s)", share(exported, 50), share(exported, 90), most.exported, most.folder)
	line("functions, lines, median / p90 / over 80", "%d / %d / %.1f %%", share(m.functions, 50), share(m.functions, 90), over(m.functions, longFunction))
	line("files, lines, median / p90 / max / over 300", "%d / %d / %d / %.1f %%", share(m.files, 50), share(m.files, 90), share(m.files, 100), over(m.files, longFile))
	line("files to touch for a new worker", "%d (its package; %s)", 1+len(m.worker), strings.Join(m.worker, ", "))
	line("lines with a private word, of Go, docs and help texts", "%d", private)
	line("lines of Go, tests aside / of tests", "%d / %d", m.lines, m.testLines)
	for _, p := range m.packages {
		if why := p.tooBig(); why != "" {
			line("too big: "+p.folder, "%s", why)
		}
	}
}

// share is the value that percent of all values do not exceed.
func share(values []int, percent int) int {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

// over is how many of a hundred values are above a bound.
func over(values []int, bound int) float64 {
	if len(values) == 0 {
		return 0
	}
	n := 0
	for _, v := range values {
		if v > bound {
			n++
		}
	}
	return 100 * float64(n) / float64(len(values))
}
