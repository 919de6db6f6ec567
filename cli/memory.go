package cli

import (
	"os"
	"runtime/debug"
)

// How much memory is given for speed. What is alive at one time is 10 to 30 MB;
// collecting it each time as much again has been used takes a sixth of the
// processor under load. So the heap may grow to five times what is alive, and
// the limit makes it collect in time to stay well below 200 MB.
const (
	heapGrowth  = 400
	memoryLimit = 140 << 20
)

// tuneMemory leaves alone what GOGC and GOMEMLIMIT say.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
