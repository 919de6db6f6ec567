package cli_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/composerp/composerp/deploy/local/localtest"
)

// axeScript is where `make setup-tests` leaves axe-core.
const axeScript = "../deploy/tools/axe/node_modules/axe-core/axe.min.js"

// browser is a headless Chromium with one tab.
type browser struct {
	*testing.T
	within func() (context.Context, context.CancelFunc) // the tab's context, for one action
	axe    string                                       // the source of axe-core

	mu     sync.Mutex
	errors []string // of the tab's console
}

// newBrowser starts a browser, or skips the test where there is none.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	axe, missing := os.ReadFile(axeScript)
	if err = cmp.Or(err, missing); err != nil {
		if os.Getenv("COMPOSERP_NO_SKIP") != "" {
			t.Fatalf("a browser and axe-core must be here: %v; make setup-tests", err)
		}
		t.Skipf("SKIPPED, AND NOT PROVEN: no browser, or no axe-core (%v); make setup-tests installs both", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Env("HOME="+t.TempDir()), chromedp.WSURLReadTimeout(localtest.Deadline(time.Minute)))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	b := &browser{T: t, axe: string(axe)}
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Listen(ctx, b.collect); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	b.within = func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, localtest.Deadline(time.Minute))
	}
	return b
}

// collect keeps what the console calls an error: what a policy forbids, what a page lacks, what a script throws.
func (b *browser) collect(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			text = e.Entry.Text + " " + e.Entry.URL
		}
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	}
	if text != "" {
		b.mu.Lock()
		b.errors = append(b.errors, text)
		b.mu.Unlock()
	}
}

// complaints are the console's errors since the last call.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := b.errors
	b.errors = nil
	return found
}

// act carries out an action of the tab.
func act[T any](b *browser, what string, action chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := b.within()
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	return value
}

// look sets how wide the tab is, and whether its user wants it dark.
func (b *browser) look(width int64, scheme string) {
	b.Helper()
	act(b, "setting the width", chromedp.EmulateViewport(width, 900))
	act(b, "setting the colours", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// open opens a page, and returns the text that is drawn.
func (b *browser) open(address string) string {
	b.Helper()
	act(b, "opening "+address, chromedp.Navigate(address))
	return act(b, "reading "+address, chromedp.Evaluate[string](`document.body.innerText`))
}

// fits fails the test where the page is wider than the tab.
func (b *browser) fits(page string) {
	b.Helper()
	if wide := act(b, "measuring", chromedp.Evaluate[[]string](`
		document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
			.filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 120)).slice(0, 5)`)); len(wide) > 0 {
		b.Errorf("%s is wider than its tab: %q", page, wide)
	}
}

// isAccessible fails the test for each violation of axe-core's rules, contrast among them.
func (b *browser) isAccessible(page string) {
	b.Helper()
	act(b, "loading axe-core", chromedp.Evaluate[any](b.axe+"; null"))
	for _, v := range act(b, "running axe-core", chromedp.Evaluate[[]string](`
		axe.run().then((r) => r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html.slice(0, 120)).slice(0, 3).join(" | ")))`, chromedp.EvalAwaitPromise)) {
		b.Errorf("%s: %s", page, v)
	}
}

// background is how light the background of the page is, from 0 to 255.
func (b *browser) background() int {
	b.Helper()
	return act(b, "measuring the background", chromedp.Evaluate[int](`Math.max(...getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).map(Number))`))
}

// busyShop is a fleet with an order to decide, low stock, a rehearsed dead letter and a proof.
func busyShop(t *testing.T) (h *environment, up *fleet) {
	h = newEnvironment(t)
	tutorial, err := filepath.Abs("../docs/tutorial")
	if err != nil {
		t.Fatal(err)
	}
	up = h.up("--observe")
	h.ok("stock", "import", filepath.Join(tutorial, "count.csv"), "--at", "2026-03-02T06:00:00Z")
	h.ok("supplier", "import", filepath.Join(tutorial, "suppliers.csv"))
	h.ok("rule", "import", filepath.Join(tutorial, "rules.csv"))
	h.ok("import", filepath.Join(tutorial, "sales.csv"), "--map", filepath.Join(tutorial, "till.yaml"))
	h.soon("an order waits", func() bool { return strings.Contains(h.ok("po", "list", "--status", "pending").out, "PO-2026-000001") })
	h.ok("audit")
	h.bury("ledger", "3f0a5ad2-6a6b-4d4f-8f3e-0d3a4a3f9c10", `{"eventId":"3f0a5ad2-6a6b-4d4f-8f3e-0d3a4a3f9c10","tenantId":"default","aggregateId":"S-<i>1"}`, "no <script>price</script> is known", "12:00:00Z")
	h.soon("the letter is recorded", func() bool { return strings.Contains(h.ok("dlq", "list").out, "price") })
	if r := h.run("dlq", "redrive", "--queue", "ledger", "--dry-run"); !strings.Contains(r.out, "WOULD FAIL") {
		t.Fatalf("the rehearsal: exit %d, %s%s", r.code, r.out, r.errors)
	}
	h.ok("publish", "SALE_COMPLETED", "--data", fmt.Sprintf(`{"saleId":%q,"itemId":%[1]q,"locationId":%[1]q,"quantity":1,"amount":1,"timestamp":"2026-03-04T12:00:00Z"}`, longID))
	return h, up
}

// longID is the longest id that an event may have, without a place to break it.
var longID = strings.Repeat("W", 64)

// served is an address that a part of the fleet prints behind a word.
func (f *fleet) served(t *testing.T, word string) string {
	t.Helper()
	found := regexp.MustCompile(word + ` +(?:at )?(http://\S+)`).FindStringSubmatch(f.log.String())
	if found == nil {
		t.Fatalf("no address of its %s in\n%s", word, f.log)
	}
	return found[1]
}

// What a person sees of the page of a fleet with work: every part says what it is for, in light and dark, and fits a
// telephone; axe-core finds nothing; and the console is quiet. The console page of Prometheus draws.
func TestThePageInABrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	h, up := busyShop(t)
	at := strings.TrimSuffix(up.served(t, "page"), "/")
	texts := map[string][]string{
		"/":                       {"Events flow", "1 dead letter waits for a decision", "slots on 1 node", "orders wait for a decision"},
		"/story?q=PO-2026-000001": {"Story of PO-2026-000001", "PURCHASE_ORDER_CREATED", "INVENTORY_UPDATED", "handled", "waits for a decision", "composerp po approve --tenant default PO-2026-000001"},
		"/letters":                {"no <script>price</script> is known", "would fail again", "composerp dlq redrive --queue ledger --error", "--tenant default --dry-run"},
		"/workers":                {"replenishment", "composerp worker describe stockview", "up"},
		"/proof":                  {"Proven ", "SALE_COMPLETED", "composerp audit --full", "No runs are recorded"},
		"/planner":                {"PO-2026-000001", "low, by the last report", "composerp po reject --tenant default PO-2026-000001", "Findings"},
		"/story?q=%3Cb%3Enothing": {"has no event that is or mentions"},
	}
	b.look(1200, "light")
	for path, wants := range texts {
		text := b.open(at + path)
		for _, want := range wants {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
				t.Errorf("%s has no %q:\n%s", path, want, text)
			}
		}
		b.fits(path)
		b.isAccessible(path)
	}
	if light := b.background(); light < 200 {
		t.Errorf("the light page has a background of %d", light)
	}
	b.look(1200, "dark")
	for _, path := range []string{"/", "/story?q=PO-2026-000001", "/letters", "/workers"} {
		b.open(at + path)
		b.isAccessible(path + " in the dark")
	}
	if dark := b.background(); dark > 60 {
		t.Errorf("the dark page has a background of %d", dark)
	}
	b.look(400, "light")
	for path := range texts {
		b.open(at + path)
		b.fits(path + " at 400 px")
	}
	b.isAccessible("the last one at 400 px")
	if c := b.complaints(); len(c) > 0 {
		t.Errorf("the console complains: %q", c)
	}
	b.signsIn(h)
	b.draws(up.served(t, "dashboards"))
}

