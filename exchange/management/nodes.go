package management

import (
	"context"
	"net/http"
	"strings"
)

// NodeState is one node of the broker. Sizes are in bytes.
type NodeState struct {
	Name          string   `json:"name"`
	PID           string   `json:"os_pid"` // "" until the broker has statistics
	Running       bool     `json:"running"`
	MemoryAlarm   bool     `json:"mem_alarm"`
	DiskAlarm     bool     `json:"disk_free_alarm"`
	MemoryUsed    int64    `json:"mem_used"`
	MemoryLimit   int64    `json:"mem_limit"`
	DiskFree      int64    `json:"disk_free"`
	DiskFreeLimit int64    `json:"disk_free_limit"`
	Plugins       []string `json:"enabled_plugins"`
}

// Counted reports whether the broker has statistics of the node. Of one that has just started it has none for some
// seconds: it is running, has no plugins, and its sizes are 0.
func (n NodeState) Counted() bool { return n.PID != "" }

// Nodes returns the nodes of the broker. The user needs the tag "monitoring" or a higher one, else ErrAccessRefused.
func (m *Client) Nodes(ctx context.Context) ([]NodeState, error) {
	var nodes []NodeState
	err := m.call(ctx, http.MethodGet, "/api/nodes", nil, &nodes)
	return nodes, err
}

// Host is the API's host and port, without credentials.
func (m *Client) Host() string {
	_, host, _ := strings.Cut(m.base, "://")
	return host
}
