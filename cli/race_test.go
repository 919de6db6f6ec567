//go:build race

package cli

import "sync"

func init() { oneParse = &sync.Mutex{} }
