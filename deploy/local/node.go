package local

import (
	"fmt"
	"strconv"
	"strings"
)

// Node makes a RabbitMQ a node of a cluster. All nodes have the first one's port mapper, secret and password.
//
// A queue gets its members when it is declared, on the nodes that are in the cluster then. A node cut off from most of
// two or more others stops by itself (pause_minority) and comes back with them, as the cluster operator for Kubernetes
// has it.
type Node struct {
	Number int      // from 1 on, and part of its name; 0: the RabbitMQ stands alone
	Of     int      // how many nodes the cluster will have
	First  *Servers // node 1, which runs; nil: this is node 1
}

// name is the node's name, without its host.
func (n Node) name() string {
	if n.Number == 0 {
		return ourName
	}
	return ourName + strconv.Itoa(n.Number)
}

// Address is the node's name as RabbitMQ calls it: composerp1@localhost.
func (n Node) Address() string { return n.name() + "@" + nodeHost }

// configuration is what a node's configuration says of its cluster. Node 1 joins none: nodes that look for each other
// while all of them are new find out in rounds of seconds which is to be the first. Of two nodes none has a majority
// alone, and the one that is left would stop when the other does.
func (n Node) configuration() string {
	if n.Number == 0 {
		return ""
	}
	var text strings.Builder
	text.WriteString("cluster_formation.peer_discovery_backend = classic_config\n")
	peers := n.Of
	if n.First == nil {
		peers = 1
	}
	for i := 1; i <= peers; i++ {
		fmt.Fprintf(&text, "cluster_formation.classic_config.nodes.%d = %s\n", i, Node{Number: i}.Address())
	}
	if n.Of > 2 {
		text.WriteString("cluster_partition_handling = pause_minority\n")
	}
	return text.String()
}
