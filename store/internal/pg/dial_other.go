//go:build !linux

package pg

import "syscall"

// boundUnanswered does nothing: the kernel's own timeout applies.
func boundUnanswered(string, string, syscall.RawConn) error { return nil }
