package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// behaviour is how the supplier answers.
type behaviour int

const (
	serving   behaviour = iota
	busy                // 503 with Retry-After
	hangingUp           // hangs up, half of the time after it has taken the order
)

// supplier takes orders by HTTP. It identifies an order by its Idempotency-Key: the same order again gets 409. It
// refuses an order at most once, so that no order has to wait for the long retry delays.
type supplier struct {
	address string
	server  *http.Server

	mu        sync.Mutex
	now       behaviour
	taken     map[string][sha256.Size]byte // by key, the content
	refused   map[string]int
	calls     supplierCalls
	conflicts []string
}

// supplierCalls counts the calls that the supplier got.
type supplierCalls struct {
	All     int `json:"all"`
	Taken   int `json:"taken"`  // orders
	Known   int `json:"known"`  // the same order again
	Refused int `json:"turned"` // refused or cut off
}

const maxRefusals = 1

// openSupplier takes orders until ctx ends.
func openSupplier(ctx context.Context) (*supplier, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the supplier's orders: %w", err)
	}
	s := &supplier{address: "http://" + l.Addr().String() + "/orders", taken: map[string][sha256.Size]byte{}, refused: map[string]int{}}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { s.server.Close() })
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

// behaving has the supplier answer like this, until the heal.
func behaving(m behaviour) injection {
	return func(_ context.Context, env *environment, _ uint64) (heal, error) {
		env.supplier.behave(m)
		return func(context.Context) error { env.supplier.behave(serving); return nil }, nil
	}
}

func (s *supplier) behave(m behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = m
}

// ServeHTTP takes or refuses an order.
func (s *supplier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	key := r.Header.Get("Idempotency-Key")
	if err != nil || key == "" {
		http.Error(w, "want an order and its Idempotency-Key", http.StatusBadRequest)
		return
	}
	status, away := s.take(key, sha256.Sum256(body))
	if away {
		panic(http.ErrAbortHandler) // hangs up without an answer
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(1))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"supplierReference": key})
}

func (s *supplier) take(key string, content [sha256.Size]byte) (status int, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.All++
	refusing := s.now != serving && s.refused[key] < maxRefusals
	if refusing {
		s.refused[key]++
		s.calls.Refused++
		if s.now == busy {
			return http.StatusServiceUnavailable, false
		}
		if s.calls.All%2 == 0 {
			return 0, true
		}
	}
	before, known := s.taken[key]
	switch {
	case known && before != content:
		s.conflicts = append(s.conflicts, fmt.Sprintf("the supplier got two orders under the key %s", key))
		return http.StatusUnprocessableEntity, refusing
	case known:
		s.calls.Known++
		return http.StatusConflict, refusing
	}
	s.taken[key] = content
	s.calls.Taken++
	return http.StatusOK, refusing
}

// account gives the calls so far, the keys of the orders taken, and the conflicts between orders.
func (s *supplier) account() (calls supplierCalls, taken map[string][sha256.Size]byte, conflicts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls, maps.Clone(s.taken), slices.Clone(s.conflicts)
}
