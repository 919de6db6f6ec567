package page_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	letterlog "github.com/composerp/composerp/cli/deadletters"
	"github.com/composerp/composerp/cli/page"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/deploy/chaos"
	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/deadletterlog"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

const token = "open-sesame-0123456789"

var (
	loopback  = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9464}
	elsewhere = &net.TCPAddr{IP: net.IPv4zero, Port: 9464}
)

// site is a page of an environment, served on loopback.
type site struct {
	*workertest.Env
	at  string
	log bytes.Buffer
}

// newSite serves the page of an environment without a broker, unless change gives it one.
func newSite(t *testing.T, env *workertest.Env, change func(*page.Config)) *site {
	t.Helper()
	s := &site{Env: env}
	cfg := page.Config{At: settings.Endpoints{Database: env.URL}, Broker: env.Broker, Address: loopback, Log: slog.New(slog.NewTextHandler(&s.log, nil))}
	if len(env.Broker.URLs) > 0 {
		cfg.At.AMQP = env.Broker.URLs[0]
	}
	if change != nil {
		change(&cfg)
	}
	cfg.DB = storetest.Open(t, cfg.At.Database, page.Connections)
	p := page.New(cfg)
	server := httptest.NewServer(p)
	t.Cleanup(func() { server.Close(); p.Close() })
	s.at = server.URL
	return s
}

// answer is a response without its body, which has been read.
type answer struct {
	Status     string
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

// ask is the answer to a request, which may be changed before it is sent, and its text.
func (s *site) ask(method, path string, body io.Reader, change func(*http.Request)) (answer, string) {
	s.Helper()
	r, err := http.NewRequest(method, s.at+path, body)
	s.Must(err)
	if change != nil {
		change(r)
	}
	response, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	s.Must(err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	s.Must(err)
	return answer{response.Status, response.StatusCode, response.Header, response.Cookies()}, string(raw)
}

// get is a page that is there.
func (s *site) get(path string) string {
	s.Helper()
	response, text := s.ask(http.MethodGet, path, nil, nil)
	if response.StatusCode != http.StatusOK {
		s.Fatalf("%s: %s\n%s", path, response.Status, text)
	}
	return text
}

// shows checks what a page has, and what it has not.
func (s *site) shows(path string, has, not []string) {
	s.Helper()
	text := s.get(path)
	for _, want := range has {
		if !strings.Contains(text, want) {
			s.Errorf("%s has no %q:\n%s", path, want, text)
		}
	}
	for _, other := range not {
		if strings.Contains(text, other) {
			s.Errorf("%s has %q:\n%s", path, other, text)
		}
	}
}

// A page that is served beyond loopback wants a token, as Bearer or by the form; without one it is closed.
func TestWhoMayOpenThePage(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	bearer := func(text string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
	}
	for _, c := range []struct {
		name   string
		at     net.Addr
		token  string
		change func(*http.Request)
		status int
	}{
		{"loopback", loopback, "", nil, http.StatusOK},
		{"loopback of IPv6", &net.TCPAddr{IP: net.IPv6loopback}, "", nil, http.StatusOK},
		{"loopback with a token", loopback, token, nil, http.StatusUnauthorized},
		{"elsewhere without a token", elsewhere, "", nil, http.StatusForbidden},
		{"elsewhere, an empty token is none", elsewhere, "", bearer(""), http.StatusForbidden},
		{"elsewhere, and the request has none", elsewhere, token, nil, http.StatusUnauthorized},
		{"elsewhere, and the request has it", elsewhere, token, bearer(token), http.StatusOK},
		{"elsewhere, and the request has a part of it", elsewhere, token, bearer(token[:10]), http.StatusUnauthorized},
		{"the token as cookie", elsewhere, token, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "composerp_page", Value: token}) }, http.StatusUnauthorized},
	} {
		s := newSite(t, env, func(cfg *page.Config) { cfg.Address, cfg.Token = c.at, func() string { return c.token } })
		for _, path := range []string{"/", "/story?q=S1", "/letters", "/workers", "/proof", "/planner"} {
			response, text := s.ask(http.MethodGet, path, nil, c.change)
			if response.StatusCode != c.status {
				t.Errorf("%s, %s: %s, want %d\n%s", c.name, path, response.Status, c.status, text)
			}
			if c.status != http.StatusOK && strings.Contains(text, "<nav") {
				t.Errorf("%s, %s: refused, and shows\n%s", c.name, path, text)
			}
		}
	}
}

