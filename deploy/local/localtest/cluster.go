package localtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/clock"
)

// Cluster is a RabbitMQ of several nodes on this machine: each node with data, ports and a log of its own. It is for
// trying out what happens when nodes go away; its data is deleted with it.
//
// A node is stopped, killed and started again in place, with the same data, name and ports. Apply a topology after
// StartCluster has returned: a queue gets its members when it is declared.
type Cluster struct {
	nodes []*Node
	dir   string
}

// Node is one node of a cluster.
type Node struct {
	local.Endpoints
	Name string // as RabbitMQ calls it: composerp1@localhost

	servers *local.Servers
}

// StartCluster starts the given number of nodes and returns once they are one cluster. Of cfg, Dir must be given and
// hold no cluster yet; PostgresOnly, BrokerOnly and Node are not used. On an error nothing is left running.
func StartCluster(ctx context.Context, cfg local.Config, nodes int) (*Cluster, error) {
	c := &Cluster{nodes: make([]*Node, nodes), dir: cfg.Dir}
	if err := c.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, c.discardNodes(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// start starts the first node before the others, which join it all at once.
func (c *Cluster) start(ctx context.Context, cfg local.Config) error {
	cfg.PostgresOnly, cfg.BrokerOnly = false, true
	one := func(ctx context.Context, number int) error {
		cfg := cfg
		cfg.Dir, cfg.Node = filepath.Join(c.dir, "node"+strconv.Itoa(number)), local.Node{Number: number, Of: len(c.nodes)}
		if number > 1 {
			cfg.Node.First = c.nodes[0].servers
		}
		servers, err := local.Start(ctx, cfg)
		if err == nil {
			c.nodes[number-1] = &Node{Endpoints: servers.Endpoints, Name: cfg.Node.Address(), servers: servers}
		}
		return err
	}
	if err := one(ctx, 1); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for i := range c.nodes[1:] {
		group.Go(func() error { return one(groupCtx, i+2) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, Deadline(2*time.Minute))
	defer cancel()
	return c.AwaitMembers(ctx)
}

// Nodes are the nodes of the cluster, in the order of their names.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Node is the node of that number, from 1 on.
func (c *Cluster) Node(number int) *Node { return c.nodes[number-1] }

// NodeNamed is the node that RabbitMQ calls so: composerp1@localhost. nil when there is none.
func (c *Cluster) NodeNamed(name string) *Node {
	for _, node := range c.nodes {
		if node.Name == name {
			return node
		}
	}
	return nil
}

// AMQPURLs lead to each of the nodes: what a client of the cluster is given.
func (c *Cluster) AMQPURLs() []string {
	urls := make([]string, len(c.nodes))
	for i, node := range c.nodes {
		urls[i] = node.AMQPURL
	}
	return urls
}

// Stop stops the node in the orderly way. Stopping a node that is down does nothing.
func (n *Node) Stop(ctx context.Context) error {
	return n.servers.Halt(ctx, local.RabbitMQ, syscall.SIGTERM)
}

// Kill kills the node with SIGKILL.
func (n *Node) Kill(ctx context.Context) error {
	return n.servers.Halt(ctx, local.RabbitMQ, syscall.SIGKILL)
}

// Start starts a node that is down, and returns once it answers. A node waits for those that went down after it, for
// they know what it missed: start several side by side.
func (n *Node) Start(ctx context.Context) error { return n.servers.Revive(ctx, local.RabbitMQ) }

// Missing are the nodes that do not say of themselves that they are running. A node that was cut off from the others
// restarts its application by itself, and with RabbitMQ 3.10.8 that has failed while the others started
// (incompatible_feature_flags, seen once): it answers no more, and only a restart of the node helps.
func (c *Cluster) Missing(ctx context.Context) (missing []*Node) {
	for _, node := range c.nodes {
		if running, err := node.members(ctx); err != nil || running == 0 {
			missing = append(missing, node)
		}
	}
	return missing
}

// AwaitMembers returns once every node of the cluster says that all of them are running.
func (c *Cluster) AwaitMembers(ctx context.Context) error {
	for _, node := range c.nodes {
		for {
			running, err := node.members(ctx)
			if err == nil && running == len(c.nodes) {
				break
			}
			if !clock.Sleep(ctx, 2*longestPoll) {
				return fmt.Errorf("waiting for the nodes to be one cluster: %s sees %d of %d: %w", node.Name, running, len(c.nodes), errors.Join(ctx.Err(), err))
			}
		}
	}
	return nil
}

// members counts the nodes that the node says are running, itself included.
func (n *Node) members(ctx context.Context) (running int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.ManagementURL+"/api/nodes?columns=name,running", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var nodes []struct {
		Running bool `json:"running"`
	}
	if err := json.NewDecoder(response.Body).Decode(&nodes); err != nil {
		return 0, fmt.Errorf("%s: %w", response.Status, err)
	}
	for _, node := range nodes {
		if node.Running {
			running++
		}
	}
	return running, nil
}

// Discard kills the nodes and deletes what they have; the directory too, unless it holds other files. A second Discard
// does nothing.
func (c *Cluster) Discard(ctx context.Context) error {
	err := c.discardNodes(ctx)
	_ = os.Remove(c.dir)
	return err
}

// discardNodes leaves the first node, which has the port mapper, to the end.
func (c *Cluster) discardNodes(ctx context.Context) (err error) {
	for i := len(c.nodes) - 1; i >= 0; i-- {
		if node := c.nodes[i]; node != nil {
			err = errors.Join(err, node.servers.Discard(ctx))
		}
	}
	return err
}
