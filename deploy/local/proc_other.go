//go:build unix && !linux

package local

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent does nothing: other kernels have no parent-death signal. There the next Start clears up after an owner
// that was killed.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

// commandLine is the argument vector of a living process as ps tells it, split at spaces; nil when there is none.
func commandLine(pid int) []string {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}