// The form sets a cookie that scripts and other sites do not get, that is not the token, and that opens the part that
// was asked for.
func TestTheFormOfTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, workertest.NewDatabaseEnv(t), func(cfg *page.Config) { cfg.Address, cfg.Token = elsewhere, func() string { return token } })
	post := func(path, value string) (answer, string) {
		return s.ask(http.MethodPost, path, strings.NewReader(url.Values{"token": {value}}.Encode()), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
	}
	for _, wrong := range []string{"", "x", token + "x", strings.Repeat("x", 1<<20)} {
		if response, _ := post("/", wrong); response.StatusCode != http.StatusUnauthorized || len(response.cookies) != 0 {
			t.Errorf("a wrong token of %d bytes: %s, %v", len(wrong), response.Status, response.cookies)
		}
	}
	response, _ := post("/story?q=S1&tenant=acme", token)
	if to := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || to != "/story?q=S1&tenant=acme" {
		t.Fatalf("the token leads to %q with %s", to, response.Status)
	}
	cookies := response.cookies
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Value == "" || strings.Contains(cookies[0].Raw, token) {
		t.Fatalf("the form sets %+v", cookies)
	}
	response, text := s.ask(http.MethodGet, "/story?q=S1", nil, func(r *http.Request) { r.AddCookie(cookies[0]) })
	if response.StatusCode != http.StatusOK || strings.Contains(text, token) {
		t.Errorf("with the cookie: %s\n%s", response.Status, text)
	}
	if other := newSite(t, s.Env, func(cfg *page.Config) { cfg.Token = func() string { return token + "x" } }); other != nil {
		if response, _ := other.ask(http.MethodGet, "/", nil, func(r *http.Request) { r.AddCookie(cookies[0]) }); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("the cookie of another token: %s", response.Status)
		}
	}
	if response, _ := post("//evil.example/", token); response.StatusCode == http.StatusSeeOther {
		t.Errorf("the form leads to %s", response.Header.Get("Location"))
	}
	if strings.Contains(s.log.String(), token) {
		t.Errorf("the log has the token: %s", &s.log)
	}
}

// A token that is renewed opens the page at the next request, and the one before opens it no more.
func TestARenewedToken(t *testing.T) {
	t.Parallel()
	var current atomic.Value
	current.Store(token)
	s := newSite(t, workertest.NewDatabaseEnv(t), func(cfg *page.Config) {
		cfg.Address, cfg.Token = elsewhere, func() string { return current.Load().(string) }
	})
	with := func(bearer string) int {
		response, _ := s.ask(http.MethodGet, "/story?q=S1", nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+bearer) })
		return response.StatusCode
	}
	if with(token) != http.StatusOK || with(token+"2") != http.StatusUnauthorized {
		t.Error("the first token does not hold")
	}
	current.Store(token + "2")
	if with(token) != http.StatusUnauthorized || with(token+"2") != http.StatusOK {
		t.Error("the second token does not hold")
	}
}

// A browser that another site has led here by a name of its own is refused, and nothing of a document runs.
func TestOtherSitesCannotUseThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t, workertest.NewDatabaseEnv(t), func(cfg *page.Config) { cfg.Hosts = []string{"Fleet.example.com"} })
	for host, known := range map[string]bool{
		"localhost:9464": true, "127.0.0.1": true, "[::1]:9464": true, "192.0.2.7:9464": true, "fleet.example.com": true, "FLEET.example.com:80": true,
		"evil.example": false, "127.0.0.1.evil.example:9464": false, "localhost.evil.example": false, "xfleet.example.com": false,
	} {
		response, text := s.ask(http.MethodGet, "/", nil, func(r *http.Request) { r.Host = host })
		if want := map[bool]int{true: http.StatusOK, false: http.StatusMisdirectedRequest}[known]; response.StatusCode != want {
			t.Errorf("as %s: %s, want %d\n%s", host, response.Status, want, text)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		if response, _ := s.ask(method, "/", nil, nil); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, response.Status)
		}
	}
	response, text := s.ask(http.MethodGet, "/no/such/part", nil, nil)
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("a path of nothing: %s", response.Status)
	}
	policy := response.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q has no %s", policy, want)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, " style=") {
		t.Errorf("the page needs what its policy forbids:\n%s", text)
	}
}

