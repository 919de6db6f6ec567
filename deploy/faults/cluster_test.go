package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// group is an environment on a cluster of three nodes.
type group struct {
	*environment
	cluster *localtest.Cluster
}

// TestCluster takes nodes of a cluster away: one, each in turn, two at once.
func TestCluster(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes: make test-faults")
	}
	cluster, err := localtest.StartCluster(t.Context(), local.Config{
		Dir: place(t), Log: slog.New(slog.DiscardHandler), StartTimeout: localtest.Deadline(2 * time.Minute),
	}, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Discard(context.Background()) })
	database := storetest.URL(t)
	urls := cluster.AMQPURLs()
	g := &group{cluster: cluster}
	g.environment = newEnvironment(t, endpoints{
		fleetDatabase: database, fleetExchange: urls, database: database, exchange: urls, management: cluster.Node(1).ManagementURL,
	})
	g.wantMembers()
	g.run(g.fleet()...)
	g.speak()
	g.survive("the leader of the ledger's queue is killed", 2*limit, g.killLeader)
	g.survive("a rolling restart", 2*limit, g.restartEach)
	g.survive("two of three nodes are killed", 2*limit, g.killTwo)
	g.rest(audit.Proven)
	g.wantMembers()
}

// replicas are what the cluster says of a queue.
type replicas struct {
	Name    string   `json:"name"`
	Leader  string   `json:"leader"`
	Members []string `json:"members"`
	Online  []string `json:"online"`
}

// queues asks a node of the cluster for the replicas of all queues, by name; nil while it does not answer.
func (g *group) queues(node *localtest.Node) map[string]replicas {
	ctx, cancel := context.WithTimeout(g.Context(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.ManagementURL+"/api/queues/composerp?columns=name,leader,members,online", nil)
	g.must(err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var list []replicas
	if json.NewDecoder(response.Body).Decode(&list) != nil {
		return nil
	}
	queues := map[string]replicas{}
	for _, q := range list {
		queues[q.Name] = q
	}
	return queues
}

// wantMembers waits until each queue has a replica on each node, all of them there.
func (g *group) wantMembers() {
	g.Helper()
	g.soon(limit, "every queue has three members", func() bool {
		queues := g.queues(g.cluster.Node(1))
		for _, q := range queues {
			if len(q.Members) != 3 || len(q.Online) != 3 {
				return false
			}
		}
		return len(queues) > 0
	})
}

func (g *group) killLeader() (heal func()) {
	g.Helper()
	ledger := topology.QueueName("ledger")
	leader := g.cluster.NodeNamed(g.queues(g.cluster.Node(1))[ledger].Leader)
	if leader == nil {
		g.Fatalf("%s has no leader", ledger)
	}
	g.must(leader.Kill(g.Context()))
	took := g.recover(time.Now(), limit)
	g.Logf("without the leader the fleet goes on after %.2f s", took.Seconds())
	return func() { g.revive(leader) }
}

func (g *group) restartEach() (heal func()) {
	g.Helper()
	for _, node := range g.cluster.Nodes() {
		g.must(node.Stop(g.Context()))
		g.revive(node)
	}
	return func() {}
}

func (g *group) killTwo() (heal func()) {
	g.Helper()
	var killed errgroup.Group
	nodes := g.cluster.Nodes()[:2]
	for _, node := range nodes {
		killed.Go(func() error { return node.Kill(g.Context()) })
	}
	g.must(killed.Wait())
	g.soon(2*limit, "no worker consumes", g.noneConsumes)
	return func() { g.revive(nodes...) }
}

// revive starts nodes again, side by side. RabbitMQ's nodes may then wait for each other's tables for minutes
// (timeout_waiting_for_tables, seen once with 3.10.8): as an operator would, it kills such a node and starts it again.
func (g *group) revive(nodes ...*localtest.Node) {
	g.Helper()
	var started errgroup.Group
	for _, node := range nodes {
		started.Go(func() error {
			stuck := node.Start(g.Context())
			if stuck == nil {
				return nil
			}
			g.Logf("%s is started again: %v", node.Name, stuck)
			return errors.Join(node.Kill(g.Context()), node.Start(g.Context()))
		})
	}
	g.must(started.Wait())
	if g.joined() == nil {
		return
	}
	for _, node := range g.cluster.Missing(g.Context()) {
		g.Logf("%s does not come back by itself, and is started again", node.Name)
		g.must(node.Kill(g.Context()))
		g.must(node.Start(g.Context()))
	}
	g.must(g.joined())
}

// joined waits until the nodes are one cluster.
func (g *group) joined() error {
	ctx, cancel := context.WithTimeout(g.Context(), localtest.Deadline(4*limit))
	defer cancel()
	return g.cluster.AwaitMembers(ctx)
}