// signsIn opens a page with a token by its form.
func (b *browser) signsIn(h *environment) {
	b.Helper()
	const token = "a token of this test"
	file := filepath.Join(h.dir, "page.token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	guarded := *h
	guarded.env = append(append([]string{}, h.env...), "COMPOSERP_PAGE_TOKEN_FILE="+file)
	relay := guarded.part("metrics at ", "relay")
	at := relay.served(b.T, "page")
	if response, err := http.Get(at + "metrics"); err != nil || response.StatusCode != http.StatusOK {
		b.Errorf("the metrics are not served without the token: %v %v", response, err)
	} else {
		response.Body.Close()
	}
	if text := b.open(at + "planner?" + url.Values{"tenant": {"default"}}.Encode()); !strings.Contains(text, "needs the token") || strings.Contains(text, "PO-2026") {
		b.Errorf("without the token there is\n%s", text)
	}
	b.isAccessible("the form of the token")
	b.complaints() // that the page was refused is one
	act(b, "typing the token", chromedp.SendKeys(chromedp.CSS("#token"), token))
	act(b, "sending the form", chromedp.Submit(chromedp.CSS("#token")))
	act(b, "waiting for the part", chromedp.WaitVisible(chromedp.CSS("#orders")))
	if text := b.open(at); !strings.Contains(text, "Events") || strings.Contains(relay.log.String(), token) {
		b.Errorf("with the token there is\n%s\nand in the log\n%s", text, relay.log)
	}
	if c := b.complaints(); len(c) > 0 {
		b.Errorf("the console complains of the form: %q", c)
	}
}

// draws waits until the console page of Prometheus has drawn lines.
func (b *browser) draws(address string) {
	b.Helper()
	b.look(1200, "light")
	b.open(address)
	act(b, "waiting for panels", chromedp.Poll[bool](`document.querySelectorAll("figure svg path").length > 3 &&
		document.querySelectorAll("figure .big").length > 0 && document.getElementById("state").textContent !== ""`))
	// A panel with nothing to show looks broken: of a fleet that follows its flags, too. Those of queues need the broker's
	// exporter, which is at another port than the usual one here.
	act(b, "opening the dashboard about scaling", chromedp.Evaluate[any](`location.hash = "scaling"; null`))
	act(b, "waiting for every panel about scaling", chromedp.Poll[bool](`document.title.endsWith("Scaling") &&
		[...document.querySelectorAll("figure")].every((f) => f.querySelector("svg path") || /^(Time until queues are empty|Waiting)/.test(f.innerText))`))
	b.look(400, "dark")
	b.fits("the console page at 400 px")
	if c := b.complaints(); len(c) > 0 {
		b.Errorf("the console page complains: %q", c)
	}
	if text := act(b, "reading the state", chromedp.Evaluate[string](`document.getElementById("state").textContent`)); !strings.HasPrefix(text, "as of ") {
		b.Errorf("the console page says %q", text)
	}
}