// hostile is an id that would be markup in a page, and several words in a shell.
const hostile = `<b onload=x>'; rm -rf ~ #`

// A story is the whole tree: what each worker has made of each event, with its failures, and what has not happened.
// What events and errors say is text.
func TestAStory(t *testing.T) {
	t.Parallel()
	picky := worker.New("picky", worker.On(func(context.Context, *worker.Tx, event.Of[event.InventoryUpdated]) error {
		return worker.Reject(errors.New("no <i>price</i> for it"))
	}))
	fleet := []worker.Worker{ledger.New(), picky, deadletterlog.New()}
	env := workertest.NewEnv(t, fleet...)
	s := newSite(t, env, nil)
	env.StartFleet(fleet...)
	sale := workertest.Event(t, event.SaleCompleted{SaleID: hostile, ItemID: "TEA", LocationID: "SHOP-1", Quantity: workertest.Decimal("2"), Amount: workertest.Decimal("5"), Timestamp: workertest.Day},
		func(e *event.Envelope) { e.AggregateID = hostile })
	env.Admit(sale)
	path := "/story?" + url.Values{"q": {hostile}}.Encode()
	workertest.Eventually(t, "the story is complete", func() bool {
		_, text := s.ask(http.MethodGet, path, nil, nil)
		return strings.Contains(text, ">dead</span>") && strings.Contains(text, "picky")
	})
	id := sale.ID.String()
	s.shows(path, []string{
		"SALE_COMPLETED", "INVENTORY_UPDATED", "2 events", id, "&lt;b onload=x&gt;", "2024-03-01 10:00:00 UTC</time> business time",
		`>handled</span>`, `>dead</span> <span class="quiet">since 20`, "no &lt;i&gt;price&lt;/i&gt; for it", "composerp dlq show ", "composerp events show " + id,
	}, []string{"<b onload", "<i>price"})
	s.shows("/story?q="+id, []string{"2 events", "Not yet"}, nil)
	letter := storetest.DeadLetters(t, env.DB)[0]
	s.shows("/letters", []string{
		"1 dead letter<", "picky: INVENTORY_UPDATED", "composerp dlq show " + letter.ID.String(), "Not rehearsed",
		"composerp dlq redrive --queue picky --error " + letter.Fingerprint + " --type INVENTORY_UPDATED --tenant acme --dry-run",
	}, []string{"<i>price"})
	s.shows("/", []string{"1 dead letter waits for a decision"}, nil)
	s.shows("/story?q=S-unknown", []string{"has no event that is or mentions S-unknown"}, nil)
	s.shows("/story?"+url.Values{"q": {`x'; y`}}.Encode(), []string{"mentions x&#39;; y"}, nil)
	s.shows("/story?q="+strings.Repeat("x", 300), []string{"<h1>Story of xxx"}, []string{"2 events"})
}

// A handled delivery has its time: exactly where it was late, and else that it was not; one that waits says since when.
func TestTimesInAStory(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	s := newSite(t, env, nil)
	sale := workertest.Sale(t, "TEA", "SHOP-1", "1")
	env.Admit(sale)
	path := "/story?tenant=acme&q=" + sale.ID.String()
	if _, err := workertest.Handle(t, env.DB, ledger.New(), sale); err != nil {
		t.Fatal(err)
	}
	s.shows(path, []string{`handled</span> <span class="quiet">within 1s</span>`}, []string{"mostly"})
	born := storetest.One[time.Time](t, env.SQL(), `SELECT logged_at FROM event_log`)
	spent := delay.Since(born)
	spent.Until(delay.Queue, born.Add(time.Minute))
	spent.Until(delay.Handling, born.Add(90*time.Second))
	env.Must(env.InTx(t.Context(), func(tx store.Tx) error {
		return delays.Record(t.Context(), tx, "ledger", born.Add(90*time.Second), []delays.Late{{EventID: sale.ID, Times: spent}})
	}))
	s.shows(path, []string{", after 1m30s, mostly queue</span>", "composerp events explain-delay " + sale.ID.String()}, []string{"within 1s"})
}

