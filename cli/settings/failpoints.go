//go:build !failpoints

package settings

// Arm does nothing: only a build with the tag failpoints can be told to die at a
// point, or that it is another time.
func Arm() error { return nil }
