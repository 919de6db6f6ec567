package gateway_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/gateway"
)

func TestARateIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *gateway.Config) { c.Rate = 1 })
	lines := strings.Repeat("{}\n", gateway.MaxEvents)
	header := map[string]string{"Content-Type": "application/x-ndjson"}
	if status, answer := s.ask("POST", "/v1/events", lines, header); status != 207 {
		t.Fatalf("want 207 for a batch within the burst, got %d %.200s", status, answer)
	}
	if status, answer := s.ask("POST", "/v1/events", lines, header); status != 429 {
		t.Errorf("want 429, got %d %.200s", status, answer)
	}
}

// dial opens a connection to the gateway and writes text.
func (s *site) dial(text string) net.Conn {
	s.Helper()
	c, err := new(net.Dialer).DialContext(s.Context(), "tcp", strings.TrimPrefix(s.at, "http://"))
	storetest.Must(s, err)
	s.Cleanup(func() { c.Close() })
	storetest.Must(s, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, text)
	storetest.Must(s, err)
	return c
}

func (s *site) header(length string) string {
	return "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.key + "\r\nContent-Type: application/json\r\n" + length + "\r\n"
}

// status reads the status of an answer; 0 when the connection ends without one.
func status(c net.Conn) int {
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	a.Body.Close()
	return a.StatusCode
}

func TestSlowAndEndlessRequestsAreCut(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *gateway.Config) {
		c.HeaderTime, c.RequestTime, c.Open = 200*time.Millisecond, 500*time.Millisecond, 1
	})
	if got := status(s.dial("POST /v1/events HTTP/1.1\r\nHost: x\r\n")); got != 0 && got != 408 {
		t.Errorf("a header that does not end: got %d", got)
	}
	slow := s.dial(s.header("Content-Length: 100\r\n"))
	storetest.Eventually(t, "the key's only request is open", func() bool { got, _ := s.ask("GET", "/v1/stock", "", nil); return got == 429 })
	if got := status(slow); got != 408 {
		t.Errorf("a body that does not come: got %d", got)
	}
	storetest.Eventually(t, "the key may ask again", func() bool { got, _ := s.ask("GET", "/v1/stock", "", nil); return got == 200 })

	endless := s.dial(s.header("Transfer-Encoding: chunked\r\n"))
	sent := 0
	for chunk := fmt.Sprintf("10000\r\n%s\r\n", strings.Repeat(" ", 0x10000)); ; sent += len(chunk) {
		if _, err := io.WriteString(endless, chunk); err != nil {
			break
		}
		if sent > 64<<20 {
			t.Fatal("64 MiB were taken of a body without an end")
		}
	}
}

// A request whose events wait for the commit when the gateway is told to stop is answered.
func TestStoppingFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	release := storetest.Lock(t, s.url, `LOCK TABLE admission IN ACCESS EXCLUSIVE MODE`)
	answered := make(chan int)
	go func() { got, _ := s.ask("POST", "/v1/events", sale(uuid.New()), asJSON); answered <- got }()
	storetest.Eventually(t, "the commit waits", func() bool {
		return storetest.Value[int](t, s.url, `SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) > 0
	})
	stopped := make(chan error)
	go func() { stopped <- s.stop() }()
	select {
	case <-stopped:
		t.Fatal("the gateway stopped with a request in hand")
	case <-time.After(50 * time.Millisecond): // nothing is waited for: it must not have stopped
	}
	release()
	if got := <-answered; got != 202 {
		t.Errorf("the request in hand is answered by %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Concurrent requests share transactions, and each is answered by its own outcome.
func TestRequestsAreCommittedTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *gateway.Config) { c.Open = 1000 })
	release := storetest.Lock(t, s.url, `LOCK TABLE admission IN ACCESS EXCLUSIVE MODE`)
	same := uuid.New()
	const requests = 60
	var group sync.WaitGroup
	got := make([]int, requests)
	for i := range requests {
		body := sale(uuid.New())
		switch i % 3 {
		case 1:
			body = strings.Replace(body, "2026-02", "2096-02", 1) // refused by its business time
		case 2:
			body = sale(same)
		}
		group.Go(func() { got[i], _ = s.ask("POST", "/v1/events", body, asJSON) })
	}
	storetest.Eventually(t, "two commits wait", func() bool {
		return storetest.Value[int](t, s.url, `SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 2
	})
	release()
	group.Wait()
	counts := map[int]int{}
	for _, status := range got {
		counts[status]++
	}
	if counts[202] != requests/3+1 || counts[422] != requests/3 || counts[200] != requests/3-1 {
		t.Errorf("the answers by status: %v", counts)
	}
	if n := storetest.Value[int](t, s.url, `SELECT count(DISTINCT tx) FROM event_log`); n > requests/3 {
		t.Errorf("%d transactions for %d events", n, s.logged())
	}
}