// A story of many events is drawn in part, and says which command has the rest.
func TestALongStoryIsCut(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	s := newSite(t, env, nil)
	root := workertest.Sale(t, "TEA", "SHOP-1", "1")
	all := []event.Any{root}
	for i := range 230 {
		all = append(all, workertest.Event(t, event.SaleCompleted{SaleID: fmt.Sprint("S", i), ItemID: "TEA", LocationID: "SHOP-1", Quantity: workertest.Decimal("1"), Amount: workertest.Decimal("1"), Timestamp: workertest.Day},
			func(e *event.Envelope) {
				e.Metadata.CorrelationID, e.Metadata.CausationID = root.ID.String(), root.ID.String()
			}))
	}
	env.Admit(all...)
	path := "/story?tenant=acme&q=" + root.ID.String()
	s.shows(path, []string{"<h2>231 events", "31 events more; <code class=\"do\">composerp events trace " + root.ID.String()}, nil)
	if drawn := strings.Count(s.get(path), "<article"); drawn != 200 {
		t.Errorf("%d events are drawn", drawn)
	}
	if all := s.get("/story?tenant=acme&q=TEA"); !strings.Contains(all, "These are the newest that mention TEA") {
		t.Errorf("a search for an item does not say that there is more:\n%s", all)
	}
}

// A tenant sees its own events, letters and stock; letters that name no tenant are shown with each.
func TestOneTenantAtATime(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	s := newSite(t, env, nil)
	of := func(tenant, item string) {
		sale := workertest.Event(t, event.SaleCompleted{SaleID: "S1", ItemID: item, LocationID: "SHOP-1", Quantity: workertest.Decimal("2"), Amount: workertest.Decimal("5"), Timestamp: workertest.Day},
			func(e *event.Envelope) { e.TenantID, e.AggregateID = tenant, "S1" })
		env.Admit(sale)
		if _, err := workertest.Handle(t, env.DB, ledger.New(), sale); err != nil {
			t.Fatal(err)
		}
		record(env, failures.DeadLetter{ID: uuid.New(), Consumer: "ledger", Type: "SALE_COMPLETED", Error: "refused for " + tenant, DiedAt: storetest.Morning,
			Body: fmt.Appendf(nil, `{"tenantId":%q,"aggregateId":"S2"}`, tenant)})
	}
	of("acme", "ACME-TEA")
	of("zenith", "ZENITH-CUP")
	record(env, failures.DeadLetter{ID: uuid.New(), Consumer: "ledger", Error: "cannot be read", DiedAt: storetest.Morning, Body: []byte("not JSON")})
	for tenant, other := range map[string]string{"acme": "zenith", "zenith": "acme"} {
		item, others := strings.ToUpper(tenant), strings.ToUpper(other)
		s.shows("/story?q=S1&tenant="+tenant, []string{item, "<option selected>" + tenant}, []string{others + "-"})
		s.shows("/letters?tenant="+tenant, []string{"2 dead letters", "refused for " + tenant, "cannot be read"}, []string{"refused for " + other})
	}
	s.shows("/", []string{"<option selected>acme"}, nil)
	s.shows("/letters?tenant=unknown", []string{"<option selected>unknown", "1 dead letter<"}, []string{"refused for"})
}

// record adds letters to the dead-letter log.
func record(env *workertest.Env, letters ...failures.DeadLetter) {
	env.Helper()
	env.Must(env.InTx(env.Context(), func(tx store.Tx) error { return failures.RecordDeadLetters(env.Context(), tx, letters) }))
}

