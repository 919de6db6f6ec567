package local_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
)

// TestCluster finds a message on a cluster of two after each of its nodes has been away. What a fleet makes of a
// cluster of three stands in deploy/faults.
func TestCluster(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	began := time.Now()
	cluster, err := localtest.StartCluster(t.Context(), local.Config{
		Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		StartTimeout: localtest.Deadline(2 * time.Minute), StopTimeout: localtest.Deadline(30 * time.Second),
	}, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Discard(context.Background()) })
	t.Log("took", time.Since(began))
	if _, err := localtest.StartCluster(t.Context(), local.Config{Dir: dir}, 2); !errors.Is(err, local.ErrInUse) {
		t.Errorf("a second cluster in the same directory: %v, want ErrInUse", err)
	}
	publishOne(t, cluster.AMQPURLs()[0])
	for _, step := range []func() error{
		func() error { return cluster.NodeNamed("composerp2@localhost").Stop(t.Context()) },
		func() error { return cluster.Node(2).Start(t.Context()) },
		func() error { return cluster.AwaitMembers(localtest.Context(t, 2*time.Minute)) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	wantMessage(t, cluster.AMQPURLs()[1])
	if err := cluster.Discard(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
}
