package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Cluster is a RabbitMQ of several nodes on this machine, as quorum queues are made for: each node with data, ports and
// a log of its own, all with one port mapper, one secret and one password. It is for trying out what happens when nodes
// go away; its data is deleted with it.
//
// A node is stopped, killed and started again in place, with the same data, name and ports. Each is a child of this
// process, as the servers of a pair are, and ends with it. What holds for a pair holds here: the directory has one
// owner, and no two nodes work on the same data.
//
// A queue gets its members when it is declared, on the nodes that are in the cluster then: apply a topology after
// StartCluster has returned, which it does when every node sees every other one. A node cut off from most of two or
// more others stops by itself (pause_minority) and comes back with them, as the cluster operator for Kubernetes has it.
type Cluster struct {
	nodes    []*Node
	cfg      Config
	held     ownership
	epmd     *child
	stopping chan struct{}
	once     sync.Once
}

// Node is one node of a cluster.
type Node struct {
	Endpoints
	Name string // as RabbitMQ calls it: composerp1@localhost

	broker *broker
	state  state
}

// StartCluster starts the given number of nodes and returns once they are one cluster. Of cfg, PostgresOnly and
// BrokerOnly are not used, and Dir must be given and hold no cluster yet. On an error nothing is left running.
func StartCluster(ctx context.Context, cfg Config, nodes int) (*Cluster, error) {
	if cfg.Dir == "" || nodes < 1 {
		return nil, errors.New("starting a cluster: it needs a directory of its own and at least one node")
	}
	cfg = cfg.withDefaults()
	cfg.BrokerOnly, cfg.PostgresOnly = true, false
	held, found, err := own(ctx, &cfg, nodes)
	if err != nil {
		return nil, err
	}
	defer held.claim.started()
	c := &Cluster{cfg: cfg, held: held, stopping: make(chan struct{})}
	if err := c.start(ctx, found.broker, nodes); err != nil {
		return nil, errors.Join(err, c.Discard(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// start gives each node the time of Config.StartTimeout, as they start one after the other: the first stands before the
// others join it, all at once. Nodes that look for each other while all of them are new find out in rounds of seconds
// who is to be the first.
func (c *Cluster) start(ctx context.Context, installed brokerPrograms, n int) error {
	if err := c.prepare(installed, n); err != nil {
		return err
	}
	if err := c.startPortMapper(ctx); err != nil {
		return err
	}
	if err := c.nodes[0].Start(ctx); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, node := range c.nodes[1:] {
		group.Go(func() error { return node.Start(groupCtx) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StartTimeout)
	defer cancel()
	return c.AwaitMembers(ctx)
}

// startPortMapper starts the port mapper that all nodes share.
func (c *Cluster) startPortMapper(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.StartTimeout)
	defer cancel()
	first := c.nodes[0]
	err := first.broker.launchEpmd(ctx, first.state.Ports)
	c.epmd = first.broker.epmd
	return err
}

// prepare makes the nodes' directories, names, ports and passwords; all have the same secret, by which they trust each
// other.
func (c *Cluster) prepare(installed brokerPrograms, n int) error {
	var shared state
	shared.makePasswords()
	cookie := rand.Text()
	var wanted []*int
	for i := range n {
		node, err := c.makeNode(fmt.Sprintf("%s%d", ourName, i+1), installed, cookie)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, node)
		wanted = append(wanted, node.state.Ports.each()...)
	}
	if err := choosePorts(wanted); err != nil {
		return err
	}
	names := c.each(func(n *Node) string { return n.Name })
	for i, node := range c.nodes {
		node.broker.peers, node.broker.size = names, n
		if i == 0 {
			node.broker.peers = names[:1] // Those that are new would wait for each other.
		}
		node.state.Ports.Epmd, node.state.Password = c.nodes[0].state.Ports.Epmd, shared.Password
		node.Endpoints = node.state.endpoints(c.cfg)
	}
	return nil
}

func (c *Cluster) makeNode(name string, installed brokerPrograms, cookie string) (*Node, error) {
	at, err := place(c.cfg, name, installed.account)
	if err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(at.path); err != nil || len(entries) > 0 {
		return nil, errors.Join(fmt.Errorf("starting a cluster: %s holds one already, of a process that was killed: remove it", at.path), err)
	}
	if err := wantSpace(at.path); err != nil {
		return nil, err
	}
	file := filepath.Join(at.path, ".erlang.cookie")
	if err := os.WriteFile(file, []byte(cookie), 0o400); err != nil {
		return nil, fmt.Errorf("making the nodes' secret: %w", err)
	}
	if err := at.account.give(file); err != nil {
		return nil, err
	}
	b := &broker{node: name, installed: installed, instance: instance{
		cfg: c.cfg, home: at, log: c.cfg.Log.With("server", name), stopping: c.stopping, begun: func(*child) {},
	}}
	node := &Node{Name: nodeAddress(name), broker: b}
	b.again = func(ctx context.Context) error {
		if err := b.configure(node.state); err != nil {
			return err
		}
		return b.launch(ctx, node.state)
	}
	return node, nil
}