// A rehearsal is shown with the letters that it had among its own, as long as none has died since; a redrive with how
// many went back, and how many are back again.
func TestRehearsalsAndRedrives(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	s := newSite(t, env, nil)
	body := []byte(`{"tenantId":"acme","aggregateId":"S2"}`)
	old := failures.DeadLetter{ID: uuid.New(), Consumer: "ledger", Type: "SALE_COMPLETED", Error: "no price", DiedAt: storetest.Morning, Body: body}
	record(env, old)
	fingerprint := storetest.DeadLetters(t, env.DB)[0].Fingerprint
	rehearse := func(queue string, fails int, of map[string]any) {
		env.Must(operatorlog.NoteAlone(t.Context(), env.DB, operatorlog.By{Operator: "ann"}, letterlog.ActionRehearse, queue, nil,
			letterlog.Rehearsed{Of: of, Rehearsed: 3, Passes: 3 - fails, Fails: fails}))
	}
	rehearse("composerp.lots.dead", 0, nil)
	rehearse("composerp.ledger.dead", 0, map[string]any{"error": "other"})
	rehearse("composerp.ledger.dead", 0, map[string]any{"ids": []string{"x"}})
	rehearse("composerp.ledger.dead", 0, map[string]any{"tenant": "zenith"})
	s.shows("/letters?tenant=acme", []string{"Not rehearsed since the last of them died"}, []string{"would pass"})
	rehearse("composerp.ledger.dead", 1, map[string]any{"error": fingerprint, "tenant": "acme"})
	s.shows("/letters?tenant=acme", []string{"2 of 3 would pass", "1 would fail again"}, []string{"Not rehearsed"})
	record(env, failures.DeadLetter{ID: uuid.New(), Consumer: "ledger", Type: "SALE_COMPLETED", Error: "no price", DiedAt: time.Now().Add(time.Minute), Body: body})
	s.shows("/letters?tenant=acme", []string{"Not rehearsed since the last of them died"}, []string{"would pass"})

	s.shows("/letters?tenant=acme", []string{"<h2>Redrives of the last day</h2>\n<p class=\"quiet\">None."}, nil)
	env.Must(failures.MarkDeadLetters(t.Context(), env.DB, failures.Redriven, []uuid.UUID{old.ID}))
	s.shows("/letters?tenant=acme", []string{`data-of="Went back">1<`, `data-of="Failed again">0<`, `data-of="Left">1<`, `data-of="Speed">–<`, ">goes on<"}, nil)

	// Ten more have gone back in the nine seconds before, and one an hour ago: of an earlier redrive.
	for i := range 11 {
		l := failures.DeadLetter{ID: uuid.New(), Consumer: "ledger", Error: "no price", DiedAt: storetest.Morning, Body: body}
		record(env, l)
		env.Must(failures.MarkDeadLetters(t.Context(), env.DB, failures.Redriven, []uuid.UUID{l.ID}))
		before := time.Duration(i) * time.Second
		if i == 10 {
			before = time.Hour
		}
		storetest.Exec(t, env.URL, fmt.Sprintf(`UPDATE dead_letter SET redriven_at = (SELECT redriven_at FROM dead_letter WHERE id = '%s') - make_interval(secs => %v) WHERE id = '%s'`, old.ID, before.Seconds(), l.ID))
	}
	s.shows("/letters?tenant=acme", []string{`data-of="Went back">11 of 12 in a day<`, `data-of="Speed">1.2 /s<`, "goes on, needs 818ms for all that are left"}, nil)
	storetest.Exec(t, env.URL, `UPDATE dead_letter SET redriven_at = redriven_at - interval '1 minute'`)
	s.shows("/letters?tenant=acme", []string{">stands since 1m"}, []string{"goes on"})
}

// What is proven stands there with its age, and the runs of chaos that the fleet's directory has.
func TestProof(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	dir := t.TempDir()
	s := newSite(t, env, func(cfg *page.Config) { cfg.Dir = dir })
	s.shows("/proof", []string{"Nothing is proven yet", "composerp audit", "No runs are recorded", filepath.Join(dir, page.ChaosFile)}, nil)
	env.Exec(`INSERT INTO audit_checkpoint (id, previous, epoch, snapshot, floor, generation, admission_file, admission_end, movement_file, movement_end, tallies, made_at)
		VALUES (1, 0, 1, '1:1:', 0, 1, 0, '(0,0)', 0, '(0,0)', '{"events":{"SALE_COMPLETED":1200,"INVENTORY_UPDATED":34},"published":34,"handled":{"ledger":1200}}', now() - interval '3 hours')`)
	s.shows("/proof", []string{"Proven 3h0m ago", "each of 1,234 events", `data-of="Handled">1,200<`}, nil)
	path := filepath.Join(dir, page.ChaosFile)
	env.Must(chaos.Append(path, chaos.Report{Seed: 7, Version: "v1", Events: 1000, Verdict: chaos.Clean, Faults: map[string]chaos.Tally{"kill": {Injected: 2}}}))
	env.Must(chaos.Append(path, chaos.Report{Seed: 8, Version: "v1", Events: 500, Lost: 1, Verdict: "findings"}))
	s.shows("/proof", []string{"2 runs, 1 clean", "2 faults", "1,500 events, 1 lost, 0 applied twice", `data-of="Seed">8<`}, nil)
	env.Must(os.WriteFile(path, []byte("no JSON\n"), 0o600))
	s.shows("/proof", []string{"Proven 3h0m ago", "the runs cannot be read"}, nil)
}

