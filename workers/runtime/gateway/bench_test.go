package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/gateway"
)

// BenchmarkSingleEvents holds the gateway against a handler that only reads the body, and one that inserts each body by
// a statement of its own, in one run: 64 clients, an event a request.
//
//	go run ./deploy/local/withservers -- go test ./workers/runtime/gateway -run XXX -bench SingleEvents -benchtime 5s
func BenchmarkSingleEvents(b *testing.B) {
	const clients = 64
	s := newSite(b, func(c *gateway.Config) { c.Open, c.Rate = 1000, 10_000_000 })
	env := storetest.NewEnv(b, 16)
	env.Exec(`CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)`)
	insert, err := env.SQL().PrepareContext(b.Context(), `INSERT INTO bare (body) VALUES ($1)`)
	storetest.Must(b, err)
	defer insert.Close()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer bare.Close()
	each := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, err := insert.ExecContext(r.Context(), string(body)); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer each.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	for _, c := range []struct{ name, at string }{{"bare", bare.URL}, {"insert", each.URL}, {"gateway", s.at}} {
		b.Run(c.name, func(b *testing.B) {
			var left atomic.Int64
			left.Store(int64(b.N))
			took := make([][]time.Duration, clients)
			var group sync.WaitGroup
			b.ResetTimer()
			for i := range clients {
				group.Go(func() {
					for left.Add(-1) >= 0 {
						began := time.Now()
						if status := publishOnce(b, client, c.at, s.key); status != http.StatusAccepted {
							b.Errorf("got %d", status)
							return
						}
						took[i] = append(took[i], time.Since(began))
					}
				})
			}
			group.Wait()
			b.StopTimer()
			all := slices.Concat(took...)
			slices.Sort(all)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

func publishOnce(b *testing.B, client *http.Client, at, key string) int {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, at+"/v1/events", strings.NewReader(sale(uuid.New())))
	storetest.Must(b, err)
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	a, err := client.Do(r)
	if err != nil {
		b.Error(fmt.Errorf("publishing: %w", err))
		return 0
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body)
	return a.StatusCode
}
