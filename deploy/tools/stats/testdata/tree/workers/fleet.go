package workers

import (
	"example.com/shop/workers/alert"
	"example.com/shop/workers/ledger"
	"example.com/shop/workers/lots"
	"example.com/shop/workers/runtime/relay"
	"example.com/shop/workers/worker"
)

func Fleet() []worker.Worker {
	return []worker.Worker{ledger.New(), lots.New(), alert.New(relay.Log)}
}