// A database that is away or hangs is said with status 503 and what to do, in a bounded time, and is well again when it
// is back; too many requests wait for nothing.
func TestThePageOfADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	link := workertest.NewLink(t, env.URL)
	s := newSite(t, env, func(cfg *page.Config) { cfg.At.Database = link.URL })
	s.get("/planner")
	link.Break()
	for _, path := range []string{"/", "/story?q=S1", "/letters", "/workers", "/proof", "/planner"} {
		response, text := s.ask(http.MethodGet, path, nil, nil)
		if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "the database is not available") || !strings.Contains(text, "start PostgreSQL") {
			t.Errorf("%s: %s\n%s", path, response.Status, text)
		}
		if strings.Contains(text, "goroutine") || strings.Contains(text, ".go:") {
			t.Errorf("%s shows its inside:\n%s", path, text)
		}
	}
	link.Restore()
	s.get("/planner")
	link.Set(proxy.Weather{HoldUp: true})
	answers := make(chan int, 8)
	for range cap(answers) {
		go func() {
			response, err := http.Get(s.at + "/planner")
			if err != nil {
				answers <- 0
				return
			}
			response.Body.Close()
			answers <- response.StatusCode
		}()
	}
	for range cap(answers) {
		if status := workertest.Wait(t, "an answer", answers); status != http.StatusServiceUnavailable {
			t.Errorf("a database that hangs: status %d", status)
		}
	}
	link.Set(proxy.Weather{})
	link.Cut()
	s.get("/planner")
}

// A broker that is away hides no more than the numbers of its queues.
// What the broker lacks of the fleet stands on the first part, as the watchdog says it, and so does a queue that
// is paused.
func TestWhatStopsEventsIsNamed(t *testing.T) {
	t.Parallel()
	all := workers.Fleet(workers.Config{})
	var subscriptions []topology.Subscription
	for _, w := range all {
		subscriptions = append(subscriptions, w.Subscription())
	}
	env := workertest.NewEnv(t, all...)
	s := newSite(t, env, func(cfg *page.Config) {
		cfg.At.Management, cfg.Plan = localtest.Broker(t).ManagementURL, watchdog.NewPlan(subscriptions, nil)
	})
	s.shows("/", nil, []string{"missing"})
	env.DeleteQueue(topology.RetryQueueName("ledger", 5*time.Second))
	if _, err := scaling.Pause(t.Context(), env.DB, operatorlog.By{Operator: "ann"}, "ledger", true); err != nil {
		t.Fatal(err)
	}
	workertest.Eventually(t, "the page names what is missing", func() bool {
		text := s.get("/")
		return strings.Contains(text, "Events do not flow everywhere") && strings.Contains(text, "composerp.ledger.retry.5s is missing") &&
			strings.Contains(text, "composerp topology apply") && strings.Contains(text, "ledger is paused: paused by ann")
	})
}

func TestThePageOfABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	env := workertest.NewEnv(t, ledger.New())
	link := workertest.NewLink(t, env.Broker.URLs[0])
	s := newSite(t, env, func(cfg *page.Config) {
		cfg.At.AMQP, cfg.Broker.URLs = link.URL, []string{link.URL}
	})
	link.Break()
	s.shows("/workers", []string{"queues are not counted: ", "<strong>ledger</strong>"}, nil)
	s.shows("/", []string{"Events do not flow everywhere", "queues are not counted: ", "Business of"}, []string{"does not run"})
	s.shows("/letters", []string{"0 dead letters"}, nil)
	link.Set(proxy.Weather{HoldUp: true})
	began := time.Now()
	s.shows("/", []string{"not counted: ", "Business of"}, nil)
	if took := time.Since(began); took > localtest.Deadline(10*time.Second) {
		t.Errorf("a broker that hangs holds the page for %s", took)
	}
}
