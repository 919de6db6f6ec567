// Command print lists every line of the repository that holds a retired word or a comment that is too long.
package main

import (
	"fmt"
	"os"

	"github.com/composerp/composerp/deploy/tools/tree"
	"github.com/composerp/composerp/deploy/tools/words"
)

func main() {
	root, err := tree.Find()
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
	files, err := tree.Read(root, words.Checked)
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
	for _, file := range files {
		for _, f := range words.Check(file) {
			fmt.Printf("%s:%d: %q: write %s\n", f.Path, f.Line, f.Word, f.Use)
		}
		for _, line := range words.LongComments(file) {
			fmt.Printf("%s:%d: a comment of more than %d characters\n", file.Path, line, words.MaxComment)
		}
	}
}
