package alert_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/notifications"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// receiver is an HTTP server that receives notifications.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	posts  []post
}

type post struct {
	path, key, contentType string
	body                   []byte
	signed                 bool
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	l := &receiver{status: http.StatusOK}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.posts = append(l.posts, post{r.Method + " " + r.URL.Path, r.Header.Get("Idempotency-Key"), r.Header.Get("Content-Type"), body, r.Header.Get("Webhook-Signature") != ""})
		w.WriteHeader(l.status)
	}))
	t.Cleanup(l.Close)
	return l
}

// answers makes every further call be answered so.
func (l *receiver) answers(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}

func (l *receiver) received() []post {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.posts)
}

func low(t testing.TB, available string) event.Any {
	t.Helper()
	return workertest.Event(t, event.InventoryLowStock{
		ItemID: "cup", LocationID: "shop", Available: workertest.Decimal(available), Threshold: workertest.Decimal("10"),
	})
}

func expiring(t testing.TB) event.Any {
	t.Helper()
	return workertest.Event(t, event.LotExpiring{
		ItemID: "milk", LocationID: "shop", LotNumber: "L-1", Quantity: workertest.Decimal("2.5"), ExpiryDate: "2024-03-09",
	})
}

// endWaits makes open circuits half-open at once, as after their wait.
func endWaits(t testing.TB, url string) {
	t.Helper()
	storetest.Exec(t, url, `UPDATE dependency SET opens_at = clock_timestamp()`)
}

// rows are the table's rows as "channel delivered attempts answer", sorted.
func rows(t testing.TB, db *store.DB) []string {
	t.Helper()
	rows, err := notifications.List(t.Context(), db, "", false, 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, n := range rows {
		told := "undelivered"
		if n.Delivered {
			told = "delivered"
		}
		lines = append(lines, strings.Join([]string{n.Channel, told, strings.Repeat("i", n.Attempts), n.Answer}, " "))
	}
	slices.Sort(lines)
	return lines
}
