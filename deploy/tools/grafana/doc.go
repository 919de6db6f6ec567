// Package grafana checks the dashboards of deploy/grafana offline: it decodes each strictly into Grafana's own types.
// It has tests only.
package grafana