var rounds = flag.Int("rounds", 5, "how often TestNothingIsLostWhenTheDatabaseGoes cuts the database off")

// All that was acknowledged is in the log, once, however often the sessions of the database end under load.
func TestNothingIsLostWhenTheDatabaseGoes(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	proxy, through := storetest.Proxied(t, url)
	s := newSiteAt(t, url, storetest.Open(t, through, gateway.Connections), func(c *gateway.Config) { c.Open = 1000 })
	var mu sync.Mutex
	acknowledged, other := map[uuid.UUID]bool{}, map[int]int{}
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for id := uuid.New(); ; {
				got, _ := s.ask("POST", "/v1/events", sale(id), asJSON)
				mu.Lock()
				if got == 202 || got == 200 {
					acknowledged[id] = true
					id = uuid.New()
				} else if other[got]++; got != 503 {
					t.Errorf("got %d", got)
				}
				mu.Unlock()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acknowledged) }
	for i := range *rounds {
		before := count()
		storetest.Eventually(t, "events are acknowledged", func() bool { return count() >= before+20 })
		if i%2 == 0 {
			proxy.Cut()
		} else {
			storetest.EndSessions(url)
		}
	}
	close(stop)
	group.Wait()
	var ids []string
	for id := range acknowledged {
		ids = append(ids, id.String())
	}
	list := "{" + strings.Join(ids, ",") + "}"
	if n := storetest.Value[int](t, url, `SELECT count(*) FROM event_log WHERE event_id = ANY ($1::uuid[])`, list); n != len(ids) {
		t.Errorf("%d events are acknowledged, the log has %d of them", len(ids), n)
	}
	if n := storetest.Value[int](t, url, `SELECT count(*) - count(DISTINCT event_id) FROM event_log`); n != 0 {
		t.Errorf("%d events are in the log twice", n)
	}
	if other[503] == 0 {
		t.Error("no request saw the database go: the test shows nothing")
	}
}

// Whatever comes is answered by 2xx, 4xx or 503.
func FuzzPublish(f *testing.F) {
	for _, body := range []string{sale(uuid.Nil), "[" + sale(uuid.Max) + "]", payload, "", "[]", "{", zipped(sale(uuid.Nil)), `{"specversion":"1.0","id":"1","type":"SALE_COMPLETED","source":"x","subject":"s","data":` + payload + `}`} {
		for _, media := range []string{"application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"} {
			f.Add(media, "", "", []byte(body))
			f.Add(media, "gzip", "1.0", []byte(body))
		}
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, media, encoding, spec string, body []byte) {
		for _, value := range []string{media, encoding, spec} {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Skip("no header has it")
			}
		}
		of := *s
		of.TB = t
		got, answer := of.ask("POST", "/v1/events", string(body), map[string]string{
			"Content-Type": media, "Content-Encoding": encoding, "ce-specversion": spec, "ce-id": "1", "ce-type": "SALE_COMPLETED", "ce-source": "x", "ce-subject": "s",
		})
		if got/100 != 2 && got/100 != 4 && got != 503 {
			t.Errorf("got %d %s", got, answer)
		}
	})
}
