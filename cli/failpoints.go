//go:build !failpoints

package cli

import "time"

// arm does nothing: only a build with the tag failpoints can be told to die at a
// point, or that it is another time.
func arm() error { return nil }

// wallClock is the fleet's; nil is the machine's own.
var wallClock func() time.Time
