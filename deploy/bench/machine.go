package bench

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/composerp/composerp/exchange/management"
)

// Machine describes the machine of a measurement.
type Machine struct {
	CPUs      int     `json:"cpus"`
	Model     string  `json:"model,omitempty"`
	MemoryGiB float64 `json:"memoryGiB,omitzero"`
	OS        string  `json:"os"`
}

func (m Machine) String() string {
	text := fmt.Sprintf("%d cores", m.CPUs)
	if m.Model != "" {
		text += " of " + m.Model
	}
	if m.MemoryGiB > 0 {
		text += fmt.Sprintf(", %.0f GiB", m.MemoryGiB)
	}
	return text + ", " + m.OS
}

// ThisMachine describes the machine that this process runs on.
func ThisMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH}
	m.Model = valueIn("/proc/cpuinfo", "model name")
	kilobytes, _ := strconv.ParseFloat(strings.TrimSuffix(valueIn("/proc/meminfo", "MemTotal"), " kB"), 64)
	m.MemoryGiB = kilobytes / (1 << 20)
	return m
}

// valueIn gives the value of a "key: value" line of a file, "" when there is none.
func valueIn(file, key string) string {
	raw, _ := os.ReadFile(file)
	for line := range strings.Lines(string(raw)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// ServerVersions are the versions of PostgreSQL and RabbitMQ by these names; one that does not answer is left out.
func ServerVersions(ctx context.Context, db *sql.DB, broker *management.Client) map[string]string {
	found := map[string]string{}
	var database string
	if db.QueryRowContext(ctx, `SHOW server_version`).Scan(&database) == nil {
		found["PostgreSQL"], _, _ = strings.Cut(database, " ")
	}
	if overview, err := broker.Overview(ctx); err == nil {
		found["RabbitMQ"] = overview.Version
	}
	return found
}

// versions are the versions of the servers, Go and the drivers.
func (s *servers) versions(ctx context.Context) map[string]string {
	found := ServerVersions(ctx, s.admin, s.management)
	found["Go"] = strings.TrimPrefix(runtime.Version(), "go")
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			switch module.Path {
			case "github.com/rabbitmq/amqp091-go", "github.com/lib/pq", "github.com/jmoiron/sqlx":
				found[module.Path[strings.LastIndexByte(module.Path, '/')+1:]] = strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return found
}
