// Command composerp is the event backbone of a retail and distribution ERP: its
// servers, its relay, its workers, and the tools of those who operate it.
package main

import (
	"github.com/composerp/composerp/cli"
	"github.com/composerp/composerp/workers"
)

func main() { cli.Main(workers.Standard) }
