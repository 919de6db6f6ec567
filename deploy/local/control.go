package local

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// BrokerControl runs rabbitmqctl on the node: to raise an alarm, for one, which the management interface cannot. It
// takes a second or two: it is an Erlang node of its own.
func (s *Servers) BrokerControl(ctx context.Context, args ...string) error {
	ctl := exec.CommandContext(ctx, filepath.Join(filepath.Dir(s.broker.installed.server), "rabbitmqctl"), args...)
	ctl.Dir, ctl.Env = s.broker.path, s.broker.environment(s.state.Ports)
	ctl.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.broker.account.credential()}
	if out, err := ctl.CombinedOutput(); err != nil {
		return fmt.Errorf("running rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, shorten(strings.Join(strings.Fields(string(out)), " ")))
	}
	return nil
}
