// Command busy runs a command several times on a machine that it keeps busy, and says how each time went:
//
//	go run ./deploy/local/busy -times 3 -loops 2 -- make test
//
// The loops are threads of this process and of its priority: they end with it, however it ends. The command runs as
// often as it was asked for, whatever becomes of it, unless a signal ends it; the exit code is 1 when a run has failed,
// and 130 when a signal has ended it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func main() {
	times := flag.Int("times", 3, "how many times to run the command")
	loops := flag.Int("loops", 2, "busy loops for each core")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: busy [-times N] [-loops N] -- COMMAND [ARGUMENT...]")
		os.Exit(64)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	keepBusy(*loops * runtime.NumCPU())
	os.Exit(run(ctx, *times, flag.Args()))
}

// keepBusy runs that number of loops until the process ends, each on a thread of its own.
func keepBusy(loops int) {
	runtime.GOMAXPROCS(loops + 1)
	for range loops {
		go func() {
			runtime.LockOSThread()
			for n := 0; ; n++ {
			}
		}()
	}
}

// run runs the command that number of times and returns the exit code.
func run(ctx context.Context, times int, command []string) int {
	code := 0
	var report []string
	for i := 1; i <= times && ctx.Err() == nil; i++ {
		began := time.Now()
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // Ctrl-C has reached it already.
		err := cmd.Run()
		result := "passed"
		if err != nil {
			result = fmt.Sprintf("failed (%v)", err)
			code = max(code, 1)
		}
		report = append(report, fmt.Sprintf("busy: run %d of %d %s after %s", i, times, result, time.Since(began).Round(time.Second)))
		fmt.Fprintln(os.Stderr, report[len(report)-1])
	}
	if len(report) > 1 {
		fmt.Fprintln(os.Stderr, "busy: all in all")
		for _, line := range report {
			fmt.Fprintln(os.Stderr, line)
		}
	}
	if ctx.Err() != nil {
		return 130
	}
	return code
}
