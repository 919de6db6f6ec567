package page

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

// Config is what the page shows, and who may open it.
type Config struct {
	DB      *store.DB // Connections of the page's own; the page closes it
	At      settings.Endpoints
	Broker  rabbitmq.Config
	Plan    watchdog.Plan // what the broker is to hold; the zero value: it is not judged
	Address net.Addr      // where the page is served
	// Token is the secret that opens the page, as it is now; nil or "": none, and then the page is open on loopback and
	// closed elsewhere.
	Token func() string
	Hosts []string // names of the host beside localhost, IP addresses and this machine's name
	// Dir is the directory of `up`, "" without one. It may hold the results of chaos, in ChaosFile.
	Dir     string
	Private bool // commands find the servers by Dir
	Version string
	Log     *slog.Logger
}

// Connections is the size of the pool that a page wants.
const Connections = 2

const (
	// timeout bounds a request.
	timeout = 15 * time.Second
	// atOnce is how many requests may ask the servers at a time.
	atOnce = 4
	// mostTenants is how many tenants can be chosen; others are reached by ?tenant=.
	mostTenants = 200
)

// Page is an http.Handler for all paths that nothing else serves.
type Page struct {
	cfg     Config
	access  access
	fleet   *sampler
	running chan struct{} // a place for each request that asks the servers
}

// New makes the page of a fleet.
func New(cfg Config) *Page {
	reader := pools.NewFleetReader(cfg.At, cfg.DB, cfg.Broker)
	p := &Page{cfg: cfg, access: newAccess(cfg), running: make(chan struct{}, atOnce)}
	p.fleet = &sampler{reader: reader, ask: p.problemsOf}
	return p
}

// Close closes the connections.
func (p *Page) Close() { p.fleet.reader.Close() }

// part is one of the page's parts: at a path, by a template of that name, with what read returns as its data.
type part struct {
	Path, Title, template string
	read                  func(ctx context.Context, p *Page, q question) (any, error)
}

// question is what a request asks for.
type question struct {
	tenant string
	values url.Values
}

var parts = []part{
	{"/", "Overview", "overview.html", readOverview},
	{"/story", "Find", "story.html", readStory},
	{"/letters", "Dead letters", "letters.html", readLetters},
	{"/workers", "Workers", "workers.html", readWorkers},
	{"/proof", "Proof", "proof.html", readProof},
	{"/planner", "Planner", "planner.html", readPlanner},
}

// view is what a template gets.
type view struct {
	Title, Path string
	Parts       []part
	Tenant      string
	Tenants     []string
	At          time.Time
	Version     string
	Dir         string // where commands find the servers; "": by the fleet's own settings
	Data        any
	// Problem says why there is no data, Do what to do about it.
	Problem, Do string
}

//go:embed templates
var files embed.FS

// Stylesheet is the page's, for other pages of the same family.
func Stylesheet() string {
	text, err := files.ReadFile("templates/page.css")
	if err != nil {
		panic(err) // It is embedded under this name.
	}
	return string(text)
}

// templates are the parts' templates, each in the layout. Most commands of the program never serve the page: they are
// read when it is first served.
var templates = sync.OnceValue(func() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/pieces.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"overview.html", "story.html", "letters.html", "workers.html", "proof.html", "planner.html", "problem.html", "token.html"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name))
	}
	return all
})

// ServeHTTP serves a part, or says why not.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if r.URL.Path == "/page.css" {
		http.ServeFileFS(w, r, files, "templates/page.css")
		return
	}
	found := slices.IndexFunc(parts, func(of part) bool { return of.Path == r.URL.Path })
	switch {
	case !p.access.knows(r.Host):
		p.refuse(w, http.StatusMisdirectedRequest, "This page is not served under the name "+r.Host+".",
			"Open it by an IP address, or add the name to COMPOSERP_PAGE_HOSTS of this process.")
	case found < 0:
		p.refuse(w, http.StatusNotFound, "There is no page here.", "The parts of the page are in the menu.")
	case p.access.closed:
		p.refuse(w, http.StatusForbidden, "This page is closed: it is served beyond loopback, and no token is set.",
			"Set COMPOSERP_PAGE_TOKEN, or COMPOSERP_PAGE_TOKEN_FILE, of this process to a secret of 16 characters or more.")
	case r.Method == http.MethodPost:
		p.signIn(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD, POST")
		p.refuse(w, http.StatusMethodNotAllowed, "This page only shows.", "The commands beside what it shows change things.")
	case !p.access.granted(r):
		header.Set("WWW-Authenticate", `Bearer realm="composerp"`)
		p.render(w, http.StatusUnauthorized, "token.html", view{Title: "Token", Version: p.cfg.Version})
	default:
		p.serve(w, r, parts[found])
	}
}

