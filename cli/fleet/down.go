package fleet

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
)

// DownCommand is the command `down`.
func DownCommand() *cli.Command {
	return &cli.Command{
		Name:   "down",
		Usage:  "stop the `up` of this directory",
		Flags:  []cli.Flag{settings.FlagOf(settings.FlagDir), &cli.DurationFlag{Name: "timeout", Value: time.Minute, Usage: "how long to wait for its end"}},
		Action: down,
	}
}

// downCommand is the command line that stops the fleet of a directory, for a shell.
func downCommand(dir string) string {
	if dir == settings.Named(settings.FlagDir).Standard {
		return "`composerp down`"
	}
	return "`composerp down --dir " + terminal.ShellWord(dir) + "`"
}

func down(cctx *cli.Context) error {
	dir, timeout := cctx.String(settings.FlagDir), cctx.Duration("timeout")
	state, err := settings.Find(dir)
	if err != nil {
		return err
	}
	if state == nil {
		terminal.Say(cctx, "no fleet runs in %s", dir)
		return nil
	}
	if state.PID == 0 {
		return fmt.Errorf("the fleet of %s is still starting; try again in a moment", dir)
	}
	if err := syscall.Kill(state.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping process %d: %w", state.PID, err)
	}
	ctx, cancel := context.WithTimeout(cctx.Context, timeout)
	defer cancel()
	for {
		if held, err := settings.IsHeld(dir); err != nil || !held {
			terminal.Say(cctx, "composerp is down")
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d has not ended within %s; it may be finishing a batch: try again, or send it a second SIGTERM", state.PID, timeout)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
