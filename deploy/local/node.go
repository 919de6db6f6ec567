package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/composerp/composerp/exchange/clock"
)

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
	return c.each(func(n *Node) string { return n.AMQPURL })
}

func (c *Cluster) each(of func(*Node) string) []string {
	texts := make([]string, len(c.nodes))
	for i, node := range c.nodes {
		texts[i] = of(node)
	}
	return texts
}

// Stop stops the node in the orderly way. Stopping a node that is down does nothing.
func (n *Node) Stop(ctx context.Context) error { return n.broker.down(ctx, syscall.SIGTERM) }

// Kill kills the node with SIGKILL.
func (n *Node) Kill(ctx context.Context) error { return n.broker.down(ctx, syscall.SIGKILL) }

// Start starts a node that is down, and returns once it answers. A node waits for those that went down after it, for
// they know what it missed: start several side by side.
func (n *Node) Start(ctx context.Context) error { return n.broker.up(ctx) }

// AwaitMembers returns once every node of the cluster says that all of them are running.
func (c *Cluster) AwaitMembers(ctx context.Context) error {
	for _, node := range c.nodes {
		for {
			running, err := node.members(ctx)
			if err == nil && running == len(c.nodes) {
				break
			}
			if !clock.Sleep(ctx, 5*pollEvery) {
				return fmt.Errorf("waiting for the nodes to be one cluster: %s sees %d of %d: %w", node.Name, running, len(c.nodes), errors.Join(ctx.Err(), err))
			}
		}
	}
	return nil
}

// members counts the nodes that the node says are running, itself included.
func (n *Node) members(ctx context.Context) (int, error) {
	var nodes []struct {
		Running bool `json:"running"`
	}
	if err := get(ctx, n.ManagementURL+"/api/nodes?columns=name,running", &nodes); err != nil {
		return 0, err
	}
	running := 0
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
	var err error
	c.once.Do(func() {
		close(c.stopping)
		for _, node := range c.nodes {
			err = errors.Join(err, node.Kill(ctx), os.RemoveAll(node.broker.path))
			for _, name := range []string{node.broker.node, node.broker.logName(), node.broker.logName() + ".1"} {
				err = errors.Join(err, os.RemoveAll(filepath.Join(c.cfg.Dir, name)))
			}
		}
		if c.epmd != nil {
			c.epmd.killGroup()
			<-c.epmd.done
		}
		for _, name := range []string{"epmd.log", lockFile} {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.cfg.Dir, name)))
		}
		removeOutside(c.cfg.Dir)
		os.Remove(c.cfg.Dir)
		c.held.free()
	})
	return err
}

// clustering is what a node's configuration says of its cluster; nothing for a node that stands alone. Of two nodes
// none has a majority alone, and the one that is left would stop when the other does.
func clustering(peers []string, size int) string {
	if len(peers) == 0 {
		return ""
	}
	var text strings.Builder
	text.WriteString("cluster_formation.peer_discovery_backend = classic_config\n")
	for i, peer := range peers {
		fmt.Fprintf(&text, "cluster_formation.classic_config.nodes.%d = %s\n", i+1, peer)
	}
	if size > 2 {
		text.WriteString("cluster_partition_handling = pause_minority\n")
	}
	return text.String()
}
