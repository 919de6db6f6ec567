//go:build !failpoints

package settings

import "time"

// Arm does nothing: only a build with the tag failpoints can be told to die at a
// point, or that it is another time.
func Arm() error { return nil }

// wallClock is the fleet's; nil is the machine's own.
var wallClock func() time.Time
