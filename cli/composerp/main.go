// Command composerp is the event backbone of a retail and distribution ERP: its
// servers, its relay, its workers, and the tools of whoever runs them.
package main

import (
	"os"

	"github.com/composerp/composerp/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
