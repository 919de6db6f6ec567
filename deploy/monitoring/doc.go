// Package monitoring has the fleet's dashboards and alerts as two lists, Dashboards and Alerts, and makes of them what
// Grafana, Prometheus and people read: dashboards, a console page, rules with their unit tests, a reference page. It
// also starts a Prometheus of its own for `composerp up --observe`.
//
// Invariants:
//
//   - Every panel is one query, and a test runs each against a real Prometheus with a real fleet: it returns data.
//   - Every alert has series at which it fires and series at which it does not, and promtool runs both.
//   - What is made is checked in. A test says when it is stale; `go generate` writes it.
//   - A query names only metrics that RabbitMQ 3.10 and 4.x both have.
//
// A Prometheus that Start has started ends with this process, however it ends. Its data stays in its directory, and it
// recovers what a crash left there by itself. Its files are written anew at each start. Without it the fleet goes on.
package monitoring

//go:generate go test -run TestGenerated -count 1 . -update