// serve shows a part.
func (p *Page) serve(w http.ResponseWriter, r *http.Request, of part) {
	select {
	case p.running <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "5")
		p.refuse(w, http.StatusServiceUnavailable, "Others are looking at this page, and their questions are not answered yet.", "Load it again in some seconds.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	v, err := p.read(ctx, of, question{values: r.URL.Query()})
	status := http.StatusOK
	if err != nil {
		p.cfg.Log.Warn("the page cannot show a part", "part", of.Path, "error", exit.OneLine(err))
		status, of.template = http.StatusServiceUnavailable, "problem.html"
		v.Problem, v.Do = problem(err)
	}
	v.Title, v.Path, v.Parts, v.Version, v.At = of.Title, of.Path, parts, p.cfg.Version, time.Now()
	if p.cfg.Private {
		v.Dir = p.cfg.Dir
	}
	p.render(w, status, of.template, v)
}

// read reads a part. A server that hangs may keep its connection for longer than ctx: the place of the request is free
// when that ends, and the request does not wait for it.
func (p *Page) read(ctx context.Context, of part, q question) (view, error) {
	type answer struct {
		view
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		defer func() { <-p.running }()
		var a answer
		a.view, a.err = p.ask(ctx, of, q)
		answered <- a
	}()
	select {
	case a := <-answered:
		return a.view, a.err
	case <-ctx.Done():
		return view{}, ctx.Err()
	}
}

// ask asks the servers for a part.
func (p *Page) ask(ctx context.Context, of part, q question) (v view, err error) {
	if v.Tenants, err = masterdata.TenantNames(ctx, p.cfg.DB, mostTenants); err != nil {
		return v, err
	}
	v.Tenant, v.Tenants = tenantOf(q.values.Get("tenant"), v.Tenants)
	q.tenant = v.Tenant
	v.Data, err = of.read(ctx, p, q)
	return v, err
}

// problem is an error of a server in words: what it is, and what to do.
func problem(err error) (what, do string) {
	var known *advised
	if errors.As(err, &known) {
		return exit.OneLine(known.error), known.do
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "The database has not answered in " + timeout.String() + ".", "Run composerp doctor: it checks the servers."
	}
	return exit.OneLine(err), cmp.Or(exit.Advice(err), "run composerp doctor: it checks servers, schema and queues")
}

// advised is an error with what to do about it.
type advised struct {
	error
	do string
}

func (a *advised) Unwrap() error { return a.error }

// tenantOf is the tenant that is shown: the chosen one, else the default tenant where it has data, else the first.
func tenantOf(chosen string, names []string) (string, []string) {
	standard := settings.Named(settings.FlagTenant).Standard
	switch {
	case chosen != "" && !slices.Contains(names, chosen):
		return chosen, append([]string{chosen}, names...)
	case chosen != "":
		return chosen, names
	case len(names) == 0:
		return standard, []string{standard}
	case slices.Contains(names, standard):
		return standard, names
	}
	return names[0], names
}

// refuse says why there is no part.
func (p *Page) refuse(w http.ResponseWriter, status int, what, do string) {
	p.render(w, status, "problem.html", view{Title: http.StatusText(status), Version: p.cfg.Version, Problem: what, Do: do})
}

// render writes a whole page, or none.
func (p *Page) render(w http.ResponseWriter, status int, name string, v view) {
	var page bytes.Buffer
	if err := templates()[name].Execute(&page, v); err != nil {
		p.cfg.Log.Error("the page's template fails", "template", name, "error", err)
		http.Error(w, "this part of the page cannot be drawn; the log of this process says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}
