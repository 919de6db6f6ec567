// Command loyalty is Composerp with a worker of another team: the standard fleet and the points of loyalty cards.
package main

import (
	"example.com/loyalty/points"
	"github.com/composerp/composerp/cli"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

func main() {
	cli.Main(func(cfg workers.Config) []worker.Worker { return append(workers.Standard(cfg), points.New()) })
}
